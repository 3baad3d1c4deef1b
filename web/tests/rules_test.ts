/** Rules that all files of the pages obey. */
import { basename, join } from "node:path";
import { assert, assertEquals, assertMatch } from "../../supabase/functions/tests/support/assertions.ts";
import { problemTable } from "../../supabase/functions/_shared/problems.ts";

const root = new URL("../", import.meta.url).pathname;
const languages = ["en", "nl", "de"];

/** Finds the files of the pages, without tests and libraries. */
async function filesOf(folder: string, extension: string): Promise<{ path: string; text: string }[]> {
  const found: { path: string; text: string }[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory && !["assets", "tests"].includes(name)) found.push(...await filesOf(path, extension));
    else if (name.endsWith(extension)) {
      found.push({ path: path.slice(root.length), text: await Deno.readTextFile(path) });
    }
  }
  return found.sort((a, b) => a.path.localeCompare(b.path));
}

/** Scripts without comments. */
const scripts = (await filesOf(root, ".js")).map(({ path, text }) => ({
  path,
  text: text.replace(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*/g, ""),
}));
const pages = await filesOf(root, ".html");
const styles = await filesOf(root, ".css");

type Words = Record<string, string | Record<string, string>>;

async function wordsOf(language: string): Promise<Map<string, Words[string]>> {
  const sections = (await filesOf(join(root, "messages", language), ".json")).map(({ path, text }) => {
    const words: Words = JSON.parse(text);
    return Object.entries(words).map(([key, message]) => [`${basename(path, ".json")}.${key}`, message] as const);
  });
  return new Map(sections.flat());
}

/** Names of the values that a message takes. */
const valuesIn = (message: Words[string]) =>
  [
    ...new Set(
      Object.values(typeof message === "string" ? [message] : message).flatMap((text) =>
        [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
      ),
    ),
  ].sort();

Deno.test("messages: have the same keys and values in each language", async () => {
  const english = await wordsOf("en");
  for (const language of languages) {
    const words = await wordsOf(language);
    assertEquals([...words.keys()], [...english.keys()], language);
    for (const [key, message] of words) {
      assertEquals(valuesIn(message), valuesIn(english.get(key) ?? ""), `${language} ${key}`);
      const forms = typeof message === "string" ? [message] : Object.values(message);
      assert(forms.every((text) => text.trim() !== ""), `${language} ${key} is empty`);
      if (typeof message === "object") assert("other" in message, `${language} ${key} has no form "other"`);
    }
  }
});

Deno.test("messages: are there when a page asks for them, and asked for when they are there", async () => {
  const known = [...(await wordsOf("en")).keys()];
  const asked = new Set<string>();
  const begun: string[] = [];
  for (const { path, text } of scripts) {
    for (const [, key = ""] of text.matchAll(/["'`]((?:[a-z_]+)\.[A-Za-z_]\w*)["'`]/g)) {
      if (known.includes(key)) asked.add(key);
    }
    // t("...") names a key; t(`...${`) the beginning of several
    for (const [, key = ""] of text.matchAll(/\bt\(\s*"([^"]+)"/g)) {
      assert(known.includes(key), `${path} asks for ${key}, which messages/ does not have`);
    }
    for (const [, beginning = ""] of text.matchAll(/`([a-z]+\.\w*)\$\{/g)) {
      begun.push(beginning);
    }
    // the title of each page
    for (const [, name = ""] of text.matchAll(/startPage\(\{\s*name: "(\w+)"/g)) asked.add(`${name}.title`);
  }
  const pagesToCome = known.filter((key) => key.endsWith(".title"));
  const unused = known.filter((key) =>
    !asked.has(key) && !pagesToCome.includes(key) && !begun.some((beginning) => key.startsWith(beginning))
  );
  assertEquals(unused, []);
});

Deno.test("messages: have words for the problems of the API", async () => {
  const problems = [...(await wordsOf("en")).keys()].filter((key) => key.startsWith("problems."));
  const own = ["offline", "timeout", "no_answer", "unknown"];
  for (const key of problems) {
    const code = key.slice("problems.".length);
    assert(code in problemTable || own.includes(code), `${code} is no problem of the API`);
  }
});

Deno.test("pages: run no script but files of this origin, by the same policy", () => {
  const policyOf = (html: string) => /http-equiv="Content-Security-Policy"\s+content="([^"]+)"/.exec(html)?.[1];
  const policy = policyOf(pages.find(({ path }) => path === "index.html")?.text ?? "") ?? "";
  assertMatch(policy, /script-src 'self';/);
  assert(!/unsafe/.test(policy));
  for (const { path, text } of pages) {
    assertEquals(policyOf(text), policy, path);
    assert(
      !/<script(?![^>]*\ssrc=")|\son\w+=|\sstyle=|(src|href)="(https?:)?\/\//i.test(text),
      `${path} has inline code`,
    );
  }
});

Deno.test("pages: show text from people as text only", () => {
  const ways =
    /innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySetInnerHTML|createContextualFragment/;
  for (const { path, text } of scripts) {
    assert(!ways.test(text), `${path} makes HTML of text`);
    assert(!/\beval\(|new Function\(/.test(text), `${path} makes code of text`);
    assert(!/console\.(log|info|debug)/.test(text), `${path} writes a log`);
  }
});

Deno.test("styles: take colours from tokens.css only", () => {
  for (const { path, text } of styles) {
    if (path === "styles/tokens.css") continue;
    const colour = /#[0-9a-f]{3,8}\b|\b(rgb|hsl|oklch|oklab|lab)a?\(/i.exec(text.replace(/\/\*[\s\S]*?\*\//g, ""))?.[0];
    assertEquals(colour, undefined, path);
  }
});
