/**
 * The timelines of the workplaces: a lane each, on one axis of time. An interval has colour, pattern, height and a name;
 * the same is in a table, for those who do not see the lanes.
 *
 * @module
 */
import { t } from "../shared/messages.js";
import { StateIcon } from "../shared/state.js";
import { html, useRef, useState } from "../shared/view.js";
import {
  causeWords,
  elements,
  intervalWords,
  isUnexplained,
  minutesWords,
  operationName,
  patternOf,
  ratioWords,
  stateWords,
  toneOf,
} from "./words.js";
import { clock, dayOf, offsetMs } from "./zone.js";

/** Steps of the axis in minutes; the first that makes few enough of them is taken. */
const steps = [5, 10, 15, 30, 60, 120, 180, 360, 720, 1440];
const maxTicks = 12;

/**
 * @typedef {import("./words.js").Interval} Interval
 *
 * @typedef {object} LaneOfTime
 * @property {string} name Workplace.
 * @property {any} report `GET /reports/v1/timeline`.
 * @property {any} row Its row of the report of OEE.
 *
 * @typedef {(lane: LaneOfTime, interval: Interval) => void} OnOpen
 */

/**
 * @param {{ lanes: LaneOfTime[], from: number, to: number, zone: string, onOpen: OnOpen }} props
 */
export function Timelines({ lanes, from, to, zone, onOpen }) {
  const [told, setTold] = useState("");
  /** @param {number} ms */
  const width = (ms) => `${100 * ms / (to - from)}%`;
  return html`
    <${Legend} />
    <div class="lanes-scroll">
      <div class="lanes">
        <${Axis} from=${from} to=${to} zone=${zone} width=${width} />
        ${lanes.map((lane) =>
          html`
            <${Lane} key=${lane.name} lane=${lane} zone=${zone} from=${from} width=${width} onOpen=${onOpen}
              onTell=${setTold} />
          `
        )}
      </div>
    </div>
    <p class="told numbers" aria-hidden="true">${told || t("shift.tell")}</p>
    <div class="tables stack">
      ${lanes.map((lane) => html`<${IntervalTable} key=${lane.name} lane=${lane} zone=${zone} onOpen=${onOpen} />`)}
    </div>
  `;
}

function Legend() {
  return html`
    <ul class="legend small">
      ${elements.map((bucket) => {
        const cause = { bucket, detail: null, reason_code: "" };
        return html`
          <li key=${bucket}>
            <span class=${`swatch tone-${toneOf(cause)} pattern-${patternOf(cause)}`}></span>${t(
              `shift.bucket_${bucket}`,
            )}
          </li>
        `;
      })}
      <li><span class="swatch tone-stop pattern-fault"></span>${t("shift.detail_fault")}</li>
      <li><span class="swatch tone-wait pattern-unexplained"></span>${t("shift.unexplained")}</li>
    </ul>
  `;
}

/** @param {{ from: number, to: number, zone: string, width: (ms: number) => string }} props */
function Axis({ from, to, zone, width }) {
  const minutes = (to - from) / 60_000;
  const step = (steps.find((one) => minutes / one <= maxTicks) ?? 1440) * 60_000;
  const offset = offsetMs(from, zone);
  const first = Math.ceil((from + offset) / step) * step - offset;
  const ticks = Array.from({ length: Math.max(0, Math.ceil((to - first) / step)) }, (_, no) => first + no * step);
  return html`
    <div class="axis numbers" aria-hidden="true">
      ${ticks.map((at) =>
        html`
          <span key=${at} style=${{ left: width(at - from) }}>
            ${(at + offset) % 86_400_000 === 0 ? dayOf(at, zone) : clock(at, zone)}
          </span>
        `
      )}
    </div>
  `;
}

/**
 * @param {object} props
 * @param {LaneOfTime} props.lane
 * @param {string} props.zone
 * @param {number} props.from Begin of the axis.
 * @param {(ms: number) => string} props.width
 * @param {OnOpen} props.onOpen
 * @param {(words: string) => void} props.onTell
 */
