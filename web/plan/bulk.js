/**
 * One change of all operations that the filter finds. The server is asked what would happen, the answer is shown, and
 * only then is the change made.
 *
 * @module
 */
import { call, newKey } from "../shared/api.js";
import { Dialog } from "../shared/dialog.js";
import { t, wordsOf } from "../shared/messages.js";
import { State } from "../shared/state.js";
import { html, useRef, useState } from "../shared/view.js";
import { bulkFilterOf, keyOf } from "./operations.js";
import { ReasonChoice } from "./reasons.js";

/** @typedef {"RELEASE" | "HOLD" | "CANCEL" | "MOVE"} Change */

/** @type {readonly Change[]} */
const changes = ["RELEASE", "HOLD", "CANCEL", "MOVE"];

/** @typedef {{ index: number, id: string, version: number, problem: any }} Result */

/** @typedef {"changed" | "unchanged" | "refused"} Outcome */

/** @param {{ change: Change, reason: string, workplace: string }} values */
const patchOf = ({ change, reason, workplace }) => ({
  RELEASE: { status: "RELEASED" },
  HOLD: { status: "ON_HOLD", reason_code: reason },
  CANCEL: { status: "CANCELLED", reason_code: reason },
  MOVE: { workplace_name: workplace },
}[change]);

/**
 * Says what becomes of an operation. The server increases the version of each that changes.
 *
 * @param {Result} result
 * @param {Map<string, number>} before Versions before the change.
 * @returns {Outcome}
 */
const outcomeOf = ({ id, version, problem }, before) =>
  problem ? "refused" : before.get(id) === version ? "unchanged" : "changed";

/**
 * @param {{ filter: import("./operations.js").Filter, filterWords: string, operations: readonly any[],
 *   workplaces: readonly string[], onClose: () => void, onDone: () => void }} props
 */
export function BulkChange({ filter, filterWords, operations, workplaces, onClose, onDone }) {
  const [change, setChange] = useState(/** @type {Change} */ ("RELEASE"));
  const [reason, setReason] = useState("");
  const [workplace, setWorkplace] = useState("");
  const [tried, setTried] = useState(/** @type {{ body: any, key: string, results: Result[] } | null} */ (null));
  const [made, setMade] = useState(/** @type {Result[] | null} */ (null));
  const [problem, setProblem] = useState(/** @type {unknown} */ (null));
  const [isBusy, setBusy] = useState(false);

  const before = useRef(/** @type {Map<string, number>} */ (new Map()));

  /** @param {() => Promise<void>} task */
  const during = async (task) => {
    setBusy(true);
    setProblem(null);
    await task().catch(setProblem);
    setBusy(false);
  };
  /** @param {any} body @param {string} key @returns {Promise<Result[]>} */
  const send = async (body, key) =>
    (await call("PATCH", "/operations/v1", { body, idempotencyKey: key, timeoutMs: 60_000 })).body.results;

  const attempt = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    before.current = new Map(operations.map((operation) => [keyOf(operation), operation.version]));
    return during(async () => {
      const body = { filter: bulkFilterOf(filter), patch: patchOf({ change, reason, workplace }) };
      setTried({ body, key: newKey(), results: await send({ ...body, dry_run: true }, newKey()) });
    });
  };
  const make = () =>
    tried && during(async () => {
      // one key for what was shown: a second click does nothing new
      setMade(await send({ ...tried.body, dry_run: false }, tried.key));
      onDone();
    });

  const changed = tried?.results.filter((one) => outcomeOf(one, before.current) === "changed").length ?? 0;
  return html`
    <${Dialog} wide title=${t("plan.bulk")} onClose=${onClose}>
      <p class="soft">${t("plan.bulk_for", { filter: filterWords })}</p>
      <div role="alert">${problem && html`<p class="banner stop">${wordsOf(problem)}</p>`}</div>
      ${made !== null
        ? html`
          <${Summary} results=${made} before=${before.current} isDone />
          <div class="row end"><button class="main" onClick=${onClose}>${t("plan.close")}</button></div>
        `
        : tried !== null
        ? html`
          <${Summary} results=${tried.results} before=${before.current} />
          <div class="row end">
            <button onClick=${() => setTried(null)}>${t("plan.back")}</button>
            <button class="main" disabled=${isBusy || changed === 0} onClick=${make}>
              ${t("plan.bulk_do", { count: changed })}
            </button>
          </div>
        `
        : html`
          <form class="stack" onSubmit=${attempt}>
            <label>${t("plan.bulk_change")}
              <select value=${change} onChange=${(/** @type {any} */ event) => setChange(event.currentTarget.value)}>
                ${changes.map((one) => html`<option key=${one} value=${one}>${t(`plan.do_${one}`)}</option>`)}
              </select>
            </label>
            ${(change === "HOLD" || change === "CANCEL") &&
              html`<${ReasonChoice} key=${change} kind=${change} value=${reason} onChange=${setReason} />`}
            ${change === "MOVE" && html`
              <label>${t("plan.workplace")}
                <select required value=${workplace}
                  onChange=${(/** @type {any} */ event) => setWorkplace(event.currentTarget.value)}>
                  <option value="">${t("plan.choose")}</option>
                  ${workplaces.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}
                </select>
              </label>
            `}
            <div class="row end">
              <button type="button" onClick=${onClose}>${t("plan.close")}</button>
              <button class="main" disabled=${isBusy}>${t("plan.bulk_try")}</button>
            </div>
          </form>
        `}
    <//>
  `;
}

/** @type {Readonly<Record<Outcome, import("../shared/state.js").Tone>>} */
const tones = { changed: "run", unchanged: "off", refused: "stop" };

/** @param {{ results: Result[], before: Map<string, number>, isDone?: boolean }} props */
function Summary({ results, before, isDone = false }) {
  const outcomes = results.map((result) => outcomeOf(result, before));
  const count = (/** @type {Outcome} */ wanted) => outcomes.filter((one) => one === wanted).length;
  const counts = {
    total: results.length,
    changed: count("changed"),
    unchanged: count("unchanged"),
    refused: count("refused"),
  };
  return html`
    <p class=${`banner ${counts.refused > 0 ? "wait" : "run"}`} role="status">
      ${t(isDone ? "plan.bulk_made" : "plan.bulk_would", counts)}
    </p>
    <div class="scroll results" tabindex="0" role="region" aria-label=${t("plan.bulk_results")}>
      <table>
        <thead>
          <tr>
            <th scope="col">${t("plan.operation")}</th>
            <th scope="col">${t("plan.bulk_result")}</th>
          </tr>
        </thead>
        <tbody>
          ${results.map(({ index, id, problem }) => {
            const outcome = outcomes[index] ?? "refused";
            return html`
              <tr key=${index}>
                <th scope="row">${id}</th>
                <td>
                  <${State} tone=${tones[outcome]}>${t(isDone ? `plan.made_${outcome}` : `plan.would_${outcome}`)}<//>
                  ${" "}${problem && wordsOf(problem)}
                </td>
              </tr>
            `;
          })}
        </tbody>
      </table>
    </div>
  `;
}
