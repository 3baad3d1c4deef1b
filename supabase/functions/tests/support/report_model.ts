/**
 * A second reading of how reports count time, minute by minute: the tests compare it with the database.
 *
 * @module
 */

/** A span of minutes of the day, its end excluded. */
export interface Span {
  from: number;
  to: number;
}

/** An operation as its story leaves it. */
export interface ModelOperation {
  /** Target in minutes per piece; null = none. */
  target: number | null;
  runs: (Span & { phase: "SETUP" | "PROCESSING" })[];
  pauses: (Span & { isPlanned: boolean })[];
  reports: { at: number; good: number; scrap: number }[];
  /** Good pieces that were made scrap of afterwards. */
  corrected: number;
}

export interface ModelPlant {
  /** Null = no calendar. */
  shifts: Span[] | null;
  breaks: Span[];
  downtimes: (Span & { isPlanned: boolean })[];
  /** 1 for UNIT. */
  slots: number;
  operations: ModelOperation[];
}

export interface ModelFigures {
  pot: number;
  pdot: number;
  apt: number;
  aust: number;
  adet: number;
  adot: number;
  aptKnown: number;
  pq: number;
  gq: number;
  earned: number;
  earnedGood: number;
  outsideApt: number;
  outsidePq: number;
}

const within = (spans: Span[], minute: number) => spans.some(({ from, to }) => from <= minute && minute < to);

/** Pieces of each operation by minute, and those without processing time at the minute at which they were reported. */
function piecesOf({ runs, reports, corrected }: ModelOperation) {
  const processing = runs.filter(({ phase }) => phase === "PROCESSING");
  const minutesOf = (from: number, to: number) => {
    const minutes: number[] = [];
    for (const run of processing) {
      for (let minute = Math.max(run.from, from); minute < Math.min(run.to, to); minute++) minutes.push(minute);
    }
    return minutes;
  };
  const spread = new Map<number, { good: number; scrap: number }>();
  const points: { at: number; good: number; scrap: number }[] = [];
  const add = (minutes: number[], at: number, good: number, scrap: number) => {
    if (minutes.length === 0) points.push({ at, good, scrap });
    for (const minute of minutes) {
      const there = spread.get(minute) ?? { good: 0, scrap: 0 };
      spread.set(minute, { good: there.good + good / minutes.length, scrap: there.scrap + scrap / minutes.length });
    }
  };
  let after = -Infinity;
  for (const at of [...new Set(reports.map(({ at }) => at))].toSorted((a, b) => a - b)) {
    const together = reports.filter((report) => report.at === at);
    const sum = (name: "good" | "scrap") => together.reduce((total, report) => total + report[name], 0);
    add(minutesOf(after, at), at, sum("good"), sum("scrap"));
    after = at;
  }
  if (corrected > 0) add(minutesOf(-Infinity, Infinity), Infinity, -corrected, corrected);
  return { spread, points };
}

/** Counts the minutes and the pieces of a window. */
export function figuresOf(plant: ModelPlant, { from, to }: Span): ModelFigures {
  const f: ModelFigures = {
    ...{ pot: 0, pdot: 0, apt: 0, aust: 0, adet: 0, adot: 0, aptKnown: 0 },
    ...{ pq: 0, gq: 0, earned: 0, earnedGood: 0, outsideApt: 0, outsidePq: 0 },
  };
  const { shifts, slots } = plant;
  const pieces = plant.operations.map(piecesOf);
  const starts = plant.operations.flatMap(({ runs }) => runs.map((run) => run.from));
  const count = ({ target }: ModelOperation, good: number, scrap: number, isInside: boolean) => {
    if (!isInside) {
      f.outsidePq += good + scrap;
      return;
    }
    f.pq += good + scrap;
    f.gq += good;
    f.earned += (good + scrap) * (target ?? 0);
    f.earnedGood += good * (target ?? 0);
  };
  for (let minute = from; minute < to; minute++) {
    const running = (phase: string) =>
      plant.operations.filter(({ runs }) => within(runs.filter((run) => run.phase === phase), minute));
    const [processing, settingUp] = [running("PROCESSING"), running("SETUP")];
    const waiting = plant.operations.filter(({ pauses }) => within(pauses, minute)).length;
    const isPot = shifts === null || within(shifts, minute);
    // a break ends where work begins
    const isOnBreak = processing.length + settingUp.length === 0 &&
      plant.operations.some(({ pauses }) =>
        pauses.some((pause) =>
          pause.isPlanned && pause.from <= minute && minute < pause.to &&
          !starts.some((start) => pause.from <= start && start <= minute)
        )
      );
    const downtime = plant.downtimes.find((span) => within([span], minute));
    const isPlanned = within(plant.breaks, minute) || downtime?.isPlanned === true || isOnBreak;
    const isInside = shifts === null || isPot && !isPlanned;
    const isDown = shifts !== null && downtime?.isPlanned === false;
    const working = Math.min(processing.length, slots);
    const preparing = Math.min(settingUp.length, slots - working);
    if (isPot) f.pot += slots;
    if (isPot && isPlanned && shifts !== null) f.pdot += slots;
    if (!isInside) f.outsideApt += working;
    else if (isDown) {
      if (processing.length + settingUp.length + waiting > 0) f.adet += slots;
      else f.adot += slots;
    } else {
      const delayed = Math.min(waiting, slots - working - preparing);
      f.apt += working;
      f.aust += preparing;
      f.adet += delayed;
      f.adot += slots - working - preparing - delayed;
      f.aptKnown += working * processing.filter(({ target }) => target !== null).length / (processing.length || 1);
    }
    for (const [index, operation] of plant.operations.entries()) {
      const made = pieces[index]?.spread.get(minute);
      if (made !== undefined) count(operation, made.good, made.scrap, isInside);
      for (const point of pieces[index]?.points ?? []) {
        if (point.at === minute) count(operation, point.good, point.scrap, isPot);
      }
    }
  }
  return f;
}
