/**
 * What the tools that report share.
 *
 * @module
 */
import type { Answer } from "../../_shared/database.ts";
import type { ReportedEvent } from "../../_shared/event.ts";
import type { Seen } from "../confirm_tokens.ts";
import { quoted } from "../model_form.ts";

/** Fields of reports that are not the model's to set. */
export const notForModels = { id: true, user_id: true, user_email: true, operation_data: true, dry_run: true } as const;

/** An event raises the version of its operation by one: before it, the operation had the one before. */
export const seenByReport = ({ body }: Answer<ReportedEvent>): Seen => ({
  version: body.operation.version - 1,
  op_seq: body.op_seq - 1,
});

/** Asks whether an event may be reported, with what it would lead to. */
export function questionAbout(action: string, event: ReportedEvent): string {
  const { order_no, asset_id, operation_no, workplace_name, qty_good, qty_scrap, reason_code } = event;
  const more = [
    ...qty_good !== 0 ? [`${qty_good} good`] : [],
    ...qty_scrap !== 0 ? [`${qty_scrap} scrap`] : [],
    ...reason_code !== null ? [`reason ${quoted(reason_code)}`] : [],
  ];
  const what = more.length > 0 ? ` (${more.join(", ")})` : "";
  const operation = quoted(`${order_no}/${asset_id}/${operation_no}`);
  const place = workplace_name === null ? "no workplace" : quoted(workplace_name);
  return `${action}${what} operation ${operation} at ${place}? ` +
    `Its status is then ${event.status_after}, with ${event.operation.qty_good} good and ` +
    `${event.operation.qty_scrap} scrapped pieces.`;
}
