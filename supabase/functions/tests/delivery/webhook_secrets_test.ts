/** Secrets of webhooks are in no stored answer, and those that sign no more are nowhere. */
import { assertEquals, assertProblem, newWorkplace, server, unique } from "../support/harness.ts";
import { hasDatabase } from "../support/database_connection.ts";
import { withSql } from "../support/floor.ts";
import type { WebhookEndpointWithSecret } from "../../webhooks/endpoints/schemas.ts";

const path = "/webhooks/v1/endpoints";

/** Rows of the whole schema `app` that hold this text. */
const rowsWith = (text: string, table: string) =>
  withSql(async (sql) => {
    const [row] = await sql.unsafe(`select count(*)::integer as n from app.${table} t where strpos(t::text, $1) > 0`, [
      text,
    ]);
    return Number(row?.n);
  });

const create = (key: string) =>
  server.post<WebhookEndpointWithSecret>(
    path,
    { url: "https://hooks.example.com/mes", workplace_names: [newWorkplace()] },
    { headers: { "Idempotency-Key": key } },
  );

Deno.test({
  name: "DELETE /webhooks/v1/endpoints: leaves the secret in no stored answer",
  ignore: !hasDatabase,
}, async () => {
  const place = newWorkplace();
  const headers = { "Idempotency-Key": unique("K") };
  const fields = { url: "https://hooks.example.com/mes", workplace_names: [place] };
  const made = await server.post<WebhookEndpointWithSecret>(path, fields, { headers });
  assertEquals(made.status, 201, made.text);
  const { id, secret } = made.body;
  assertEquals(await rowsWith(secret, "webhook_secrets"), 1);
  assertEquals(await rowsWith(secret, "idempotency_keys"), 0);
  assertEquals((await server.post(path, fields, { headers })).text, made.text);

  assertEquals((await server.delete(`${path}/${id}`)).status, 204);
  assertEquals(await rowsWith(secret, "webhook_secrets"), 0);
  assertEquals(await rowsWith(secret, "idempotency_keys"), 0);
  const again = await server.post(path, fields, { headers });
  assertProblem(again, 410, "secret_gone");
});

Deno.test({
  name: "POST /webhooks/v1/endpoints/{id}/rotate: repeats its answer until the secret signs no more",
  ignore: !hasDatabase,
}, async () => {
  const key = unique("K");
  const { body: { id, secret: first } } = await create(key);
  const headers = { "Idempotency-Key": unique("K") };
  const rotate = () => server.post<WebhookEndpointWithSecret>(`${path}/${id}/rotate`, { overlap_h: 0 }, { headers });
  const rotated = await rotate();
  assertEquals(rotated.status, 200, rotated.text);
  const repeated = await rotate();
  assertEquals([repeated.text, repeated.headers.get("idempotency-replayed")], [rotated.text, "true"]);
  for (const secret of [first, rotated.body.secret]) assertEquals(await rowsWith(secret, "idempotency_keys"), 0);
  await server.post(`${path}/${id}/rotate`, { overlap_h: 0 });
  assertProblem(await rotate(), 410, "secret_gone");
  assertEquals((await server.delete(`${path}/${id}`)).status, 204);
});
