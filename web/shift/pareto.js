/**
 * Pareto charts: causes by their share, the most first, with the cumulative line. The chart is a table, so it needs no
 * second form for those who do not see it.
 *
 * @module
 */
import { html } from "../shared/view.js";
import { t } from "../shared/messages.js";
import { ratioWords } from "./words.js";

/**
 * @typedef {object} ParetoRow
 * @property {string} name
 * @property {string} [why] What the code means.
 * @property {string} amount
 * @property {number} count
 * @property {number} share Of the whole, 0 to 1.
 * @property {import("../shared/state.js").Tone} tone
 * @property {string} pattern
 */

/**
 * @param {{ title: string, unit: string, rows: ParetoRow[], none: string, tools: any }} props `tools` stand beside the
 *   title.
 */
export function Pareto({ title, unit, rows, none, tools }) {
  let sum = 0;
  const sums = rows.map(({ share }) => (sum += share));
  return html`
    <section class="card stack pareto" aria-label=${title}>
      <div class="row between"><h2>${title}</h2>${tools}</div>
      ${rows.length === 0 ? html`<p class="soft">${none}</p>` : html`
        <table>
          <thead>
            <tr>
              <th>${t("shift.cause")}</th>
              <th><span class="visually-hidden">${t("shift.share")}</span></th>
              <th class="number">${unit}</th>
              <th class="number">${t("shift.count")}</th>
              <th class="number">${t("shift.cumulative")}</th>
            </tr>
          </thead>
          <tbody>
            ${rows.map((row, no) =>
              html`
                <tr key=${row.name}>
                  <td>${row.name}${row.why && html`<br /><span class="soft small">${row.why}</span>`}</td>
                  <td class="chart">
                    <span
                      class=${`tone-${row.tone} pattern-${row.pattern}`}
                      style=${{ width: `${100 * row.share}%` }}
                    ></span>
                    <${Line} before=${sums[no - 1]} here=${sums[no] ?? 0} after=${sums[no + 1]} />
                    <span class="visually-hidden">${ratioWords(row.share)}</span>
                  </td>
                  <td class="number">${row.amount}</td>
                  <td class="number">${row.count}</td>
                  <td class="number">${ratioWords(sums[no], 0)}</td>
                </tr>
              `
            )}
          </tbody>
        </table>
      `}
    </section>
  `;
}

/**
 * The part of the cumulative line in a row: from the middle of the way from the row before to that of the row after.
 *
 * @param {{ before: number | undefined, here: number, after: number | undefined }} props
 */
function Line({ before, here, after }) {
  /** @param {number} share */
  const x = (share) => `${100 * Math.min(share, 1)}%`;
  return html`
    <svg aria-hidden="true">
      ${before !== undefined && html`<line x1=${x((before + here) / 2)} y1="0%" x2=${x(here)} y2="50%" />`}
      ${after !== undefined && html`<line x1=${x(here)} y1="50%" x2=${x((here + after) / 2)} y2="100%" />`}
      <circle cx=${x(here)} cy="50%" r="4" />
    </svg>
  `;
}
