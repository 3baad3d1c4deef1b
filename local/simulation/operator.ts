/** A simulated operator: works through the queue of one workplace, takes breaks, and meets faults and scrap. */
import type { Api } from "./api.ts";
import type { Clock } from "./clock.ts";
import type { Actor } from "./play.ts";
import { breakWithin, faults, type Place, scrapReasons } from "./plant.ts";
import type { Random } from "./random.ts";

/** The fields of a queued operation that an operator looks at. */
interface Queued {
  order_no: string;
  asset_id: number;
  operation_no: string;
  qty_desired: number | null;
  /** Problem that prevents the start. */
  blocked_by: string | null;
}

/** Pieces between two reports. */
const portion = 10;

/** Operations whose pieces lie ready for the next workplace, by order and operation number. */
export type Finished = Set<string>;

/**
 * Works at a place, shift after shift.
 *
 * @param previous The place that the pieces come from; undefined for the first one.
 * @param finished Shared by all operators: an operation begins when the one before it has ended.
 */
export async function* workAt(
  place: Place,
  api: Api,
  clock: Clock,
  random: Random,
  { previous, finished }: { previous: Place | undefined; finished: Finished },
): Actor {
  let nowMin = yield random.integer(1, 4);

  const report = async (operation: Queued, action_type: string, more: Record<string, unknown> = {}) => {
    const { order_no, asset_id, operation_no } = operation;
    const place_and_time = { workplace_name: place.name, occurred_at: clock.instant(nowMin) };
    return await api.call("POST", "events/v1", {
      id: crypto.randomUUID(),
      action_type,
      order_no,
      asset_id,
      operation_no,
      ...place_and_time,
      ...more,
    });
  };
  const pause = async function* (operation: Queued, reason_code: string, minutes: number): Actor {
    await report(operation, "STOP", { reason_code });
    nowMin = yield minutes;
    await report(operation, "START");
  };
  /** Works for a time, with the breaks that fall into it. */
  const work = async function* (operation: Queued, minutes: number): Actor {
    const rest = breakWithin(nowMin, minutes);
    if (rest === undefined) {
      nowMin = yield minutes;
      return;
    }
    nowMin = yield rest.inMin;
    yield* pause(operation, "BREAK", rest.lengthMin);
    nowMin = yield minutes - rest.inMin;
  };

  while (true) {
    const { body: queue = [] } = await api.call<Queued[]>(
      "GET",
      `workplaces/v1/${encodeURIComponent(place.name)}/queue`,
    );
    const operation = queue.find(({ order_no, blocked_by }) =>
      blocked_by === null && (previous === undefined || finished.has(`${order_no} ${previous.activity_code}`))
    );
    if (operation === undefined || (await report(operation, "START", { phase: "SETUP" })).status !== 201) {
      nowMin = yield 5;
      continue;
    }
    yield* work(operation, Math.max(1, Math.round(place.setupMin * random.integer(80, 140) / 100)));
    await report(operation, "START", { phase: "PROCESSING" });

    const pieces = operation.qty_desired ?? portion;
    let good = 0;
    while (good < pieces) {
      const made = Math.min(portion, pieces - good);
      yield* work(operation, Math.max(1, Math.round(place.minutesPerPiece * made * random.integer(90, 130) / 100)));
      const scrap = random.chance(place.scrapPercent) ? random.integer(1, 2) : 0;
      good += made;
      await report(operation, "REPORT_QUANTITY", {
        qty_good: made,
        ...scrap > 0 ? { qty_scrap: scrap, reason_code: random.pick(scrapReasons) } : {},
      });
      if (random.chance(place.faultPercent)) yield* pause(operation, random.pick(faults), random.integer(4, 25));
    }
    await report(operation, "FINISH");
    finished.add(`${operation.order_no} ${place.activity_code}`);
    nowMin = yield random.integer(1, 4);
  }
}
