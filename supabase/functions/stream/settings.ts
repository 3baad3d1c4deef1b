/**
 * Limits of streams, from the function's environment.
 *
 * @module
 */

function setting(name: string, usual: number): number {
  const value = Number(Deno.env.get(name) || usual);
  if (!Number.isFinite(value) || value <= 0) throw new TypeError(`${name} must be a positive number`);
  return value;
}

export const settings = {
  /** Longest duration of a stream. The platform ends the function later: after 150 s, or 400 s on paid plans. */
  lifetimeMs: setting("STREAM_LIFETIME_S", 140) * 1_000,
  /** Time without a message after which a stream sends a heartbeat. */
  heartbeatMs: setting("STREAM_HEARTBEAT_S", 15) * 1_000,
  /**
   * Time between two checks of access, which also renew the places. At most 10 s, because a place expires 20 s after it
   * was renewed.
   */
  accessCheckMs: Math.min(setting("STREAM_ACCESS_CHECK_S", 4), 10) * 1_000,
  /** Streams that one user can have open, in all isolates. */
  maxOfUser: 10,
  /** Streams that one secret key can have open, in all isolates. */
  maxOfSecretKey: 50,
  /** Streams that one isolate can have open. */
  maxStreams: setting("STREAM_MAX", 1_000),
  /** Bytes that a client has not taken yet, up to which the server sends more. */
  maxBacklogBytes: setting("STREAM_MAX_BACKLOG_KIB", 128) * 1_024,
  /** Time after which the server ends the stream of a client that has a backlog and takes nothing. */
  stallMs: setting("STREAM_STALL_S", 30) * 1_000,
  /** Average of `retry`, the time that browsers wait before they reconnect. Each stream gets a random one around it. */
  retryMs: setting("STREAM_RETRY_S", 1) * 1_000,
};
