/**
 * The page without a network: a service worker keeps its files.
 *
 * @module
 */

/** The policy of the pages takes addresses of scripts from named places alone; this place knows one. */
const address = /** @type {any} */ (globalThis).trustedTypes
  ?.createPolicy("terminal-worker", { createScriptURL: () => "terminal-worker.js" }).createScriptURL("") ??
  "terminal-worker.js";

/** Lets the page start without a network from now on. */
export async function serveOffline() {
  if (!("serviceWorker" in navigator)) return;
  await navigator.serviceWorker.register(address, { scope: "./terminal", updateViaCache: "none" });
  const { active } = await navigator.serviceWorker.ready;
  // the files of this load may be newer than those that are kept
  active?.postMessage("refresh");
}
