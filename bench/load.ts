/**
 * The load generator, a process of its own: reads one load per line on stdin, answers one result per line on stdout.
 * Closed loop: each client sends its next request when it has the answer to the last one.
 */
import { TextLineStream } from "@std/streams/text_line_stream.js";

/** A request, as `fetch` takes it. */
export interface LoadRequest {
  method: string;
  url: string;
  body?: string;
}

/** Requests to send. */
export interface Load {
  clients: number;
  /** No request begins later than this. */
  duration_ms: number;
  headers: Record<string, string>;
  requests: LoadRequest[];
  /** True: each request once, the load may end early. False: over and over. */
  once: boolean;
  /** The one status that is expected. */
  status: number;
}

/** Result of the load. */
export interface LoadResult {
  /** Requests that were answered; with `once` the first so many of the list were sent. */
  count: number;
  seconds: number;
  p50_ms: number;
  p99_ms: number;
  /** The first answer that was not the expected one. */
  unexpected?: string;
}

/** Value below which a share of the sorted values lies. */
function percentile(sorted: number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

const client = Deno.createHttpClient({ poolMaxIdlePerHost: 128 });

async function run(load: Load): Promise<LoadResult> {
  const latencies: number[] = [];
  let next = 0;
  let unexpected: string | undefined;
  const started = performance.now();
  const send = async () => {
    while (unexpected === undefined && performance.now() - started < load.duration_ms) {
      if (load.once && next >= load.requests.length) return;
      const request = load.requests[next++ % load.requests.length];
      if (request === undefined) return;
      const sent = performance.now();
      const response = await fetch(request.url, {
        client,
        method: request.method,
        headers: load.headers,
        body: request.body,
      });
      const bytes = await response.bytes();
      latencies.push(performance.now() - sent);
      if (response.status !== load.status) {
        const text = new TextDecoder().decode(bytes);
        unexpected ??= `${request.method} ${request.url} ${request.body ?? ""}: ${response.status} ${text}`.slice(
          0,
          1000,
        );
      }
    }
  };
  await Promise.all(Array.from({ length: load.clients }, send));
  const seconds = (performance.now() - started) / 1000;
  latencies.sort((a, b) => a - b);
  return {
    count: latencies.length,
    seconds,
    p50_ms: percentile(latencies, 0.5),
    p99_ms: percentile(latencies, 0.99),
    unexpected,
  };
}

if (import.meta.main) {
  const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
  for await (const line of lines) console.log(JSON.stringify(await run(JSON.parse(String(line)))));
}
