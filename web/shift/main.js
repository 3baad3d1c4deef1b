/** The shift: where the time of workplaces went, and what is to be explained or corrected. */
import { pause, Problem } from "../shared/api.js";
import { t, wordsOf } from "../shared/messages.js";
import { isOnline } from "../shared/network.js";
import { startPage } from "../shared/page.js";
import { State } from "../shared/state.js";
import { silentAfterMs } from "../shared/stream.js";
import { html, useEffect, useMemo, useNow, useState, useValue } from "../shared/view.js";
import { firstScope, placesOf, readPlant, readShifts, shiftOfNow, useChoice, zoneOf } from "./choice.js";
import { Controls, Heading } from "./controls.js";
import { CorrectDialog } from "./correct.js";
import { SaveCsv } from "./csv.js";
import { Figures } from "./figures.js";
import { IntervalDialog } from "./interval_dialog.js";
import { Pareto } from "./pareto.js";
import { useReports } from "./reports.js";
import { Timelines } from "./timeline.js";
import { Variance } from "./variance.js";
import { causeWords, minutesWords, patternOf, toneOf } from "./words.js";
import { clockToSecond } from "./zone.js";

/** After a failure. */
const retryMs = 5000;

/** More lanes are a report, and no page. */
const maxPlaces = 60;

/** Roles that read and do not report. */
const readers = ["readonly"];

/** @typedef {import("./choice.js").Choice} Choice */

/** @param {{ me: any }} props */
function Shift({ me }) {
  const [choice, choose] = useChoice();
  const [plant, setPlant] = useState(/** @type {import("./choice.js").Plant | null} */ (null));
  const [problem, setProblem] = useState(/** @type {unknown} */ (null));
  useEffect(
    () =>
      untilDone(async (signal) => {
        setPlant(await readPlant(me, signal));
        setProblem(null);
      }, setProblem),
    [me],
  );
  const isReady = plant !== null && plant.places.length > 0;
  return html`
    <div class="stack shift">
      ${isReady ? html`<${OneShift} plant=${plant} choice=${choice} onChoose=${choose} me=${me} />` : html`
        <h1>${t("shift.title")}</h1>
        ${problem !== null && html`<p class="banner stop" role="alert">${wordsOf(problem)}</p>`}
        ${plant !== null && html`<p class="banner wait">${t("shift.no_workplaces")}</p>`}
      `}
    </div>
  `;
}

/**
 * @param {{ plant: import("./choice.js").Plant, choice: Choice, onChoose: (next: Choice) => void, me: any }} props
 */
function OneShift({ plant, choice: asked, onChoose, me }) {
  const isOpen = location.search === "" && Object.keys(asked).length === 0;
  const scoped = isOpen ? firstScope(plant) : asked;
  const places = placesOf(plant, scoped);
  const zone = zoneOf(plant, places);
  const names = JSON.stringify(places.map(({ name }) => name));
  const { shifts, problem: shiftsProblem } = useShifts(places, names, scoped.shift_date);
  const choice = complete(scoped, shifts);
  const isShowable = places.length > 0 && places.length <= maxPlaces;
  const query = useMemo(() => queryOf(choice, zone), [JSON.stringify(choice), zone]);
  const { shown, problem: reportsProblem, live, again } = useReports(
    isShowable ? query : null,
    places.map(({ name }) => name),
  );
  const problem = reportsProblem ?? shiftsProblem;
  const [opened, setOpened] = useState(/** @type {any} */ (null));
  const close = () => setOpened(null);
  const done = () => {
    close();
    again();
  };
  const mayReport = !readers.includes(me.role);
  return html`
    <div class="row between">
      <div>
        <h1>${t("shift.title")}</h1>
        <${Heading} choice=${choice} total=${shown?.total} zone=${zone} />
      </div>
      ${live !== null && shown !== null &&
        html`<${Liveness} live=${live} shown=${shown} problem=${problem} zone=${zone} />`}
    </div>
    <${Controls} plant=${plant} choice=${choice} shifts=${shifts} zone=${zone} onChoose=${onChoose} />
    ${problem !== null && html`<${ReadingProblem} problem=${problem} choice=${choice} />`}
    ${places.length === 0 && html`<p class="banner wait" role="alert">${t("shift.not_yours")}</p>`}
    ${places.length > maxPlaces && html`
      <p class="banner wait" role="alert">${t("shift.too_many", { count: places.length, most: maxPlaces })}</p>
    `}
    ${shown === null && problem === null && isShowable && html`
      <p class="soft" role="status">${t("shift.loading")}</p>
    `}
    ${shown !== null && html`
      <${Results} shown=${shown} query=${query} zone=${zone} mayReport=${mayReport} onOpen=${setOpened} />
    `}
    ${opened?.interval &&
      html`<${IntervalDialog} ...${opened} zone=${zone} mayReport=${mayReport} onClose=${close} onDone=${done} />`}
    ${opened?.operation && html`<${CorrectDialog} ...${opened} zone=${zone} onClose=${close} onDone=${done} />`}
  `;
}