function Lane({ lane, zone, from, width, onOpen, onTell }) {
  /** @type {Interval[]} */
  const intervals = lane.report.intervals;
  const element = useRef(/** @type {HTMLElement | null} */ (null));
  // one stop of the Tab key for each lane; the arrow keys go from interval to interval
  const [current, setCurrent] = useState(0);
  const reachable = Math.min(current, intervals.length - 1);
  const gaps = intervals.filter(isUnexplained);
  const lost = gaps.reduce((sum, { minutes }) => sum + minutes, 0);

  /** @param {KeyboardEvent} event */
  const onKeyDown = (event) => {
    const { key } = event;
    const next = key === "ArrowRight"
      ? reachable + 1
      : key === "ArrowLeft"
      ? reachable - 1
      : key === "Home"
      ? 0
      : key === "End"
      ? intervals.length - 1
      : undefined;
    if (next === undefined) return;
    event.preventDefault();
    const wanted = /** @type {HTMLElement | undefined} */ (element.current?.children[next]);
    wanted?.focus();
  };
  return html`
    <section class="lane" aria-label=${lane.name}>
      <header>
        <h3>${lane.name}</h3>
        <span class="soft small numbers">
          ${t("shift.oee")} ${ratioWords(lane.row?.ratios.oee, 0)}
          ${gaps.length > 0 && html`
            <span class="to-explain">
              ${t("shift.gaps", { count: gaps.length, duration: minutesWords(lost) })}
            </span>
          `}
        </span>
      </header>
      <div class="bar" role="group" aria-label=${t("shift.timeline_of", { name: lane.name })} ref=${element}
        onKeyDown=${onKeyDown} onMouseLeave=${() => onTell("")}>
        ${intervals.map((interval, no) => {
          const begin = Date.parse(interval.from);
          const words = intervalWords(interval, zone);
          const tell = () => onTell(`${lane.name}: ${words}`);
          return html`
            <button
              key=${interval.from}
              class=${`interval tone-${toneOf(interval)} pattern-${patternOf(interval)}`}
              style=${{
                left: width(begin - from),
                width: width(Date.parse(interval.to) - begin),
              }}
              tabindex=${no === reachable ? 0 : -1}
              data-from=${interval.from}
              data-to=${interval.to}
              data-bucket=${interval.bucket}
              data-detail=${interval.detail}
              aria-label=${words}
              onClick=${() => onOpen(lane, interval)}
              onMouseEnter=${tell}
              onFocus=${() => {
                setCurrent(no);
                tell();
              }}
            >
              ${interval.bucket !== "OFF" && html`
                <span class="chip" aria-hidden="true">
                  <${StateIcon} tone=${toneOf(interval)} /><span>${interval.reason_code ?? stateWords(interval)}</span>
                </span>
              `}
            </button>
          `;
        })}
      </div>
    </section>
  `;
}

/** @param {{ lane: LaneOfTime, zone: string, onOpen: OnOpen }} props */
function IntervalTable({ lane, zone, onOpen }) {
  const [isOpen, setOpen] = useState(false);
  /** @type {Interval[]} */
  const intervals = lane.report.intervals;
  /** @param {Event} event */
  const onToggle = (event) => setOpen(/** @type {HTMLDetailsElement} */ (event.currentTarget).open);
  return html`
    <details onToggle=${onToggle}>
      <summary>${t("shift.table_of", { name: lane.name, count: intervals.length })}</summary>
      ${isOpen && html`
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th>${t("shift.from")}</th>
                <th>${t("shift.to")}</th>
                <th class="number">${t("shift.duration")}</th>
                <th>${t("shift.state")}</th>
                <th>${t("shift.operations")}</th>
                <th>${t("shift.action")}</th>
              </tr>
            </thead>
            <tbody>
              ${intervals.map((interval) =>
                html`
                  <tr key=${interval.from}>
                    <td class="numbers">${clock(interval.from, zone)}</td>
                    <td class="numbers">${clock(interval.to, zone)}</td>
                    <td class="number">${minutesWords(interval.minutes)}</td>
                    <td>
                      <span class=${`state tone-${toneOf(interval)}`}>
                        <${StateIcon} tone=${toneOf(interval)} />${causeWords(interval)}
                      </span>
                    </td>
                    <td class="numbers">${interval.operations.map(operationName).join(", ")}</td>
                    <td>
                      <button
                        onClick=${() => onOpen(lane, interval)}
                        aria-label=${`${t("shift.open")}: ${intervalWords(interval, zone)}`}
                      >
                        ${t("shift.open")}
                      </button>
                    </td>
                  </tr>
                `
              )}
            </tbody>
          </table>
        </div>
      `}
    </details>
  `;
}
