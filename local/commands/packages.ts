/**
 * The first step of every task: installs the packages of import_map.json, once. It has no dependencies, so a new
 * checkout shows its progress at once; `deno task` alone would print a line for each package.
 */

/** Time between two looks at the packages that have arrived. */
const lookMs = 500;

/** Time between two lines of output that is no terminal. */
const quietMs = 10_000;

const root = new URL("../../", import.meta.url);
const marker = new URL("node_modules/.packages-of", root);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const isThere = (path: string | URL) => Deno.stat(path).then(() => true, () => false);

async function readJson(name: string) {
  return JSON.parse(await Deno.readTextFile(new URL(name, root)));
}

/** Returns a digest of the files that decide which packages are installed. */
async function digest(): Promise<string> {
  const [{ imports }, { npm }, { allowScripts }] = await Promise.all(
    ["import_map.json", "deno.lock", "deno.json"].map(readJson),
  );
  const bytes = new TextEncoder().encode(JSON.stringify([Deno.version.deno, imports, npm, allowScripts]));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** Returns the packages that this machine needs, as `name/version`; those of other systems are left out. */
async function neededPackages(): Promise<string[]> {
  const { npm } = await readJson("deno.lock");
  const os = Deno.build.os === "windows" ? "win32" : Deno.build.os;
  const cpu = Deno.build.arch === "x86_64" ? "x64" : "arm64";
  return Object.entries<{ os?: string[]; cpu?: string[] }>(npm)
    .filter(([, wanted]) => (wanted.os?.includes(os) ?? true) && (wanted.cpu?.includes(cpu) ?? true))
    .map(([key]) => key.replace(/^(@?[^@]+)@([^_]+).*$/, "$1/$2"));
}

/** Returns the folders of Deno's cache, one for each registry. */
async function cacheFolders(): Promise<() => Promise<string[]>> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"], cwd: root }).output();
  const { npmCache }: { npmCache: string } = JSON.parse(decode(stdout));
  return async () =>
    (await Array.fromAsync(Deno.readDir(npmCache)).catch(() => [])).map(({ name }) => `${npmCache}/${name}`);
}

/** Shows the packages that have arrived and the time: in one line that changes on a terminal, else now and then. */
async function showProgress(needed: string[], isOver: () => boolean): Promise<void> {
  const foldersNow = await cacheFolders();
  const isTerminal = Deno.stdout.isTerminal();
  const started = performance.now();
  for (let shownMs = 0; !isOver(); await new Promise((done) => setTimeout(done, lookMs))) {
    const passedMs = performance.now() - started;
    if (!isTerminal && passedMs - shownMs < quietMs) continue;
    shownMs = passedMs;
    const folders = await foldersNow();
    const hasArrived = async (path: string) =>
      (await Promise.all(folders.map((folder) => isThere(`${folder}/${path}`)))).includes(true);
    const count = (await Promise.all(needed.map(hasArrived))).filter((arrived) => arrived).length;
    const line = `  ${count} of ${needed.length} packages, ${Math.round(passedMs / 1000)} s`;
    if (isTerminal) Deno.stdout.writeSync(new TextEncoder().encode(`\r${line}`));
    else console.log(line);
  }
  if (isTerminal) console.log();
}

async function install(): Promise<void> {
  const needed = await neededPackages();
  console.log(`Installing ${needed.length} packages from npm. The first time, this takes about half a minute.`);
  const installing = new Deno.Command(Deno.execPath(), {
    args: ["install", "--quiet", "--node-modules-dir=auto"],
    cwd: root,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  let isOver = false;
  installing.finally(() => isOver = true);
  await showProgress(needed, () => isOver);
  const { success, stderr } = await installing;
  if (success) return;
  console.error(`${decode(stderr).trim()}\nerror: The packages cannot be installed, see above.`);
  Deno.exit(1);
}

if (await Deno.readTextFile(marker).catch(() => "") !== await digest()) {
  await install();
  // the installation may have written the lock file
  await Deno.writeTextFile(marker, await digest());
}
