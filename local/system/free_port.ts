/** A TCP port of this machine that nothing listens on now. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** `wanted` when nothing listens there, else any free port. */
export function freePortNear(wanted: number): number {
  try {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: wanted });
    return listener.addr.port;
  } catch {
    return freePort();
  }
}
