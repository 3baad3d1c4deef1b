/**
 * Version 2 of operations and events: the endpoints of version 1 with other answers. Lists are objects with their page,
 * and operations have links. Handlers, requests, errors and SQL are those of version 1.
 *
 * @module
 */
import { getRefId } from "@asteasolutions/zod-to-openapi";
import { z } from "@hono/zod-openapi";
import { exampleCursor } from "./cursors.ts";
import { OperationEvent, ReportedEvent } from "./event.ts";
import { type Form, laterVersion } from "./later_versions.ts";
import { defaultLimit } from "./lists.ts";
import { Operation, OperationWithActions, TransitionAction } from "./operation.ts";

const exampleOperation = "/functions/v1/operations/v2/403860-001/1/0010";

const LinkMethod = z.enum(["GET", "POST"]).openapi("LinkMethod", {
  description: "HTTP method of the link.",
  example: "GET",
});

const Link = z.object({
  method: LinkMethod,
  href: z.string().openapi({ description: "URL, relative to the API's origin.", example: exampleOperation }),
  schema: z.string().optional().openapi({
    description: "JSON Schema of the body, as a URL into the OpenAPI document; omitted for a link without a body.",
    example: "/functions/v1/docs/openapi.json#/components/schemas/Transition",
  }),
}).openapi("Link", { description: "A request that the caller may send now." });

type Link = z.infer<typeof Link>;

const transition = (action: z.infer<typeof TransitionAction>) =>
  Link.optional().openapi({
    description: `Performs ${action}: send \`{"action": "${action}"}\`. Omitted while refused.`,
  });

const OperationLinks = z.object({
  self: Link,
  events: Link.openapi({ description: "Its events." }),
  runs: Link.openapi({ description: "Its runs." }),
  queue: Link.optional().openapi({ description: "Queue of its workplace; omitted without a workplace." }),
  RELEASE: transition("RELEASE"),
  START: transition("START"),
  STOP: transition("STOP"),
  COMPLETE: transition("COMPLETE"),
  FINISH: transition("FINISH"),
  HOLD: transition("HOLD"),
  CANCEL: transition("CANCEL"),
}).openapi("OperationLinks", {
  description: "Related resources, and one link for each transition that the caller may perform now, by its action.",
});

const LinkedOperation = OperationWithActions.extend({ _links: OperationLinks }).openapi("LinkedOperation", {
  description: "An operation, with the actions that the caller may perform now and with links.",
});

const LinkedReportedEvent = OperationEvent.extend({ operation: LinkedOperation }).openapi("LinkedReportedEvent", {
  description: "An event, with the operation after it and its links.",
});

const Page = z.object({
  limit: z.int().min(1).max(500).nullable().openapi({
    description: "Most items of a page; null for a list that has one page.",
    example: 100,
  }),
  next_cursor: z.string().nullable().openapi({
    description: "Start of the next page: send it as `cursor` with the same filters. Null on the last page.",
    example: exampleCursor,
  }),
  total: z.int().min(0).optional().openapi({
    description: "Number of matching items, when the request has `count` or the list has one page.",
    example: 1234,
  }),
}).openapi("Page", { description: "The place of these items in the list." });

const PageLinks = z.object({
  self: Link,
  next: Link.optional().openapi({ description: "The next page; omitted on the last one." }),
}).openapi("PageLinks", { description: "This page and the next one." });

/** TypeScript has checked the value against the schema where a handler answers it. */
const form = <Value>(schema: z.ZodType, write: (value: Value) => unknown): Form => ({
  schema,
  write: (_c, value) => write(value as Value),
});

const linkedOperation = form<OperationWithActions>(LinkedOperation, withLinks);

/** Answers that differ, by the schema of version 1. Lists differ too, each by its items. */
const forms = new Map<unknown, Form>([
  // a list of version 2 has allowed_actions
  [Operation, linkedOperation],
  [OperationWithActions, linkedOperation],
  [
    ReportedEvent,
    form<ReportedEvent>(LinkedReportedEvent, (event) => ({ ...event, operation: withLinks(event.operation) })),
  ],
]);

function formOf(schema: unknown): Form | undefined {
  return schema instanceof z.ZodArray ? pageOf(schema.element) : forms.get(schema);
}

/** Returns the form of a list. */
function pageOf(item: unknown): Form {
  if (!(item instanceof z.ZodType)) throw new TypeError("The items of a list have a schema of zod");
  const { schema, write } = forms.get(item) ?? { schema: item, write: (_c, value) => value };
  const name = getRefId(schema);
  if (name === undefined) throw new TypeError("The items of a list have a schema with a name");
  return {
    schema: z.object({
      items: z.array(schema).openapi({ description: "Items of this page, in the order of the list." }),
      page: Page,
      _links: PageLinks,
    }).openapi(`${name}Page`, { description: "A page of a list." }),
    write: (c, value) => {
      const items = (value as unknown[]).map((one) => write(c, one));
      const { pathname, search } = new URL(c.req.url);
      const self = { method: "GET", href: `/functions/v1${pathname}${search}` };
      if (c.var.page === undefined) {
        return { items, page: { limit: null, next_cursor: null, total: items.length }, _links: { self } };
      }
      const { nextCursor, nextUrl, total } = c.var.page;
      return {
        items,
        page: {
          limit: Number(c.req.query("limit") ?? defaultLimit),
          next_cursor: nextCursor,
          ...total === null ? {} : { total },
        },
        _links: { self, ...nextUrl === null ? {} : { next: { method: "GET", href: nextUrl } } },
      };
    },
  };
}

function withLinks(operation: OperationWithActions): z.infer<typeof LinkedOperation> {
  return { ...operation, _links: linksOf(operation) };
}

function linksOf(operation: OperationWithActions): z.infer<typeof OperationLinks> {
  const { order_no, asset_id, operation_no, workplace_name, allowed_actions } = operation;
  const self = `/functions/v1/operations/v2/${[order_no, asset_id, operation_no].map(encodeURIComponent).join("/")}`;
  const events = new URLSearchParams({ order_no, operation_no, asset_id: String(asset_id) });
  const get = (href: string): Link => ({ method: "GET", href });
  const links: z.infer<typeof OperationLinks> = {
    self: get(self),
    events: get(`/functions/v1/events/v2?${events}`),
    runs: get(`${self}/runs`),
  };
  if (workplace_name !== null) {
    links.queue = get(`/functions/v1/workplaces/v1/${encodeURIComponent(workplace_name)}/queue`);
  }
  for (const { action, allowed } of allowed_actions) {
    if (allowed && isTransition(action)) {
      links[action] = {
        method: "POST",
        href: `${self}/transitions`,
        schema: "/functions/v1/docs/openapi.json#/components/schemas/Transition",
      };
    }
  }
  return links;
}

function isTransition(action: string): action is z.infer<typeof TransitionAction> {
  return TransitionAction.options.some((option) => option === action);
}

/** Returns endpoints of version 1 as those of version 2. */
export const inVersion2 = laterVersion("v2", formOf);
