/**
 * Serves the files of the terminal when there is no network: decision 0104. It never touches requests of the API.
 *
 * While the network answers, pages come from there. All files are kept as one set: a new set takes the place of the old one
 * when it is complete, so that a page without a network never mixes versions.
 */

const languages = ["en", "nl", "de"];

/** All files of the terminal. A test compares them with what the page loads. */
const files = [
  "terminal.html",
  "config.json",
  "icon.svg",
  "styles/tokens.css",
  "styles/base.css",
  "terminal/terminal.css",
  ...[
    "bar",
    "choose",
    "clock",
    "credential",
    "dialogs",
    "main",
    "notices",
    "number_pad",
    "offline",
    "operation",
    "outbox",
    "people",
    "prediction",
    "queue",
    "scanner",
    "set_up",
    "store",
    "sync",
    "terminal",
    "unsent",
    "words",
  ].map((name) => `terminal/${name}.js`),
  ...[
    "api",
    "config",
    "dialog",
    "formats",
    "header",
    "messages",
    "network",
    "session",
    "sign_in",
    "state",
    "theme",
    "view",
  ]
    .map((name) => `shared/${name}.js`),
  ...languages.flatMap((language) =>
    ["shared", "problems", "terminal"].map((name) => `messages/${language}/${name}.json`)
  ),
  "assets/preact@11.2.0/preact.js",
  "assets/preact@11.2.0/hooks.js",
  "assets/htm@3.1.1/htm.js",
  "assets/idb@8.0.4/idb.js",
];

/** Names which set is the complete one. */
const pointer = "mes-terminal";
const setName = (digest) => `${pointer}-${digest}`;

/** A page that waits longer for the network starts from the kept files. */
const patienceMs = 3000;

const addresses = new Map(files.map((file) => [new URL(file, location.href).pathname, file]));

/** Pages that were started without a network. All their files are kept ones. */
const offlineClients = new Set();

addEventListener("install", (event) => {
  event.waitUntil(refresh().then(() => skipWaiting()));
});

addEventListener("activate", (event) => {
  event.waitUntil(clients.claim());
});

addEventListener("message", (event) => {
  // without a network, the old set stays
  if (event.data === "refresh") event.waitUntil(refresh().catch(() => {}));
});

addEventListener("fetch", (event) => {
  const { request, clientId, resultingClientId } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== location.origin) return;
  if (request.mode === "navigate") event.respondWith(start(request, resultingClientId));
  else if (addresses.has(pathname)) event.respondWith(serve(request, clientId));
});

/** Answers the request for the page itself. */
async function start(request, client) {
  const answer = await attempt(request, AbortSignal.timeout(patienceMs));
  if (isServed(answer)) return answer;
  const known = await kept("terminal.html");
  if (known === undefined) return answer;
  offlineClients.add(client);
  return known;
}

/** Answers the request for a file of the page. */
async function serve(request, client) {
  const file = addresses.get(new URL(request.url).pathname);
  const known = offlineClients.has(client) ? await kept(file) : undefined;
  if (known !== undefined) return known;
  const answer = await attempt(request);
  return isServed(answer) ? answer : await kept(file) ?? answer;
}

/** Sends a request; without a network, the answer is an error of the network. */
const attempt = (request, signal) => fetch(request, { signal }).catch(() => Response.error());

/** False without a network, and for what a proxy says while the server behind it is away. */
const isServed = ({ type, status }) => type !== "error" && status < 500;

/** Returns a file of the complete set. */
async function kept(file) {
  const name = await currentSet();
  return name === undefined ? undefined : await (await caches.open(name)).match(new URL(file, location.href));
}

async function currentSet() {
  const answer = await (await caches.open(pointer)).match(pointer);
  return await answer?.text();
}

/** Keeps the present files, unless they are kept already. */
async function refresh() {
  const answers = await Promise.all(files.map(async (file) => {
    const answer = await fetch(file, { cache: "no-cache" });
    if (!answer.ok) throw new Error(`${file}: ${answer.status}`);
    return { file, headers: answer.headers, bytes: await answer.arrayBuffer() };
  }));
  const name = setName(await digestOf(answers.flatMap(({ file, bytes }) => [file, bytes])));
  const former = await currentSet();
  if (name === former) return;
  const set = await caches.open(name);
  await Promise.all(answers.map(({ file, headers, bytes }) =>
    // not the answer itself: a page cannot start from one that was redirected
    set.put(new URL(file, location.href), new Response(bytes, { headers: plain(headers) }))
  ));
  await (await caches.open(pointer)).put(pointer, new Response(name));
  const others = (await caches.keys()).filter((one) => one.startsWith(setName("")) && one !== name);
  await Promise.all(others.map((one) => caches.delete(one)));
}

/** The headers of an answer whose body is unpacked. */
function plain(headers) {
  const own = new Headers(headers);
  own.delete("content-encoding");
  own.delete("content-length");
  return own;
}

async function digestOf(parts) {
  const bytes = await new Blob(parts).arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest.slice(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
