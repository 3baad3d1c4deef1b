/**
 * The words of the pages, from `messages/<language>/<page>.json`. A message is a text with {names}, or an object of
 * plural forms (`one`, `other`) that its `count` selects.
 *
 * @example
 * await loadMessages("board");
 * t("board.late", { count: 3 });   // {"late": {"one": "{count} is late", "other": "{count} are late"}}
 *
 * @module
 */
import { observable } from "./view.js";

/** The languages of the pages, by their own names. */
export const languages = Object.freeze({ en: "English", nl: "Nederlands", de: "Deutsch" });

/**
 * @typedef {keyof typeof languages} Language
 * @typedef {string | Record<string, string>} Message
 */

const storageKey = "mes.language";

/** @param {string | null | undefined} tag @returns {Language | undefined} */
const known = (tag) => {
  const code = /** @type {Language} */ (tag?.slice(0, 2));
  return code in languages ? code : undefined;
};

/** @returns {Language} */
const wanted = () => known(localStorage.getItem(storageKey)) ?? navigator.languages.map(known).find(Boolean) ?? "en";

const current = observable(wanted());

/** The language of the page: the one that was chosen, else the browser's, else English. */
export const language = /** @type {import("./view.js").Observable<Language>} */ (current);

/** @type {Set<string>} */
const sections = new Set();

/** @type {Map<string, Message>} */
let messages = new Map();

/**
 * Loads the words of the sections, for {@link t}.
 *
 * @param {...string} names
 */
export async function loadMessages(...names) {
  for (const name of names) sections.add(name);
  messages = await read(current.current);
}

/**
 * Changes the language of all pages of this browser.
 *
 * @param {Language} chosen
 */
export async function chooseLanguage(chosen) {
  messages = await read(chosen);
  localStorage.setItem(storageKey, chosen);
  document.documentElement.lang = chosen;
  current.set(chosen);
}

/** @param {Language} code */
async function read(code) {
  const files = await Promise.all([...sections].map(async (section) => {
    const answer = await fetch(`messages/${code}/${section}.json`);
    if (!answer.ok) throw new Error(`messages/${code}/${section}.json: ${answer.status}`);
    return Object.entries(await answer.json()).map((
      [key, message],
    ) => /** @type {const} */ ([`${section}.${key}`, message]));
  }));
  return new Map(files.flat());
}

/**
 * Returns the words of a message in the language of the page. Numbers are written as that language does.
 *
 * @param {string} key Section and name, such as `board.title`.
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function t(key, values = {}) {
  const message = messages.get(key) ?? key;
  const text = typeof message === "string" ? message : form(message, Number(values.count));
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    return typeof value === "number" ? value.toLocaleString(current.current) : value ?? whole;
  });
}

/** Whether the language has words for this key. @param {string} key */
export const hasMessage = (key) => messages.has(key);

/** @param {Record<string, string>} forms @param {number} count */
function form(forms, count) {
  return forms[new Intl.PluralRules(current.current).select(count)] ?? forms.other ?? "";
}

/**
 * Returns what a problem means, in words for the person at the screen.
 *
 * @param {unknown} error
 * @returns {string}
 */
export function wordsOf(error) {
  const { code, message } = /** @type {{ code?: string, message?: string }} */ (error ?? {});
  const key = `problems.${code}`;
  return hasMessage(key) ? t(key) : message ?? t("problems.unknown");
}
