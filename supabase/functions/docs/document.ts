/** The OpenAPI document as it is served. Only requests for it load this module. */
import { createHash } from "node:crypto";
import generated from "../../../docs/openapi.json" with { type: "json" };

/** A relative URL is right on every domain, and keeps "Try it out" on the origin of the document. */
const servers = [{ url: "/functions/v1", description: "Origin of this document." }];

export const openApiDocument = { ...generated, servers };

/** The document as text: writing half a megabyte takes 20 ms, too long for each request. */
export const openApiText = JSON.stringify(openApiDocument);

/** ETag of the text. */
export const openApiEtag = `"${createHash("sha256").update(openApiText).digest("base64url")}"`;
