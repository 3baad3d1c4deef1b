/**
 * The figures of the shift: OEE with what it is made of, and why a number is missing.
 *
 * @module
 */
import { number } from "../shared/formats.js";
import { t } from "../shared/messages.js";
import { html } from "../shared/view.js";
import { minutesWords, patternOf, ratioWords, reasonWords, toneOf, warningWords } from "./words.js";

const factors = /** @type {const} */ (["availability", "effectiveness", "quality_ratio"]);
const parts = /** @type {const} */ (["APT", "AUST", "ADET", "ADOT", "PDOT"]);

/** @param {{ total: any, tools: any }} props `total` is the row of the report of OEE. */
export function Figures({ total, tools }) {
  const { ratios, reasons, pieces, warnings, coverage, partial } = total;
  return html`
    <section class="card figures" aria-labelledby="figures">
      <div class="oee">
        <h2 id="figures">${t("shift.oee_long")}</h2>
        <${Ratio} name="oee" ratio=${ratios.oee} reason=${reasons.oee} />
        ${partial && html`<p class="soft small">${t("shift.partial", { coverage: ratioWords(coverage, 0) })}</p>`}
      </div>
      <dl class="factors">
        ${factors.map((name) =>
          html`
            <div key=${name}>
              <dt>${t(`shift.ratio_${name}`)}</dt>
              <dd>
                <${Ratio} name=${name} ratio=${ratios[name]} reason=${reasons[name]} />
              </dd>
            </div>
          `
        )}
        <div>
          <dt>${t("shift.pieces")}</dt>
          <dd>
            <span class="ratio numbers">${number(pieces.gq)}</span>
            <span class="soft small">${t("shift.scrap_pieces", { count: pieces.sq })}</span>
          </dd>
        </div>
      </dl>
      <${Elements} elements=${total.elements} />
      <div class="tools">${tools}</div>
      ${warnings.length > 0 && html`
        <ul class="warnings small">
          ${warnings.map((/** @type {any} */ warning) => html`<li key=${warning.code}>${warningWords(warning)}</li>`)}
        </ul>
      `}
    </section>
  `;
}

/** @param {{ name: string, ratio: number | null, reason: string | undefined }} props */
function Ratio({ name, ratio, reason }) {
  return html`
    <span class="ratio numbers" data-ratio=${name}>${ratioWords(ratio)}</span>
    ${ratio === null && html`<span class="soft small">${reasonWords(reason)}</span>`}
  `;
}

/** @param {{ elements: Record<string, number | null> }} props */
function Elements({ elements }) {
  /** @param {string} bucket */
  const minutes = (bucket) => elements[`${bucket.toLowerCase()}_min`];
  const whole = parts.reduce((sum, bucket) => sum + (minutes(bucket) ?? 0), 0);
  return html`
    <div class="elements">
      <div class="parts" aria-hidden="true">
        ${parts.map((bucket) => {
          const cause = { bucket, detail: null, reason_code: "" };
          return html`
            <span
              key=${bucket}
              class=${`tone-${toneOf(cause)} pattern-${patternOf(cause)}`}
              style=${{ width: `${whole > 0 ? 100 * (minutes(bucket) ?? 0) / whole : 0}%` }}
            ></span>
          `;
        })}
      </div>
      <dl class="numbers small">
        ${["POT", "PDOT", "PBT", "APT", "AUST", "ADET", "ADOT"].map((bucket) =>
          html`
            <div key=${bucket}>
              <dt>${t(`shift.bucket_${bucket}`)} <abbr>${bucket}</abbr></dt>
              <dd>${minutes(bucket) === null ? "–" : minutesWords(minutes(bucket) ?? 0)}</dd>
            </div>
          `
        )}
      </dl>
    </div>
  `;
}
