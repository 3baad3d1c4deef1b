/**
 * What a stream may cost and how long it may take, from the function's environment.
 *
 * @module
 */

function setting(name: string, usual: number): number {
  const value = Number(Deno.env.get(name) || usual);
  if (!Number.isFinite(value) || value <= 0) throw new TypeError(`${name} must be a positive number`);
  return value;
}

export const settings = {
  /** A stream is ended after this time, well before the platform ends the function: 150 s, or 400 s where it is paid. */
  lifetime_ms: setting("STREAM_LIFETIME_S", 140) * 1_000,
  /** A silent stream gives a sign of life. */
  heartbeat_ms: setting("STREAM_HEARTBEAT_S", 15) * 1_000,
  /**
   * How often each reader's access is asked for, and their places are held. At most 10 s: a place is free when it was not
   * held for 20 s.
   */
  accessCheck_ms: Math.min(setting("STREAM_ACCESS_CHECK_S", 4), 10) * 1_000,
  /** Streams of one user at once, in all isolates. */
  maxOfUser: 10,
  /** Streams of one secret key at once, in all isolates. */
  maxOfSecretKey: 50,
  /** Streams at once in one isolate. */
  maxStreams: setting("STREAM_MAX", 1_000),
  /** So much is sent ahead of a reader; more of it when the reader has taken that. */
  maxBacklog_bytes: setting("STREAM_MAX_BACKLOG_KIB", 128) * 1_024,
  /** A reader who has something to take, and takes nothing for so long, is dropped. */
  stall_ms: setting("STREAM_STALL_S", 30) * 1_000,
  /** Where `retry` tells browsers to wait before they come again; each is told another time around it. */
  retry_ms: setting("STREAM_RETRY_S", 1) * 1_000,
};
