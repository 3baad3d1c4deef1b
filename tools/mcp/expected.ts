/**
 * Checks of the conformance suite that fail, and why. The suite drives a reference server with tools, prompts and resources
 * of its own; what it asks of those, this server cannot answer. Tests of this repository check the same of its own tools.
 *
 * @module
 */

/** A reason, and the scenarios or single checks (`scenario:check`) that fail for it. */
interface Expectation {
  reason: string;
  checks: string[];
  /** Revisions in which they are required; both by default. */
  revisions?: string[];
}

const current = ["2026-07-28"];
const earlier = ["2025-11-25"];

export const expectations: readonly Expectation[] = [
  {
    reason: "calls a tool of the reference server (text, image, audio, progress), which a shop floor does not have",
    checks: [
      "tools-call-simple-text",
      "tools-call-image",
      "tools-call-audio",
      "tools-call-embedded-resource",
      "tools-call-mixed-content",
      "tools-call-error",
      "tools-call-with-progress",
      "json-schema-2020-12",
    ],
  },
  {
    reason: "calls a tool of the reference server that asks the client; tests/mcp/confirm_test.ts asks by report_event",
    checks: [
      "input-required-result-basic-elicitation",
      "input-required-result-request-state",
      "input-required-result-multiple-input-requests",
      "input-required-result-multi-round",
      "input-required-result-result-type",
      "input-required-result-tampered-state",
      "input-required-result-capability-check",
      "server-stateless:sep-2575-server-rejects-undeclared-capability",
      "server-stateless:sep-2575-missing-capability-http-400",
      "server-stateless:sep-2575-http-server-no-independent-requests-on-stream",
    ],
    revisions: current,
  },
  {
    reason: "asks the client in the middle of a call, which needs a session; a client of this revision gets a token",
    checks: ["tools-call-elicitation", "elicitation-sep1034-defaults", "elicitation-sep1330-enums"],
    revisions: earlier,
  },
  {
    reason: "has the client's model or its roots asked, which no tool does",
    checks: ["input-required-result-basic-sampling", "input-required-result-basic-list-roots"],
    revisions: current,
  },
  { reason: "has the client's model asked, which no tool does", checks: ["tools-call-sampling"], revisions: earlier },
  {
    reason: "needs prompts, resources or completions, which are not offered",
    checks: [
      "prompts-list",
      "prompts-get-simple",
      "prompts-get-with-args",
      "prompts-get-embedded-resource",
      "prompts-get-with-image",
      "resources-list",
      "resources-read-text",
      "resources-read-binary",
      "resources-templates-read",
      "completion-complete",
    ],
  },
  {
    reason: "needs prompts or resources, which are not offered",
    checks: [
      "input-required-result-non-tool-request",
      "caching:sep-2549-prompts-list-caching-hints",
      "caching:sep-2549-resources-list-caching-hints",
      "caching:sep-2549-resources-templates-list-caching-hints",
    ],
    revisions: current,
  },
  {
    reason: "needs resources, which are not offered",
    checks: ["resources-subscribe", "resources-unsubscribe"],
    revisions: earlier,
  },
  {
    reason: "needs subscriptions: the list of tools changes with the caller's access, of which no process hears",
    checks: [
      "server-stateless:sep-2575-server-sends-subscription-ack",
      "server-stateless:sep-2575-server-tags-subscription-id",
    ],
    revisions: current,
  },
  {
    reason: "needs log messages to the client, which the newer revision deprecates",
    checks: ["logging-set-level", "tools-call-with-logging"],
    revisions: earlier,
  },
  {
    reason: "needs log messages to the client, which this revision deprecates",
    checks: ["server-stateless:sep-2575-server-no-log-without-loglevel"],
    revisions: current,
  },
  {
    reason: "needs a tool with arguments in headers, which the suite does not require and no tool has",
    checks: ["http-custom-header-server-validation"],
    revisions: current,
  },
];

/** Returns the reasons of a revision by scenario or check. */
export const expectedOf = (revision: string): ReadonlyMap<string, string> =>
  new Map(
    expectations.filter(({ revisions = [...current, ...earlier] }) => revisions.includes(revision))
      .flatMap(({ checks, reason }) => checks.map((check): [string, string] => [check, reason])),
  );
