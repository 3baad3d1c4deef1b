/** A report of many operations, whose time and work the database adds up at the same time. */
import { assertEquals, server, unique } from "../support/harness.ts";
import type { Results } from "../support/floor.ts";
import { type Bucket, newPlace, oee, on, shift } from "../support/reports.ts";

/** Operations of a workplace; those of two are enough for the parallel plan of `app.report_parts`. */
const operations = 550;

const afterSixBy = (seconds: number) => new Date(Date.parse(on("06:00")) + seconds * 1_000).toISOString();

/** Creates a workplace at which one operation follows the other, a minute and a half each. */
async function newBusyPlace(): Promise<string> {
  const place = await newPlace([shift("DAY", "06:00", "22:00")]);
  const keys = Array.from({ length: operations }, () => (
    { order_no: unique("O"), asset_id: 1, operation_no: "0010", workplace_name: place }
  ));
  const planned = keys.map((key) => ({ ...key, status: "RELEASED", qty_desired: 4, timestamp_ms: on("05:00") }));
  const imported = await server.post<Results>("/operations/v1/import", planned);
  assertEquals(imported.body.results.filter(({ problem }) => problem !== null), []);
  const events = keys.flatMap((key, index) => [
    { ...key, action_type: "START", occurred_at: afterSixBy(index * 90) },
    { ...key, action_type: "COMPLETE", occurred_at: afterSixBy(index * 90 + 60), qty_good: 4, qty_scrap: 1 },
  ]);
  for (let from = 0; from < events.length; from += 550) {
    const { body } = await server.post<Results>("/events/v1/batch", { events: events.slice(from, from + 550) });
    assertEquals(body.results.filter(({ problem }) => problem !== null), []);
  }
  return place;
}

Deno.test("GET /reports/v1/oee: the rows of a large report are those of smaller ones", async () => {
  const places = (await Promise.all([newBusyPlace(), newBusyPlace()])).toSorted();
  const rows = async (workplace_name: string[]): Promise<Bucket[]> => {
    const query = { workplace_name, from: on("06:00"), to: on("22:00"), by: ["workplace"] };
    return (await oee(query)).buckets;
  };
  const large = await rows(places);
  const figures = large.map(({ elements: { apt_min }, pieces: { gq }, inputs: { runs } }) => [apt_min, gq, runs]);
  assertEquals(figures, places.map(() => [operations, 4 * operations, operations]));
  assertEquals(large, (await Promise.all(places.map((place) => rows([place])))).flat());
});
