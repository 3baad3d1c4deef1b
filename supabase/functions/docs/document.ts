/** The document as it is served. In a module of its own, so that only who asks for it loads it. */
import { createHash } from "node:crypto";
import generated from "../../../docs/openapi.json" with { type: "json" };

/** Relative to where the document comes from: right behind every domain, and "Try it out" stays on its own origin. */
const servers = [{ url: "/functions/v1", description: "Where this document comes from." }];

export const openApiDocument = { ...generated, servers };

/** The document as text. Writing half a megabyte for each request would take 20 ms each. */
export const openApiText = JSON.stringify(openApiDocument);

/** ETag of the text. */
export const openApiEtag = `"${createHash("sha256").update(openApiText).digest("base64url")}"`;
