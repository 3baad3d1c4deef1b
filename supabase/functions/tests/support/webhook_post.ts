/** One POST in the Deno that functions run in: its arguments are URL, address and, to be trusted, a certificate. */
import { post } from "../../webhooks/sending/post.ts";

const [url = "", address = "", ca] = Deno.args;
const { status, text } = await post(new URL(url), {
  address,
  headers: { "content-type": "application/json" },
  body: "{}",
  signal: AbortSignal.timeout(5_000),
  ca: ca === undefined ? undefined : [ca],
});
console.log(JSON.stringify({ status, text }));