/**
 * Returns the shifts around a day, today by default; null until they are read.
 *
 * @param {import("./choice.js").Place[]} places
 * @param {string} names The names of the places: shifts are read again when they are others.
 * @param {string | undefined} date
 */
function useShifts(places, names, date) {
  const [found, setFound] = useState({
    shifts: /** @type {import("./choice.js").Shift[] | null} */ (null),
    problem: /** @type {unknown} */ (null),
  });
  useEffect(
    () =>
      untilDone(async (signal) => {
        const around = date === undefined ? Date.now() : Date.parse(date);
        setFound({ shifts: await readShifts(places, around, signal), problem: null });
      }, (problem) => setFound((before) => ({ ...before, problem }))),
    [names, date],
  );
  return found;
}

/**
 * Reads something, and tries again while that fails.
 *
 * @param {(signal: AbortSignal) => Promise<void>} read
 * @param {(problem: unknown) => void} onProblem
 * @returns {() => void} Ends it.
 */
function untilDone(read, onProblem) {
  const ending = new AbortController();
  const { signal } = ending;
  const attempt = async () => {
    for (;;) {
      try {
        return await read(signal);
      } catch (problem) {
        if (signal.aborted) return;
        onProblem(problem);
      }
      await pause(retryMs, signal);
    }
  };
  attempt().catch(() => {});
  return () => ending.abort();
}

/**
 * Fills in what is not chosen: the shift of now, or the last eight hours where there are no shifts.
 *
 * @param {Choice} choice
 * @param {import("./choice.js").Shift[] | null} shifts
 * @returns {Choice}
 */
function complete(choice, shifts) {
  if (shifts === null || choice.from !== undefined || choice.shift_date !== undefined) return choice;
  const now = Date.now();
  const shift = shiftOfNow(shifts, now);
  if (shift) return { ...choice, shift_date: shift.shift_date, shift_code: shift.shift_code };
  const hour = Math.floor(now / 3_600_000) * 3_600_000;
  return {
    ...choice,
    from: new Date(hour - 7 * 3_600_000).toISOString(),
    to: new Date(hour + 3_600_000).toISOString(),
  };
}

/**
 * Returns the parameters of the reports; null while the choice is not complete.
 *
 * @param {Choice} choice
 * @param {string} zone
 */
function queryOf(choice, zone) {
  const { from, to, shift_date, shift_code } = choice;
  const isComplete = (from !== undefined && to !== undefined) || (shift_date !== undefined && shift_code !== undefined);
  return isComplete ? /** @type {Record<string, string>} */ ({ ...choice, time_zone: zone }) : null;
}

/**
 * Says how old the page is: it never looks alive when it is not.
 *
 * @param {{ live: NonNullable<ReturnType<typeof useReports>["live"]>, shown: any, problem: unknown, zone: string }} props
 */
function Liveness({ live, shown, problem, zone }) {
  const { phase, heardAt } = useValue(live);
  const online = useValue(isOnline);
  const isHeard = useNow(1000) - heardAt < silentAfterMs;
  const isAlive = online && isHeard && phase !== "ended" && problem === null;
  const state = !isAlive ? "not_live" : phase === "live" ? "live" : "connecting";
  const time = clockToSecond(shown.asOf, zone);
  return html`
    <div class="liveness row small" data-live=${state}>
      ${state === "not_live"
        ? html`<p class="banner stop numbers" role="alert">${t("shift.stale", { time })}</p>`
        : html`<${State} tone=${state === "live" ? "run" : "wait"}>${t(`shift.alive_${state}`)}<//>
          <span class="numbers">${t("shift.as_of", { time })}</span>`}
    </div>
  `;
}

