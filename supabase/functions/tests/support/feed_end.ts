import { assertEquals, dataApi, server } from "./harness.ts";

/** Returns the end of the feed for `read_feed`. One call reads 10,000 positions, and other tests fill the feed. */
export interface FeedEnd {
  after_pos: number;
  generation: string;
  mark: string | null;
}

/** Reads where the feed ends now. */
export async function feedEnd(): Promise<FeedEnd> {
  const { status, body, text } = await dataApi(server).post<{ pos: number; generation: string; mark: string | null }>(
    "/rest/v1/rpc/feed_head",
    {},
  );
  assertEquals(status, 200, text);
  return { after_pos: body.pos, generation: body.generation, mark: body.mark };
}
