/** The simulated ERP: it imports orders, adds some during the day, and moves the plan of those that have not begun. */
import type { Api } from "./api.ts";
import type { Clock } from "./clock.ts";
import type { Actor } from "./play.ts";
import type { Place } from "./plant.ts";
import type { Random } from "./random.ts";

const products = ["Bracket", "Cabinet", "Frame", "Cover", "Housing"] as const;

/** Orders of the first import, and those that each hour adds. */
const ordersAtStart = 8;
const ordersPerHour = 2;

/** A row of the import. */
interface Row {
  order_no: string;
  operation_no: string;
  planned_start_at: string;
  planned_end_at: string;
  [field: string]: unknown;
}

/**
 * Imports orders and re-plans them every hour.
 *
 * @param prefix First part of the order numbers.
 */
export async function* planOrders(
  api: Api,
  clock: Clock,
  random: Random,
  { hall, places, prefix }: { hall: string; places: readonly Place[]; prefix: string },
): Actor {
  const imported: Row[] = [];
  let orders = 0;
  // each workplace gets its operations one after another
  const freeFromMin = new Map(places.map(({ name }) => [name, 0]));

  const orderRows = (nowMin: number): Row[] => {
    const order_no = `${prefix}-${String(++orders).padStart(3, "0")}`;
    const product = random.pick(products);
    const pieces = random.integer(4, 16) * 5;
    let readyMin = nowMin;
    return places.map((place, index) => {
      const leadMin = Math.ceil(place.setupMin + place.minutesPerPiece * pieces);
      const startMin = Math.max(readyMin, freeFromMin.get(place.name) ?? 0);
      readyMin = startMin + leadMin;
      freeFromMin.set(place.name, readyMin);
      return rowOf(place, { order_no, index, product, pieces, startMin, leadMin });
    });
  };
  const rowOf = (
    place: Place,
    step: { order_no: string; index: number; product: string; pieces: number; startMin: number; leadMin: number },
  ): Row => ({
    order_no: step.order_no,
    asset_id: step.index + 1,
    operation_no: String((step.index + 1) * 10).padStart(4, "0"),
    workplace_name: place.name,
    workplace_group: hall,
    activity_code: place.activity_code,
    activity_description: `${step.product}, ${step.pieces} pieces`,
    status: "RELEASED",
    qty_desired: step.pieces,
    planned_start_at: clock.instant(step.startMin),
    planned_end_at: clock.instant(step.startMin + step.leadMin),
    t_target_setup_min: place.setupMin,
    t_target_processing_min: Math.ceil(place.minutesPerPiece * step.pieces),
    t_target_lead_min: step.leadMin,
  });
  const send = async (rows: Row[], nowMin: number) => {
    const change = { change_type: "UPDATE", timestamp_ms: clock.instant(nowMin) };
    await api.call("POST", "operations/v1/import", rows.map((row) => ({ ...row, ...change })));
  };

  let nowMin = yield 0;
  while (true) {
    const added = Array.from({ length: nowMin === 0 ? ordersAtStart : ordersPerHour }, () => orderRows(nowMin)).flat();
    const late = imported.filter(() => random.chance(10)).map((row) => postponed(row, random.integer(10, 45)));
    imported.push(...added);
    await send([...added, ...late], nowMin);
    nowMin = yield 60;
  }
}

/** Returns the row with a later plan. */
function postponed(row: Row, minutes: number): Row {
  const later = (instant: string) => new Date(Date.parse(instant) + minutes * 60_000).toISOString();
  row.planned_start_at = later(row.planned_start_at);
  row.planned_end_at = later(row.planned_end_at);
  return row;
}
