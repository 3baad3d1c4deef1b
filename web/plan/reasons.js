/**
 * The choice of a reason code.
 *
 * @module
 */
import { list } from "../shared/api.js";
import { t, wordsOf } from "../shared/messages.js";
import { html, useEffect, useState } from "../shared/view.js";

/**
 * Shows the active reason codes of a kind.
 *
 * @param {{ kind: "HOLD" | "CANCEL", value: string, onChange: (code: string) => void }} props
 */
export function ReasonChoice({ kind, value, onChange }) {
  const [codes, setCodes] = useState(/** @type {{ code: string, description: string | null }[]} */ ([]));
  const [problem, setProblem] = useState(/** @type {unknown} */ (null));
  useEffect(() => {
    const ending = new AbortController();
    list("/reason-codes/v1", { kind }, { signal: ending.signal })
      .then((found) => setCodes(found.filter(({ active }) => active)))
      .catch((error) => ending.signal.aborted || setProblem(error));
    return () => ending.abort();
  }, [kind]);
  return html`
    <label>${t("plan.reason")}
      <select required value=${value} onChange=${(/** @type {any} */ event) => onChange(event.currentTarget.value)}>
        <option value="">${t("plan.choose")}</option>
        ${codes.map(({ code, description }) => html`<option key=${code} value=${code}>${description ?? code}</option>`)}
      </select>
    </label>
    ${problem && html`<p class="error" role="alert">${wordsOf(problem)}</p>`}
  `;
}
