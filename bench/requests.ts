import type { DurableStack } from "./durable_stack.ts";
import { type Endpoint, endpoints, type Way } from "./endpoints.ts";
import type { Generator } from "./generator.ts";
import type { LoadResult } from "./load.ts";
import { median } from "./median.ts";
import { newOperations, type Operation, start } from "./plant.ts";

/** Extent of the measurement. */
export interface RequestPlan {
  clients: number[];
  rounds: number;
  /** Of one endpoint, number of clients, way and round. */
  duration_ms: number;
}

/** The median of all rounds. */
export interface RequestFigures {
  endpoint: string;
  way: Way;
  clients: number;
  requests_per_s: number;
  p50_ms: number;
  p99_ms: number;
}

const ways: Way[] = ["function", "data api"];
/** So many operations are read, changed and reported over and over. */
const known = 4000;
const running = 500;
/** More than can be started while one measurement lasts, for one client and for many. */
const fresh = (clients: number, duration_ms: number) => Math.ceil((clients === 1 ? 0.4 : 1.2) * duration_ms);

/** Each endpoint with each number of clients, both ways, round by round, so that a slow minute hits all alike. */
export async function measureRequests(
  stack: DurableStack,
  generator: Generator,
  headers: Record<string, string>,
  plan: RequestPlan,
  onProgress: (text: string) => void,
): Promise<RequestFigures[]> {
  const operations = await newOperations(stack, known);
  const started = await newOperations(stack, running);
  await start(stack, started);
  let sent = 0;
  const measure = async (endpoint: Endpoint, way: Way, clients: number, duration_ms: number, on: Operation[]) => {
    const requests = on.map((operation) => endpoint.request(stack, way, operation, ++sent));
    const once = endpoint.takes === "fresh" || endpoint.takes === "just started";
    return await generator.run({ clients, duration_ms, headers, requests, once, status: endpoint.status[way] });
  };

  const results = new Map<string, LoadResult[]>();
  const cell = (endpoint: Endpoint, way: Way, clients: number) => `${endpoint.name}\n${way}\n${clients}`;
  for (let round = 0; round <= plan.rounds; round++) {
    // the first is for the compilers, the plans and the caches
    const isWarmUp = round === 0;
    const duration_ms = isWarmUp ? 400 : plan.duration_ms;
    for (const clients of isWarmUp ? [16] : plan.clients) {
      onProgress(isWarmUp ? "warm-up" : `round ${round} of ${plan.rounds}, ${clients} clients`);
      for (const way of ways) {
        let justStarted: Operation[] = [];
        for (const endpoint of endpoints) {
          const on = {
            any: () => operations,
            started: () => started,
            fresh: () => newOperations(stack, fresh(clients, duration_ms)),
            "just started": () => justStarted,
          }[endpoint.takes];
          const taken = await on();
          const result = await measure(endpoint, way, clients, duration_ms, taken);
          if (endpoint.takes === "fresh") justStarted = taken.slice(0, result.count);
          if (isWarmUp) continue;
          const name = cell(endpoint, way, clients);
          results.set(name, [...results.get(name) ?? [], result]);
        }
      }
    }
  }

  return endpoints.flatMap((endpoint) =>
    plan.clients.flatMap((clients) =>
      ways.map((way): RequestFigures => {
        const rounds = results.get(cell(endpoint, way, clients)) ?? [];
        return {
          endpoint: endpoint.name,
          way,
          clients,
          requests_per_s: median(rounds.map(({ count, seconds }) => count / seconds)),
          p50_ms: median(rounds.map(({ p50_ms }) => p50_ms)),
          p99_ms: median(rounds.map(({ p99_ms }) => p99_ms)),
        };
      })
    )
  );
}
