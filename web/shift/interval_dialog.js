/**
 * What can be done with an interval of the timeline: explain a gap, explain or split a stop, take a stop back, correct a
 * time of the work in it.
 *
 * @module
 */
import { list, newKey, path, post } from "../shared/api.js";
import { Dialog } from "../shared/dialog.js";
import { t } from "../shared/messages.js";
import { StateIcon } from "../shared/state.js";
import { html, useEffect, useRef, useState } from "../shared/view.js";
import { CorrectForm } from "./correct.js";
import { ActionForm, NoteField, ProblemBanner, ReasonField, TimeField, useReasons, useTask } from "./fields.js";
import { causeWords, minutesWords, operationName, toneOf } from "./words.js";
import { clockToSecond, dayOf } from "./zone.js";

/**
 * @typedef {import("./words.js").Interval} Interval
 *
 * @typedef {object} IntervalDialogProps
 * @property {string} workplace
 * @property {Interval} interval
 * @property {Interval[]} neighbours Intervals of the workplace, for the work before and after a gap.
 * @property {boolean} isLast True for an interval that may go on: it ends because the report ends now.
 * @property {string} zone
 * @property {boolean} mayReport
 * @property {() => void} onClose
 * @property {() => void} onDone Called when something has changed.
 */

/** @param {IntervalDialogProps} props */
export function IntervalDialog({ workplace, interval, neighbours, isLast, zone, mayReport, onClose, onDone }) {
  const { downtime, isKnown, problem } = useDowntime(workplace, interval);
  const operations = workAround(interval, neighbours);
  const ways = mayReport && isKnown ? waysOf(interval, downtime, operations) : [];
  const [chosen, setChosen] = useState(/** @type {string | undefined} */ (undefined));
  const way = chosen ?? ways[0];
  const common = { workplace, interval, downtime, zone, onClose, onDone };
  return html`
    <${Dialog} title=${workplace} onClose=${onClose}>
      <${Facts} interval=${interval} downtime=${downtime} zone=${zone} />
      ${ways.length > 1 && html`
        <div class="row ways" role="group" aria-label=${t("shift.action")}>
          ${ways.map((one) =>
            html`
              <button key=${one} aria-pressed=${one === way ? "true" : "false"} onClick=${() => setChosen(one)}>
                ${t(`shift.way_${one}`)}
              </button>
            `
          )}
        </div>
      `}
      ${way === "report" && html`<${ReportForm} ...${common} isLast=${isLast} />`}
      ${way === "classify" && html`<${ClassifyForm} key=${downtime.id} ...${common} />`}
      ${way === "split" && html`<${SplitForm} ...${common} />`}
      ${way === "cancel" && html`<${CancelForm} ...${common} />`}
      ${way === "correct" && html`
        <${CorrectForm} operations=${operations} zone=${zone} onClose=${onClose} onDone=${onDone} />
      `}
      ${way === undefined && html`
        ${problem === null
          ? html`<p class="soft">${
            t(!isKnown ? "shift.loading" : mayReport ? "shift.nothing_to_do" : "shift.only_reading")
          }</p>`
          : html`<${ProblemBanner} problem=${problem} />`}
        <div class="row end"><button onClick=${onClose}>${t("shift.close")}</button></div>
      `}
    <//>
  `;
}

/**
 * Returns the ways to change an interval, the most likely first.
 *
 * @param {Interval} interval
 * @param {any} downtime
 * @param {readonly unknown[]} operations
 */
function waysOf({ bucket, detail }, downtime, operations) {
  const correct = operations.length > 0 ? ["correct"] : [];
  if (downtime) return ["classify", "split", "cancel", ...correct];
  // a downtime changes nothing where no work is planned
  if (bucket === "OFF" || (bucket === "PDOT" && detail !== "planned_stop")) return correct;
  return bucket === "APT" || bucket === "AUST" ? [...correct, "report"] : ["report", ...correct];
}

