/** Receives webhooks: WEBHOOK_SECRET=whsec_... deno run --allow-net --allow-env webhook-receiver.ts */
// deno-lint-ignore no-import-prefix -- to be copied as it is, without an import map
import { Webhook } from "npm:standardwebhooks@1.1.1";

const webhook = new Webhook(Deno.env.get("WEBHOOK_SECRET") ?? "");
const seen = new Set<string>(); // keep this in your database, written with what the message changes

Deno.serve({ hostname: "127.0.0.1", port: Number(Deno.env.get("PORT") ?? 8787) }, async (request) => {
  const body = await request.text(); // the bytes as they came: parsed and written again they are others
  try {
    webhook.verify(body, Object.fromEntries(request.headers)); // signature, and not older than 5 minutes
  } catch {
    return new Response("invalid signature", { status: 401 });
  }
  const id = request.headers.get("webhook-id") ?? "";
  if (seen.has(id)) return new Response("known already");
  const { type, data } = JSON.parse(body);
  console.log(type, data.event?.order_no, data.event?.op_seq, data.operation?.status);
  seen.add(id); // only now: what fails above is sent again
  return new Response("ok");
});
