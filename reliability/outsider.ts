/**
 * The outsider, a process of its own: signed up alone with the publishable key, operator of no workplace. Reads one raid
 * per line on stdin, sends it, and answers one line of counts per raid on stdout.
 */
import { TextLineStream } from "@std/streams/text_line_stream.js";
import { type Raid, shots } from "./raids.ts";

/** Answers that the outsider got. */
export interface RaidResult {
  sent: number;
  /** Counts by shot and answer: "name 404", 0 = no answer. */
  answers: Record<string, number>;
  /** Connections that were still held at the end, by what holds them. */
  held: Record<string, number>;
}

const maxNotAnswered_ms = 30;

/** Sends the shots of a raid in turn over so many connections until its time is over, then lets go of everything. */
async function run(raid: Raid): Promise<RaidResult> {
  const over = new AbortController();
  const ends = performance.now() + raid.seconds * 1000;
  setTimeout(() => over.abort(), raid.seconds * 1000);
  const armed = shots(raid, over.signal);
  const answers: Record<string, number> = {};
  let sent = 0;
  await Promise.all(Array.from({ length: raid.connections }, async (_, connection) => {
    for (let turn = connection; performance.now() < ends; turn++) {
      const shot = armed[turn % armed.length];
      if (shot === undefined) throw new Error(`There are no shots for ${raid.item}`);
      const status = await shot.fire().catch(() => 0);
      if (over.signal.aborted) return;
      sent++;
      const name = `${shot.name} ${status}`;
      answers[name] = (answers[name] ?? 0) + 1;
      // a refused connection is no reason to spin
      if (status === 0) await new Promise((resume) => setTimeout(resume, maxNotAnswered_ms));
    }
  }));
  const held: Record<string, number> = {};
  for (const { name, release } of armed) {
    const count = await release?.() ?? 0;
    if (count > 0) held[name] = count;
  }
  return { sent, answers, held };
}

if (import.meta.main) {
  const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
  for await (const line of lines) console.log(JSON.stringify(await run(JSON.parse(String(line)))));
}