/**
 * Returns the operations of an interval, of a gap those before and after it.
 *
 * @param {Interval} interval
 * @param {Interval[]} neighbours
 */
function workAround(interval, neighbours) {
  const at = neighbours.findIndex(({ from }) => from === interval.from);
  const found = interval.operations.length > 0
    ? interval.operations
    : [neighbours.slice(0, at).findLast(hasWork), neighbours.slice(at + 1).find(hasWork)]
      .flatMap((one) => one?.operations ?? []);
  return [...new Map(found.map((one) => [`${operationName(one)} ${one.asset_id}`, one])).values()];
}

/** @param {Interval} interval */
const hasWork = ({ operations }) => operations.length > 0;

/**
 * Reads the downtime of an interval that is one; the timeline names only its reason.
 *
 * @param {string} workplace
 * @param {Interval} interval
 * @returns {{ downtime: any, isKnown: boolean, problem: unknown }}
 */
function useDowntime(workplace, { from, to, source }) {
  const isDowntime = source?.startsWith("downtime") ?? false;
  const [found, setFound] = useState({ downtime: null, isKnown: !isDowntime, problem: /** @type {unknown} */ (null) });
  useEffect(() => {
    if (!isDowntime) return;
    list("/downtimes/v1", { workplace_name: workplace, from, to }).then((downtimes) => {
      const downtime = downtimes.find(({ started_at, ended_at }) => started_at <= from && (ended_at ?? to) >= to);
      setFound({ downtime, isKnown: true, problem: null });
    }, (problem) => setFound({ downtime: null, isKnown: false, problem }));
  }, [workplace, from, to]);
  return found;
}

/** @param {{ interval: Interval, downtime: any, zone: string }} props */
function Facts({ interval, downtime, zone }) {
  const { from, to, minutes, operations } = interval;
  return html`
    <div class="facts stack">
      <p class="row">
        <span class=${`state tone-${toneOf(interval)}`}>
          <${StateIcon} tone=${toneOf(interval)} />${causeWords(interval)}
        </span>
        <strong class="numbers">${minutesWords(minutes)}</strong>
      </p>
      <p class="numbers soft">${dayOf(from, zone)}, ${clockToSecond(from, zone)} – ${clockToSecond(to, zone)}</p>
      ${operations.length > 0 && html`<p class="numbers">${operations.map(operationName).join(", ")}</p>`}
      ${downtime?.note && html`<p>${downtime.note}</p>`}
      ${downtime && html`<p class="soft small">${t(`shift.source_${downtime.source}`)}</p>`}
    </div>
  `;
}

/**
 * @typedef {object} FormProps
 * @property {string} workplace
 * @property {Interval} interval
 * @property {any} downtime
 * @property {string} zone
 * @property {() => void} onClose
 * @property {() => void} onDone
 */

/** A gap becomes a downtime of the past. @param {FormProps & { isLast: boolean }} props */
function ReportForm({ workplace, interval, zone, isLast, onClose, onDone }) {
  const id = useRef(newKey());
  const reasons = useReasons();
  const [reason, setReason] = useState("");
  const [note, setNote] = useState("");
  const [from, setFrom] = useState(/** @type {string | undefined} */ (interval.from));
  const [to, setTo] = useState(/** @type {string | undefined} */ (interval.to));
  const [goesOn, setGoesOn] = useState(false);
  const { run, isBusy, problem } = useTask(async () => {
    await post("/downtimes/v1", {
      id: id.current,
      workplace_name: workplace,
      occurred_at: from,
      ended_at: goesOn ? undefined : to,
      reason_code: reason,
      note: note.trim() || undefined,
    });
    onDone();
  });
  const isReady = reason !== "" && from !== undefined && (goesOn || (to !== undefined && from < to));
  return html`
    <${ActionForm}
      onSubmit=${run} onClose=${onClose} action=${t(
        "shift.explain",
      )} isBusy=${isBusy} isReady=${isReady} problem=${problem}
    >
      <${ReasonField} label=${t("shift.reason")} reasons=${reasons} value=${reason} onChange=${setReason} />
      <div class="halves">
        <${TimeField} label=${t("shift.from")} value=${from} onChange=${setFrom} zone=${zone} />
        ${!goesOn && html`<${TimeField} label=${t("shift.to")} value=${to} onChange=${setTo} zone=${zone} />`}
      </div>
      ${isLast && html`
        <label class="check">
          <input
            type="checkbox"
            checked=${goesOn}
            onChange=${(/** @type {any} */ event) => setGoesOn(event.currentTarget.checked)}
          />${t("shift.goes_on")}
        </label>
      `}
      <${NoteField} value=${note} onChange=${setNote} />
    <//>
  `;
}

