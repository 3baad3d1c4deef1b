/**
 * Plan and reality of the operations that were worked on in the shift.
 *
 * @module
 */
import { number } from "../shared/formats.js";
import { t } from "../shared/messages.js";
import { html } from "../shared/view.js";
import { minutesWords, operationName, ratioWords, varianceWords } from "./words.js";
import { clock, dayOf } from "./zone.js";

/**
 * @param {{ operations: { rows: any[], hasMore: boolean }, zone: string, onCorrect: ((operation: any) => void) | null,
 *   tools: any }} props
 */
export function Variance({ operations: { rows, hasMore }, zone, onCorrect, tools }) {
  return html`
    <section class="card stack" aria-labelledby="variance">
      <div class="row between"><h2 id="variance">${t("shift.variance")}</h2>${tools}</div>
      ${rows.length === 0 ? html`<p class="soft">${t("shift.no_operations")}</p>` : html`
        <div class="scroll" tabindex="0" role="group" aria-labelledby="variance">
          <table class="variance">
            <thead>
              <tr>
                <th>${t("shift.operation")}</th>
                <th>${t("shift.start")}</th>
                <th>${t("shift.end")}</th>
                <th class="number">${t("shift.setup")}</th>
                <th class="number">${t("shift.processing")}</th>
                <th class="number">${t("shift.pieces")}</th>
                <th class="number">${t("shift.first_pass")}</th>
                ${onCorrect && html`<th>${t("shift.action")}</th>`}
              </tr>
            </thead>
            <tbody>
              ${rows.map((row) =>
                html`
                  <tr key=${`${row.order_no} ${row.asset_id} ${row.operation_no}`}>
                    <td class="numbers">
                      <strong>${operationName(row)}</strong><br />
                      <span class="soft small">${row.workplace_name}</span>
                    </td>
                    <td><${Moment} at=${row.actual_start_at} variance=${row.start_variance_min} zone=${zone} /></td>
                    <td><${Moment} at=${row.actual_end_at} variance=${row.end_variance_min} zone=${zone} /></td>
                    <td class="number"><${Effort} minutes=${row.setup} /></td>
                    <td class="number"><${Effort} minutes=${row.processing} /></td>
                    <td class="number">
                      ${number(row.pieces.gq)}
                      ${row.pieces.sq > 0 && html`
                        <br /><span class="soft small">${t("shift.scrap_pieces", { count: row.pieces.sq })}</span>
                      `}
                    </td>
                    <td class="number">${ratioWords(row.first_pass_yield, 0)}</td>
                    ${onCorrect && html`
                      <td>
                        ${row.actual_start_at && html`
                          <button
                            onClick=${() => onCorrect(row)}
                            aria-label=${`${t("shift.correct")}: ${operationName(row)}`}
                          >
                            ${t("shift.correct")}
                          </button>
                        `}
                      </td>
                    `}
                  </tr>
                `
              )}
            </tbody>
          </table>
        </div>
        ${hasMore && html`<p class="soft small">${t("shift.more_operations", { count: rows.length })}</p>`}
      `}
    </section>
  `;
}

/** @param {{ at: string | null, variance: number | null, zone: string }} props */
function Moment({ at, variance, zone }) {
  if (at === null) return "–";
  return html`
    <span class="numbers">${clock(at, zone)} <span class="soft small">${dayOf(at, zone)}</span></span>
    ${variance !== null && html`
      <br /><span class=${`numbers small ${variance >= 1 ? "late" : "soft"}`}>${varianceWords(variance)}</span>
    `}
  `;
}

/** @param {{ minutes: { target_min: number | null, actual_min: number | null } }} props */
function Effort({ minutes: { target_min, actual_min } }) {
  return html`
    ${actual_min === null ? "–" : minutesWords(actual_min)}
    ${target_min !== null && html`
      <br /><span class="soft small">${t("shift.planned", { duration: minutesWords(target_min) })}</span>
    `}
  `;
}
