/**
 * Work that continues after its answer.
 *
 * @module
 */

/**
 * Keeps the isolate alive until the work is done. Supabase ends an isolate after its last answer, with or without open
 * WebSockets, unless `waitUntil` has a pending promise. Other runtimes do not need this.
 *
 * @param work Must not reject.
 */
export function outliveAnswer(work: Promise<unknown>): void {
  const edgeRuntime: unknown = Reflect.get(globalThis, "EdgeRuntime");
  if (typeof edgeRuntime !== "object" || edgeRuntime === null) return;
  const waitUntil: unknown = Reflect.get(edgeRuntime, "waitUntil");
  if (typeof waitUntil === "function") Reflect.apply(waitUntil, edgeRuntime, [work]);
}
