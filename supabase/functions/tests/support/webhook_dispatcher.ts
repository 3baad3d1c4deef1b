/** A dispatcher in a process of its own, to be killed: the function itself, called once for one endpoint, against the stack under test. */
import webhooks from "../../webhooks/index.ts";

const response = await webhooks.fetch(
  new Request(`http://dispatcher/webhooks/v1/dispatch?endpoint_id=${Deno.args[0]}`, {
    method: "POST",
    headers: { apikey: Deno.env.get("SUPABASE_SECRET_KEY") ?? "" },
  }),
);
console.log(await response.text());