/** @param {{ problem: unknown, choice: Choice }} props */
function ReadingProblem({ problem, choice }) {
  const isUnknownShift = problem instanceof Problem && JSON.stringify(problem.more).includes("unknown_shift");
  return html`
    <p class=${`banner ${isUnknownShift ? "wait" : "stop"}`} role="alert">
      ${isUnknownShift
        ? t("shift.no_shift", { code: choice.shift_code ?? "", date: choice.shift_date ?? "" })
        : wordsOf(problem)}
    </p>
  `;
}

/**
 * @param {object} props
 * @param {import("./reports.js").Shown} props.shown
 * @param {any} props.query
 * @param {string} props.zone
 * @param {boolean} props.mayReport
 * @param {(what: any) => void} props.onOpen
 */
function Results({ shown, query, zone, mayReport, onOpen }) {
  const { total, rows, losses, scrap, operations } = shown;
  const from = Date.parse(total.from);
  const to = Date.parse(total.to);
  const lanes = [...shown.timelines].map(([name, { report }]) => ({ name, report, row: rows.get(name) }));
  const { workplace_group: _, ...window } = query;
  const name = (/** @type {string} */ what) =>
    `${[what, query.shift_date ?? query.from.slice(0, 10), query.shift_code].filter(Boolean).join("-")}.csv`;
  /** @param {import("./timeline.js").LaneOfTime} lane @param {import("./words.js").Interval} interval */
  const open = (lane, interval) => {
    const isLast = total.isPassing && interval === lane.report.intervals.at(-1);
    onOpen({ workplace: lane.name, interval, neighbours: lane.report.intervals, isLast });
  };
  return html`
    <${Figures} total=${total} tools=${html`
      <${SaveCsv} name=${name("oee")} what=${t("shift.oee_long")} sources=${[
        { path: "/reports/v1/oee", query: { ...query, by: "workplace" } },
      ]} />
    `} />
    <section class="card stack timelines" aria-labelledby="timelines">
      <div class="row between">
        <h2 id="timelines">${t("shift.timelines")}</h2>
        <${SaveCsv} name=${name("timeline")} what=${t("shift.timelines")} sources=${lanes.map((lane) => ({
          path: "/reports/v1/timeline",
          query: { ...window, workplace_name: lane.name },
        }))} />
      </div>
      <${Timelines} lanes=${lanes} from=${from} to=${to} zone=${zone} onOpen=${open} />
    </section>
    <div class="halves">
      <${Pareto} title=${t("shift.losses")} unit=${t("shift.duration")} none=${t("shift.no_losses")}
        rows=${(losses?.losses ?? []).map(lossRow)}
        tools=${html`
          <${SaveCsv} name=${name("losses")} what=${t("shift.losses")} sources=${[{
            path: "/reports/v1/losses",
            query,
          }]} />
        `} />
      <${Pareto} title=${t("shift.scrap")} unit=${t("shift.pieces")} none=${t("shift.no_scrap")}
        rows=${(scrap?.scrap ?? []).map(scrapRow)}
        tools=${html`
          <${SaveCsv} name=${name("scrap")} what=${t("shift.scrap")} sources=${[{
            path: "/reports/v1/scrap",
            query,
          }]} />
        `} />
    </div>
    <${Variance} operations=${operations} zone=${zone}
      onCorrect=${mayReport ? (/** @type {any} */ operation) => onOpen({ operation }) : null}
      tools=${html`
        <${SaveCsv} name=${name("operations")} what=${t("shift.variance")} sources=${[
          { path: "/reports/v1/operations", query },
        ]} />
      `} />
  `;
}

/** @param {any} loss @returns {import("./pareto.js").ParetoRow} */
const lossRow = (loss) => ({
  name: causeWords(loss),
  amount: minutesWords(loss.minutes),
  count: loss.count,
  share: loss.share ?? 0,
  tone: toneOf(loss),
  pattern: patternOf(loss),
});

/** @param {any} scrap @returns {import("./pareto.js").ParetoRow} */
const scrapRow = ({ reason_code, sq, count, share }) => ({
  name: reason_code ?? t("shift.no_reason"),
  amount: String(sq),
  count,
  share: share ?? 0,
  tone: "stop",
  pattern: "fault",
});

await startPage({ name: "shift", view: Shift, isWide: true });
