/** The plan: operations by workplace with planned and actual times, and what a planner does with them. */
import { list } from "../shared/api.js";
import { time } from "../shared/formats.js";
import { t, wordsOf } from "../shared/messages.js";
import { startPage } from "../shared/page.js";
import { silentAfterMs } from "../shared/stream.js";
import { html, useEffect, useMemo, useNow, useState } from "../shared/view.js";
import { Axis, lengths, moved, windowOf } from "./axis.js";
import { BulkChange } from "./bulk.js";
import { filterOfAddress, Filters, keepInAddress, wordsOfFilter } from "./filters.js";
import { OneOperation } from "./one.js";
import { byWorkplace, keyOf, mostShown, usePlan } from "./operations.js";
import { Workplace } from "./rows.js";

/** Roles that may change many operations at once. */
const planners = ["supervisor", "manager", "admin"];

/** @param {{ me: any }} props */
function Plan({ me }) {
  const [filter, setFilter] = useState(filterOfAddress);
  const [hours, setHours] = useState(lengths[1] ?? 48);
  const [shown, setShown] = useState(() => windowOf(hours));
  const [opened, setOpened] = useState(/** @type {any} */ (null));
  const [isBulk, setBulk] = useState(false);
  const [said, setSaid] = useState("");
  const now = useNow(10_000);
  const workplaces = useWorkplaces();
  const { operations, hasMore, runs, problem, stream, reload } = usePlan(filter, shown);
  const places = useMemo(() => byWorkplace(operations ?? [], now), [operations, now]);

  /** @param {import("./operations.js").Filter} next */
  const onFilter = (next) => {
    setFilter(next);
    keepInAddress(next);
  };
  /** @param {number} length */
  const onLength = (length) => {
    setHours(length);
    setShown(windowOf(length));
  };
  /** @param {string} text */
  const onDone = (text) => {
    setOpened(null);
    setSaid(text);
    reload();
  };
  const named = [filter.group, ...workplaces.map(({ workplace_group }) => workplace_group)];
  const groups = [...new Set(named.filter(Boolean))].sort();

  return html`
    <div class="plan stack">
      <div class="row top">
        <h1>${t("plan.title")}</h1>
        <${Span} hours=${hours} onLength=${onLength} onMove=${(/** @type {-1 | 1} */ way) =>
          setShown(moved(shown, way))}
          onNow=${() => setShown(windowOf(hours))} />
        ${planners.includes(me.role) && html`
          <button onClick=${() => setBulk(true)} disabled=${!operations?.length}>${t("plan.bulk")}</button>
        `}
      </div>
      <${Filters} filter=${filter} groups=${groups} onChange=${onFilter} />
      <${Silence} stream=${stream} />
      ${problem && html`<p class="banner stop" role="alert">${wordsOf(problem)}</p>`}
      ${hasMore && html`<p class="banner wait">${t("plan.more", { count: mostShown })}</p>`}
      <p class="said" role="status">${said}</p>
      ${operations !== null && operations.length === 0 && html`<p class="soft">${t("plan.none")}</p>`}
      ${places.length > 0 && html`
        <div class="board" onKeyDown=${onArrow}>
          <div class="axis-line"><${Legend} /><${Axis} shown=${shown} now=${now} /></div>
          ${places.map((place) =>
            html`
              <${Workplace} key=${place
                .workplace} place=${place} runs=${runs} shown=${shown} now=${now} onOpen=${setOpened} />
            `
          )}
        </div>
      `}
      ${opened && html`
        <${OneOperation} key=${keyOf(opened)} operation=${opened} onClose=${() => setOpened(null)} onDone=${onDone} />
      `}
      ${isBulk && html`
        <${BulkChange} filter=${filter} operations=${operations} filterWords=${wordsOfFilter(
          filter,
        )} workplaces=${workplaces.map(({ name }) => name)}
          onClose=${() => setBulk(false)} onDone=${reload} />
      `}
    </div>
  `;
}

/** @returns {{ name: string, workplace_group: string | null }[]} */
function useWorkplaces() {
  const [workplaces, setWorkplaces] = useState(/** @type {any[]} */ ([]));
  useEffect(() => {
    const ending = new AbortController();
    // without them the filter has no groups, and all else works
    list("/workplaces/v1", {}, { signal: ending.signal }).then(setWorkplaces, () => {});
    return () => ending.abort();
  }, []);
  return workplaces;
}

/** The arrow keys go from operation to operation. @param {KeyboardEvent} event */
function onArrow(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const names = [.../** @type {HTMLElement} */ (event.currentTarget).querySelectorAll("button.name")];
  const at = names.indexOf(/** @type {Element} */ (event.target));
  if (step === undefined || at < 0) return;
  event.preventDefault();
  /** @type {HTMLElement | undefined} */ (names[at + step])?.focus();
}

/**
 * @param {{ hours: number, onLength: (hours: number) => void, onMove: (way: -1 | 1) => void, onNow: () => void }} props
 */
function Span({ hours, onLength, onMove, onNow }) {
  return html`
    <div class="row span">
      <button aria-label=${t("plan.earlier")} onClick=${() => onMove(-1)}>←</button>
      <button onClick=${onNow}>${t("plan.now")}</button>
      <button aria-label=${t("plan.later")} onClick=${() => onMove(1)}>→</button>
      <select aria-label=${t("plan.span")} value=${hours}
        onChange=${(/** @type {any} */ event) => onLength(Number(event.currentTarget.value))}>
        ${lengths.map((one) => html`<option key=${one} value=${one}>${t(`plan.span_${one}`)}</option>`)}
      </select>
    </div>
  `;
}

function Legend() {
  return html`
    <p class="legend small soft">
      <span><i class="bar planned"></i>${t("plan.planned")}</span>
      <span><i class="bar worked tone-setup"></i>${t("plan.setup")}</span>
      <span><i class="bar worked tone-run"></i>${t("plan.processing")}</span>
    </p>
  `;
}

/** Says that what is shown may be old. @param {{ stream: import("../shared/stream.js").StreamState | null }} props */
function Silence({ stream }) {
  const now = useNow(1000);
  if (stream === null) return null;
  const isEnded = stream.phase === "ended";
  if (!isEnded && now - stream.heardAt < silentAfterMs) return null;
  return html`
    <p class="banner wait" role="alert">
      ${t("plan.silent", { time: time(stream.heardAt) })} ${stream.problem && wordsOf(stream.problem)}
    </p>
  `;
}

await startPage({ name: "plan", view: Plan, isWide: true });
