/**
 * The first step of every task: installs the packages of import_map.json, once. It has no dependencies itself, so that a
 * new checkout shows what it waits for: `deno task` alone prints each package and nothing else.
 */

/** The files that decide which packages are installed. */
const sources = ["import_map.json", "deno.lock", "deno.json"];
const root = new URL("../../", import.meta.url);
const marker = new URL("node_modules/.packages-of", root);

/** Lines of output that are kept to explain a failure. */
const maxLines = 20;

/** Returns a digest of the versions of all packages. */
async function digest(): Promise<string> {
  const texts = await Promise.all(sources.map((name) => Deno.readTextFile(new URL(name, root))));
  const { imports } = JSON.parse(texts[0] ?? "{}");
  const { npm } = JSON.parse(texts[1] ?? "{}");
  const { allowScripts } = JSON.parse(texts[2] ?? "{}");
  const bytes = new TextEncoder().encode(JSON.stringify([Deno.version.deno, imports, npm, allowScripts]));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** Returns how many packages this machine needs: those of other systems are left out. */
async function countPackages(): Promise<number> {
  const { npm } = JSON.parse(await Deno.readTextFile(new URL("deno.lock", root)));
  const fits = (wanted: string[] | undefined, own: string) => wanted === undefined || wanted.includes(own);
  const own = { os: Deno.build.os === "windows" ? "win32" : Deno.build.os, cpu: archOf(Deno.build.arch) };
  return Object.values<{ os?: string[]; cpu?: string[] }>(npm)
    .filter(({ os, cpu }) => fits(os, own.os) && fits(cpu, own.cpu)).length;
}

const archOf = (arch: string) => arch === "x86_64" ? "x64" : "arm64";

/** Prints one line that changes on a terminal, and a line at each quarter elsewhere. */
function showProgress(total: number): (count: number) => void {
  const isTerminal = Deno.stdout.isTerminal();
  let quarters = 0;
  return (count) => {
    const line = `  ${Math.min(count, total)} of ${total} packages`;
    if (isTerminal) return Deno.stdout.writeSync(new TextEncoder().encode(`\r${line}`));
    const reached = Math.floor(4 * count / total);
    if (reached > quarters && reached <= 4) console.log(line);
    quarters = Math.max(quarters, reached);
  };
}

async function install(): Promise<void> {
  const total = await countPackages();
  console.log(`Installing ${total} packages from npm, once: this takes about half a minute.`);
  const show = showProgress(total);
  const { stderr, status } = new Deno.Command(Deno.execPath(), {
    args: ["install", "--node-modules-dir=auto"],
    cwd: root,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const lines: string[] = [];
  let count = 0;
  let rest = "";
  for await (const text of stderr.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n");
    rest = parts.pop() ?? "";
    for (const line of parts) {
      if (/^Initialize \S+$/.test(line)) show(++count);
      else if (line !== "" && !line.startsWith("Download ")) lines.push(line);
    }
  }
  if (Deno.stdout.isTerminal()) console.log();
  if ((await status).success) return;
  console.error([...lines, rest].slice(-maxLines).join("\n"));
  console.error("error: The packages cannot be installed, see above.");
  Deno.exit(1);
}

if (await Deno.readTextFile(marker).catch(() => "") !== await digest()) {
  await install();
  await Deno.writeTextFile(marker, await digest());
}
