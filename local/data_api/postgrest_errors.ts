/**
 * Answers for database errors, as PostgREST gives them:
 * https://docs.postgrest.org/en/stable/references/errors.html. The library knows a third of that table.
 */

/** Statuses by SQLSTATE or its beginning; the first that fits. Any other error of the server is a 400. */
const statuses: [state: RegExp, status: number][] = [
  [/^08/, 503],
  [/^09/, 500],
  [/^0[LP]/, 403],
  [/^2350[35]/, 409],
  [/^25006/, 405],
  [/^25/, 500],
  [/^28/, 403],
  [/^2D|^38|^39|^3B|^40/, 500],
  [/^53400/, 500],
  [/^53/, 503],
  [/^54|^55/, 500],
  [/^57P01/, 503],
  [/^57|^58|^F0|^HV/, 500],
  [/^P0001/, 400],
  [/^P0|^XX/, 500],
  [/^42883|^42P01/, 404],
  [/^42P17/, 500],
];

function textOf(error: object, name: string): string | null {
  const value: unknown = Reflect.get(error, name);
  return typeof value === "string" ? value : null;
}

function answer(
  status: number,
  body: { code: string; message: string; details?: string | null; hint?: string | null },
) {
  const { code, message, details = null, hint = null } = body;
  return Response.json({ code, details, hint, message }, {
    status,
    headers: { "content-type": "application/json; charset=utf-8", "proxy-status": `PostgREST; error=${code}` },
  });
}

function statusOf(state: string, role: string): number {
  if (state === "42501") return role === "anon" ? 401 : 403;
  const [, chosen] = state.match(/^PT(\d{3})$/) ?? [];
  if (chosen) return Number(chosen) >= 200 && Number(chosen) <= 599 ? Number(chosen) : 500;
  return statuses.find(([pattern]) => pattern.test(state))?.[1] ?? 400;
}

/**
 * The answer to a request whose query failed; undefined when the error is not the database's, and the library knows
 * what it means.
 */
export function databaseErrorAnswer(error: unknown, role: string): Response | undefined {
  if (typeof error !== "object" || error === null) return undefined;
  const code = textOf(error, "code") ?? "";
  const message = textOf(error, "message") ?? "";
  if (code === "PGRST003") return answer(504, { code, message });
  if (code === "TOO_MANY_ELEMENTS") return answer(413, { code, message });

  const severity = textOf(error, "severity_local") ?? textOf(error, "severity");
  if (severity === null) {
    // Errors of the driver and of the socket: the server cannot be reached, or went away.
    if (/^(CONNECT_|ECONN|EPIPE|ENOTFOUND|ETIMEDOUT)/.test(code)) {
      return answer(503, { code: "PGRST000", message: "Database connection error. Retrying the connection." });
    }
    if (/^CONNECTION_/.test(code) || /CONNECTION_/.test(message)) {
      return answer(503, { code: "PGRST001", message: "Database client error. Retrying the connection." });
    }
    return undefined;
  }
  if (/FATAL|PANIC/.test(severity) && code !== "57P01") {
    return answer(503, { code: "PGRST000", message: "Database connection error. Retrying the connection." });
  }
  if (code === "PGRST") return undefined;
  return answer(statusOf(code, role), { code, message, details: textOf(error, "detail"), hint: textOf(error, "hint") });
}
