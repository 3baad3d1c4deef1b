/**
 * Explanations of the problems: pages for people, Markdown for terminals and docs/errors.md.
 *
 * @module
 */
import { exampleRequestId, Problem, problemBody, type ProblemCode, problemTable } from "../_shared/problems.ts";
import { base, escapeHtml, htmlPage } from "./pages.ts";

const codes = Object.keys(problemTable) as ProblemCode[];

/** Returns the example of a code for the documents. */
export function exampleOf(code: ProblemCode) {
  const { detail, ...more } = problemTable[code].example;
  return problemBody(new Problem(code, detail, more), exampleRequestId);
}

const introduction =
  "Every error is `application/problem+json` (RFC 9457). `code` is for programs and does not change. `title` and " +
  "`detail` are for people. `instance` is the request id, as in the header `X-Request-Id` and in the log. `type` is " +
  "the URL of the page about the code. Further members depend on the code. A rejected request has changed nothing.";

/** Writes the section of a code in Markdown. */
export function errorMarkdown(code: ProblemCode): string {
  const { status, title, explanation } = problemTable[code];
  return `## ${code}

**${status}: ${title}.** ${explanation}

\`\`\`json
${JSON.stringify(exampleOf(code), null, 2)}
\`\`\`
`;
}

/** Writes all codes in Markdown. */
export function errorsMarkdown(): string {
  const rows = codes.map((code) => {
    const { status, title } = problemTable[code];
    return `| ${status} | [\`${code}\`](#${code}) | ${title} |\n`;
  });
  return `# Errors

${introduction}

| status | code | title |
| --- | --- | --- |
${rows.join("")}
${codes.map(errorMarkdown).join("\n")}`;
}

/** Writes the page of a code. */
export function errorPage(code: ProblemCode): string {
  const { status, title, explanation } = problemTable[code];
  return htmlPage({
    title: `${code}: ${escapeHtml(title)}`,
    body: `    <main class="docs">
      <p class="path"><a href="${base}/errors">Errors</a></p>
      <h1><code>${code}</code></h1>
      <p class="summary"><span class="status">${status}</span> ${escapeHtml(title)}</p>
      <p>${withCode(explanation)}</p>
      <h2>Example</h2>
      <pre><code>${escapeHtml(JSON.stringify(exampleOf(code), null, 2))}</code></pre>
    </main>`,
  });
}

/** Writes the page of all codes. */
export function errorsPage(): string {
  const rows = codes.map((code) => {
    const { status, title } = problemTable[code];
    const breakable = code.replaceAll("_", "_<wbr>");
    return `          <tr><td>${status}</td><td><a href="${base}/errors/${code}"><code>${breakable}</code></a></td><td>${
      escapeHtml(title)
    }</td></tr>`;
  });
  return htmlPage({
    title: "Errors of the MES Operations API",
    body: `    <main class="docs">
      <h1>Errors</h1>
      <p>${withCode(introduction)}</p>
      <table>
        <thead><tr><th>Status</th><th>Code</th><th>Title</th></tr></thead>
        <tbody>
${rows.join("\n")}
        </tbody>
      </table>
    </main>`,
  });
}

const withCode = (text: string) => escapeHtml(text).replace(/`([^`]+)`/g, "<code>$1</code>");
