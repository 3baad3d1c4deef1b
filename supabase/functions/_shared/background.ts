/**
 * Work that goes on after its answer.
 *
 * @module
 */

/**
 * Keeps the isolate until the work is done. Supabase ends one after its answers, open WebSockets or not, unless it is
 * told what still runs; elsewhere it runs anyway.
 *
 * @param work Must not reject.
 */
export function outliveAnswer(work: Promise<unknown>): void {
  const edgeRuntime: unknown = Reflect.get(globalThis, "EdgeRuntime");
  if (typeof edgeRuntime !== "object" || edgeRuntime === null) return;
  const waitUntil: unknown = Reflect.get(edgeRuntime, "waitUntil");
  if (typeof waitUntil === "function") Reflect.apply(waitUntil, edgeRuntime, [work]);
}
