/**
 * Corrects start and end of an operation. The server says first what would come of it; nothing is written before that was
 * seen.
 *
 * @module
 */
import { get, newKey, path, post } from "../shared/api.js";
import { Dialog } from "../shared/dialog.js";
import { t } from "../shared/messages.js";
import { html, useEffect, useRef, useState } from "../shared/view.js";
import { ActionForm, NoteField, ProblemBanner, TimeField, useTask } from "./fields.js";
import { minutesWords, operationName } from "./words.js";
import { clockToSecond, dayOf } from "./zone.js";

/** Members of the operation that a correction of times changes. */
const times = /** @type {const} */ (["actual_start_at", "actual_end_at"]);
const minutes = /** @type {const} */ (["t_actual_setup_min", "t_actual_processing_min", "t_actual_lead_min"]);

/** @typedef {{ order_no: string, asset_id: number, operation_no: string }} OperationKey */

/** @param {{ operation: OperationKey, zone: string, onClose: () => void, onDone: () => void }} props */
export function CorrectDialog({ operation, zone, onClose, onDone }) {
  return html`
    <${Dialog} title=${t("shift.way_correct")} onClose=${onClose}>
      <${CorrectForm} operations=${[operation]} zone=${zone} onClose=${onClose} onDone=${onDone} />
      <//>
  `;
}

/** @param {{ operations: OperationKey[], zone: string, onClose: () => void, onDone: () => void }} props */
export function CorrectForm({ operations, zone, onClose, onDone }) {
  const [no, setNo] = useState(0);
  const key = /** @type {OperationKey} */ (operations[no]);
  const [operation, setOperation] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState(/** @type {unknown} */ (null));
  useEffect(() => {
    const ending = new AbortController();
    setOperation(null);
    get(path`/operations/v1/${key.order_no}/${key.asset_id}/${key.operation_no}`, {}, { signal: ending.signal })
      .then(setOperation, (error) => ending.signal.aborted || setProblem(error));
    return () => ending.abort();
  }, [no]);
  return html`
    ${operations.length > 1 && html`
      <label>${t("shift.operation")}
        <select value=${no} onChange=${(/** @type {any} */ event) => setNo(Number(event.currentTarget.value))}>
          ${operations.map((one, index) => html`<option key=${index} value=${index}>${operationName(one)}</option>`)}
        </select>
      </label>
    `}
    ${operation === null ? html`<${ProblemBanner} problem=${problem} />` : html`
      <${TimesForm} key=${operation.version} operation=${operation} zone=${zone} onClose=${onClose} onDone=${onDone} />
    `}
  `;
}

/** @param {{ operation: any, zone: string, onClose: () => void, onDone: () => void }} props */
function TimesForm({ operation, zone, onClose, onDone }) {
  const id = useRef(newKey());
  const [start, setStart] = useState(/** @type {string | undefined} */ (operation.actual_start_at ?? undefined));
  const [end, setEnd] = useState(/** @type {string | undefined} */ (operation.actual_end_at ?? undefined));
  const [note, setNote] = useState("");
  // the operation as it would be, until a field changes
  const [outcome, setOutcome] = useState(/** @type {any} */ (null));
  const hasEnd = operation.status === "FINISHED";
  const isAllowed = operation.allowed_actions.some((/** @type {any} */ one) => one.action === "CORRECT" && one.allowed);

  /** @template Value @param {(value: Value) => void} set @returns {(value: Value) => void} */
  const edit = (set) => (value) => {
    set(value);
    setOutcome(null);
  };
  const changed = {
    ...start !== operation.actual_start_at && { actual_start_at: start },
    ...hasEnd && end !== operation.actual_end_at && { actual_end_at: end },
  };
  const correction = {
    action_type: "CORRECT",
    order_no: operation.order_no,
    asset_id: operation.asset_id,
    operation_no: operation.operation_no,
    workplace_name: operation.workplace_name,
    note: note.trim() || undefined,
    ...changed,
  };
  const { run, isBusy, problem } = useTask(async () => {
    if (outcome === null) {
      setOutcome((await post("/events/v1", { ...correction, dry_run: true })).operation);
    } else {
      await post("/events/v1", { ...correction, id: id.current });
      onDone();
    }
  });
  const isReady = Object.keys(changed).length > 0 && Object.values(changed).every((value) => value !== undefined);
  return html`
    <${ActionForm}
      onSubmit=${run} onClose=${onClose} action=${t(outcome === null ? "shift.check" : "shift.correct_now")}
      isBusy=${isBusy} isReady=${isReady && isAllowed} problem=${problem}
    >
      <p><strong class="numbers">${operationName(operation)}</strong>
        <span class="soft"> ${operation.activity_description ?? operation.activity_code}</span></p>
      ${!isAllowed && html`<p class="banner wait">${t("shift.not_allowed")}</p>`}
      <div class="halves">
        <${TimeField} label=${t("shift.first_start")} value=${start} onChange=${edit(setStart)} zone=${zone} />
        ${hasEnd && html`<${TimeField} label=${t("shift.end")} value=${end} onChange=${edit(setEnd)} zone=${zone} />`}
      </div>
      <${NoteField} value=${note} onChange=${edit(setNote)} />
      ${outcome !== null && html`<${Outcome} before=${operation} after=${outcome} zone=${zone} />`}
    <//>
  `;
}

/** What would change. @param {{ before: any, after: any, zone: string }} props */
function Outcome({ before, after, zone }) {
  /** @param {string | null} at */
  const time = (at) => at === null ? "–" : `${dayOf(at, zone)}, ${clockToSecond(at, zone)}`;
  /** @param {number | null} value */
  const length = (value) => value === null ? "–" : minutesWords(value);
  const rows = [
    ...times.map((name) => ({ name, before: time(before[name]), after: time(after[name]) })),
    ...minutes.map((name) => ({ name, before: length(before[name]), after: length(after[name]) })),
  ].filter((row) => row.before !== row.after);
  const element = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => element.current?.scrollIntoView({ block: "nearest" }), []);
  return html`
    <div class="outcome" role="status" ref=${element}>
      <p><strong>${t("shift.outcome")}</strong></p>
      <table class="numbers">
        <thead>
          <tr>
            <th><span class="visually-hidden">${t("shift.value")}</span></th>
            <th>${t("shift.now")}</th>
            <th>${t("shift.then")}</th>
          </tr>
        </thead>
        <tbody>
          ${rows.map((row) =>
            html`
              <tr key=${row.name} data-change=${row.name}>
                <th scope="row">${t(`shift.field_${row.name}`)}</th>
                <td>${row.before}</td>
                <td><strong>${row.after}</strong></td>
              </tr>
            `
          )}
        </tbody>
      </table>
    </div>
  `;
}