/** @param {FormProps} props */
function ClassifyForm({ downtime, onClose, onDone }) {
  const id = useRef(newKey());
  const reasons = useReasons();
  const [reason, setReason] = useState(downtime.reason_code ?? "");
  const [note, setNote] = useState(downtime.note ?? "");
  const { run, isBusy, problem } = useTask(async () => {
    const body = { id: id.current, reason_code: reason, note: note.trim() || undefined };
    await post(path`/downtimes/v1/${downtime.id}/classify`, body);
    onDone();
  });
  return html`
    <${ActionForm}
      onSubmit=${run} onClose=${onClose} action=${t("shift.explain")} isBusy=${isBusy} isReady=${reason !== ""}
      problem=${problem}
    >
      <${ReasonField} label=${t("shift.reason")} reasons=${reasons} value=${reason} onChange=${setReason} />
      <${NoteField} value=${note} onChange=${setNote} />
      <//>
  `;
}

/** One stop, two causes. @param {FormProps} props */
function SplitForm({ downtime, zone, onClose, onDone }) {
  const id = useRef(newKey());
  const reasons = useReasons();
  const began = Date.parse(downtime.started_at);
  const ended = downtime.ended_at === null ? Date.now() : Date.parse(downtime.ended_at);
  const middle = new Date(Math.round((began + ended) / 2000) * 1000).toISOString();
  const [at, setAt] = useState(/** @type {string | undefined} */ (middle));
  const [reason, setReason] = useState("");
  const { run, isBusy, problem } = useTask(async () => {
    const body = { id: id.current, at, reason_code: reason || undefined };
    await post(path`/downtimes/v1/${downtime.id}/split`, body);
    onDone();
  });
  const isReady = at !== undefined && Date.parse(at) > began && Date.parse(at) < ended;
  return html`
    <${ActionForm}
      onSubmit=${run} onClose=${onClose} action=${t("shift.split")} isBusy=${isBusy} isReady=${isReady}
      problem=${problem}
    >
      <${TimeField} label=${t("shift.split_at")} value=${at} onChange=${setAt} zone=${zone} />
      <${ReasonField}
        label=${t("shift.reason_of_rest")} reasons=${reasons} value=${reason} onChange=${setReason}
        none=${t("shift.no_reason")}
      />
      <//>
  `;
}

/** @param {FormProps} props */
function CancelForm({ downtime, onClose, onDone }) {
  const id = useRef(newKey());
  const [note, setNote] = useState("");
  const { run, isBusy, problem } = useTask(async () => {
    await post(path`/downtimes/v1/${downtime.id}/cancel`, { id: id.current, note: note.trim() || undefined });
    onDone();
  });
  return html`
    <${ActionForm}
      onSubmit=${run} onClose=${onClose} action=${t("shift.cancel")} isDanger
      isReady=${note.trim() !== ""} isBusy=${isBusy} problem=${problem}
    >
      <p>${t("shift.cancel_what")}</p>
      <${NoteField} value=${note} onChange=${setNote} isRequired label=${t("shift.cancel_why")} />
      <//>
  `;
}
