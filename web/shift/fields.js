/**
 * Fields of the dialogs.
 *
 * @module
 */
import { list } from "../shared/api.js";
import { t, wordsOf } from "../shared/messages.js";
import { html, useEffect, useRef, useState } from "../shared/view.js";
import { instantOf, localText } from "./zone.js";

/**
 * A time on the clocks of the plant. An untouched field keeps its milliseconds.
 *
 * @param {object} props
 * @param {string} props.label
 * @param {string | undefined} props.value An instant; undefined for a time that does not exist.
 * @param {(value: string | undefined) => void} props.onChange
 * @param {string} props.zone
 */
export function TimeField({ label, value, onChange, zone }) {
  const near = useRef(value === undefined ? Date.now() : Date.parse(value));
  const [text, setText] = useState(value === undefined ? "" : localText(value, zone));
  /** @param {Event} event */
  const onInput = (event) => {
    const written = /** @type {HTMLInputElement} */ (event.currentTarget).value;
    setText(written);
    onChange(instantOf(written, zone, near.current));
  };
  return html`
    <label>${label}
      <input
        type="datetime-local"
        step="1"
        required
        value=${text}
        aria-invalid=${value === undefined ? "true" : undefined}
        onInput=${onInput}
      />
    </label>
  `;
}

/** @typedef {{ code: string, description: string | null, parent: string | null, category: string | null }} Reason */

/** Reads the reasons of downtimes once; null until they are there. @returns {Reason[] | null} */
export function useReasons() {
  const [reasons, setReasons] = useState(/** @type {Reason[] | null} */ (null));
  useEffect(() => {
    list("/reason-codes/v1", { kind: "DOWNTIME", active: true }).then(setReasons, () => setReasons([]));
  }, []);
  return reasons;
}

/**
 * The reasons of downtimes, below what they belong to.
 *
 * @param {{ label: string, reasons: Reason[] | null, value: string, onChange: (code: string) => void, none?: string }} props
 *   `none` is the word for no reason, where one may be missing.
 */
export function ReasonField({ label, reasons, value, onChange, none }) {
  const parents = (reasons ?? []).filter(({ parent }) => parent === null);
  /** @param {Reason} reason */
  const option = ({ code, description }) =>
    html`<option key=${code} value=${code}>${description === null ? code : `${code}: ${description}`}</option>`;
  return html`
    <label>${label}
      <select
        required=${none === undefined}
        value=${value}
        onChange=${(/** @type {any} */ event) => onChange(event.currentTarget.value)}
      >
        <option value="">${none ?? t("shift.choose")}</option>
        ${parents.map((parent) => {
          const children = (reasons ?? []).filter((one) => one.parent === parent.code);
          return children.length === 0 ? option(parent) : html`
            <optgroup key=${parent.code} label=${parent.description ?? parent.code}>
              ${[parent, ...children].map(option)}
            </optgroup>
          `;
        })}
      </select>
    </label>
  `;
}

/** @param {{ value: string, onChange: (note: string) => void, isRequired?: boolean, label?: string }} props */
export function NoteField({ value, onChange, isRequired = false, label = t("shift.note") }) {
  return html`
    <label>${label}
      <textarea
        rows="2"
        required=${isRequired}
        maxlength="2000"
        value=${value}
        onInput=${(/** @type {any} */ event) => onChange(event.currentTarget.value)}
      ></textarea>
    </label>
  `;
}

/**
 * Returns a function that does something once at a time, and the words of its problem.
 *
 * @param {() => Promise<void>} task
 */
export function useTask(task) {
  const [problem, setProblem] = useState(/** @type {unknown} */ (null));
  const [isBusy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    setProblem(null);
    try {
      await task();
    } catch (error) {
      setProblem(error);
    }
    setBusy(false);
  };
  return { run, isBusy, problem };
}

/** @param {{ problem: unknown }} props */
export function ProblemBanner({ problem }) {
  const { message, code } = /** @type {any} */ (problem ?? {});
  const words = problem ? wordsOf(problem) : "";
  return html`
    <div role="alert">
      ${problem !== null && html`
        <div class="banner stop">
          <p>${words}${code && message && message !== words && message !== code && html`
            <br /><span class="small">${message}</span>
          `}</p>
        </div>
      `}
    </div>
  `;
}

/**
 * A form of a dialog with its buttons.
 *
 * @param {object} props
 * @param {() => void} props.onSubmit
 * @param {() => void} props.onClose
 * @param {string} props.action Name of the button that does it.
 * @param {boolean} [props.isDanger]
 * @param {boolean} props.isBusy
 * @param {boolean} [props.isReady] False while the button has nothing to do.
 * @param {unknown} props.problem
 * @param {any} [props.children]
 */
export function ActionForm({ onSubmit, onClose, action, isDanger = false, isBusy, isReady = true, problem, children }) {
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    onSubmit();
  };
  return html`
    <form class="stack" onSubmit=${submit}>
      ${children}
      <${ProblemBanner} problem=${problem} />
      <div class="row end">
        <button type="button" onClick=${onClose}>${t("shift.close")}</button>
        <button class=${isDanger ? "danger" : "main"} disabled=${isBusy || !isReady}>${action}</button>
      </div>
    </form>
  `;
}
