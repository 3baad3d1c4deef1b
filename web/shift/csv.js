/**
 * Files of the reports that the page shows, as the API writes them: docs/exports.md.
 *
 * @module
 */
import { Problem, send } from "../shared/api.js";
import { language, t, wordsOf } from "../shared/messages.js";
import { html, useState } from "../shared/view.js";

/** Spreadsheets set to these languages want other signs. */
const forms = {
  en: {},
  nl: { separator: "semicolon", decimal: "comma" },
  de: { separator: "semicolon", decimal: "comma" },
};

/**
 * @typedef {{ path: string, query: Record<string, string | string[]> }} Source
 */

/**
 * A button that saves a CSV.
 *
 * @param {{ name: string, what: string, sources: Source[] }} props `name` is that of the file. Several sources become one
 *   file, with one line of names at its begin.
 */
export function SaveCsv({ name, what, sources }) {
  const [problem, setProblem] = useState("");
  const [isBusy, setBusy] = useState(false);
  const onClick = async () => {
    setBusy(true);
    setProblem("");
    try {
      save(name, await read(sources));
    } catch (error) {
      setProblem(wordsOf(error));
    }
    setBusy(false);
  };
  return html`
    <span class="row">
      ${problem && html`<span class="error" role="alert">${problem}</span>`}
      <button disabled=${isBusy || sources.length === 0} onClick=${onClick} aria-label=${`CSV: ${what}`}>
        <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true">
          <path d="M10 2v10m-4-4l4 4 4-4M3 15v3h14v-3" fill="none" stroke="currentColor" stroke-width="2" />
        </svg>
        ${t("shift.csv")}
      </button>
    </span>
  `;
}

/** @param {Source[]} sources */
async function read(sources) {
  /** @type {Blob[]} */
  const files = [];
  for (const { path, query } of sources) {
    const isFirst = files.length === 0;
    const more = { format: "csv", bom: String(isFirst), header: String(isFirst), ...forms[language.current] };
    const pairs = Object.entries({ ...query, ...more }).flatMap(([name, value]) =>
      [value].flat().map((one) => [name, one])
    );
    // bytes, because a text would lose the mark by which Excel knows that it is UTF-8
    const answer = await send(`${path}?${new URLSearchParams(pairs)}`, { headers: { accept: "text/csv" } });
    if (!answer.ok) throw new Problem({ code: "no_answer", ...await answer.json(), status: answer.status });
    files.push(await answer.blob());
  }
  return new Blob(files, { type: "text/csv;charset=utf-8" });
}

/** @param {string} name @param {Blob} file */
function save(name, file) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  // the browser has the file once it has begun to save it
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
