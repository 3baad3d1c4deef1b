/**
 * The start of a page: words, head, sign-in, then the view of the page.
 *
 * @example
 * startPage({ name: "board", view: Board });
 *
 * function Board({ me }) {
 *   return html`<h1>${t("board.title")}</h1>`;
 * }
 *
 * @module
 */
import { get } from "./api.js";
import { Header } from "./header.js";
import { language, loadMessages, t, wordsOf } from "./messages.js";
import { session } from "./session.js";
import { SignIn } from "./sign_in.js";
import { html, render, useEffect, useState, useValue } from "./view.js";

/**
 * @typedef {object} PageOptions
 * @property {import("./header.js").PageName} name Name of the page, and of its section of words.
 * @property {(props: { me: any }) => any} view Shown inside of <main>. `me` is GET /profiles/v1/me.
 * @property {boolean} [isOpen] True for a page that is also shown to those who are not signed in; then `me` is null.
 * @property {boolean} [isWide] True for a page that uses the whole width.
 * @property {boolean} [isBare] True for a page without a head, on a television.
 */

/** Shows the page in the element `app`. @param {PageOptions} options */
export async function startPage(options) {
  await loadMessages("shared", "problems", options.name);
  document.documentElement.lang = language.current;
  const root = /** @type {HTMLElement} */ (document.getElementById("app"));
  render(html`<${Page} ...${options} />`, root);
}

/** @param {PageOptions} options */
function Page({ name, view, isOpen = false, isWide = false, isBare = false }) {
  const code = useValue(language);
  const who = useValue(session);
  const { me, problem } = useMe(who?.user.id);
  useEffect(() => void (document.title = t(`${name}.title`)), [code, name]);
  const isKnown = me !== null || (isOpen && who === null);
  return html`
    <div class="page">
      ${!isBare && html`<${Header} page=${name} me=${me} />`}
      <main id="main" tabindex="-1" class=${isWide ? "wide" : ""}>
        ${isKnown ? html`<${view} me=${me} />` : who === null
          ? html`
            <div class="stack">
              <h1>${t(`${name}.title`)}</h1>
              <${SignIn} />
            </div>
          `
          : problem && html`<p class="banner stop" role="alert">${wordsOf(problem)}</p>`}
      </main>
    </div>
  `;
}

const storageKey = "mes.me";

/**
 * Returns the profile of the signed-in user. The last one is kept, for pages that start without a network.
 *
 * @param {string | undefined} userId
 * @returns {{ me: any, problem: unknown }}
 */
function useMe(userId) {
  const [known, setKnown] = useState(/** @type {{ me: any, problem: unknown }} */ ({ me: null, problem: null }));
  useEffect(() => {
    if (userId === undefined) {
      localStorage.removeItem(storageKey);
      return setKnown({ me: null, problem: null });
    }
    const last = JSON.parse(localStorage.getItem(storageKey) ?? "null");
    const kept = last?.id === userId ? last : null;
    setKnown({ me: kept, problem: null });
    // an answer that comes after somebody else has signed in is theirs no more
    let isCurrent = true;
    get("/profiles/v1/me").then((me) => {
      if (!isCurrent) return;
      localStorage.setItem(storageKey, JSON.stringify(me));
      setKnown({ me, problem: null });
    }, (problem) => isCurrent && setKnown({ me: kept, problem }));
    return () => void (isCurrent = false);
  }, [userId]);
  return known.me !== null && known.me.id !== userId ? { me: null, problem: null } : known;
}
