/** The simulated supervisor: blocks an operation that waits, and releases it after a look at it. */
import type { Api } from "./api.ts";
import type { Clock } from "./clock.ts";
import type { Actor } from "./play.ts";
import type { Random } from "./random.ts";

interface Waiting {
  order_no: string;
  asset_id: number;
  operation_no: string;
}

/** Holds and releases. */
export async function* superviseHall(api: Api, clock: Clock, random: Random, hall: string): Actor {
  let nowMin = yield random.integer(20, 50);
  while (true) {
    const query = new URLSearchParams({ workplace_group: hall, status: "RELEASED", limit: "20" });
    const { body: waiting = [] } = await api.call<Waiting[]>("GET", `operations/v1?${query}`);
    const operation = waiting[random.integer(0, Math.max(0, waiting.length - 1))];
    if (operation !== undefined) {
      const { order_no, asset_id, operation_no } = operation;
      const path = `operations/v1/${encodeURIComponent(order_no)}/${asset_id}/${operation_no}/transitions`;
      const take = (action: string, more = {}) =>
        api.call("POST", path, { action, occurred_at: clock.instant(nowMin), ...more });
      await take("HOLD", { reason_code: "QUALITY", note: "First piece is measured" });
      nowMin = yield random.integer(10, 40);
      await take("RELEASE", { note: "Within tolerance" });
    }
    nowMin = yield random.integer(60, 120);
  }
}
