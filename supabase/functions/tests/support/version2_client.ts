/**
 * A client of version 2, for tests that are written in the paths and answers of version 1: what holds there holds here.
 *
 * @module
 */
import { type Answer, Client, type RequestOptions } from "./harness.ts";

/** Returns the path in version 2, if its resource has one. */
export const version2Path = (path: string) => path.replace(/^\/(operations|events)\/v1/, "/$1/v2");

/** Sends requests to version 2 in place of version 1, and returns the items of a list as version 1 does. */
export class Version2Client extends Client {
  override async request<Body>(method: string, path: string, options?: RequestOptions): Promise<Answer<Body>> {
    const answer = await super.request<Body | { items: Body }>(method, version2Path(path), options);
    const { body } = answer;
    return { ...answer, body: typeof body === "object" && body !== null && "items" in body ? body.items : body };
  }
}
