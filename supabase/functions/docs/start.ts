/**
 * Where everything is: what `/` and `/functions/v1` answer.
 *
 * @module
 */
import { base, escapeHtml, htmlPage } from "./pages.ts";

/** What the generated document says of a function. */
interface Part {
  name: string;
  description: string;
  url: string;
  health: string;
}

const links = {
  swagger_ui: base,
  redoc: `${base}/redoc`,
  openapi: `${base}/openapi.json`,
  errors: `${base}/errors`,
  sign_in: "/auth/v1/token?grant_type=password",
  sign_up: "/auth/v1/signup",
};

/** Returns the functions, in the order of the document. */
async function parts(): Promise<Part[]> {
  const { openApiDocument: { paths, tags } } = await import("./document.ts");
  const found = new Map<string, Part>();
  for (const [path, methods] of Object.entries(paths)) {
    const name = path.split("/")[1] ?? "";
    const [endpoint] = Object.values<{ tags: string[] }>(methods);
    const tag = tags.find((one) => one.name === endpoint?.tags[0]);
    if (tag === undefined || found.has(name)) continue;
    const [description = ""] = tag.description.split(/(?<=\.) /);
    found.set(name, {
      name,
      description,
      url: `/functions/v1/${name}/v1`,
      health: `/functions/v1/${name}/health`,
    });
  }
  return [...found.values()];
}

/** Returns the answer for programs. */
export async function startJson() {
  const functions = (await parts()).map(({ name, ...rest }) => [name, rest] as const);
  return { name: "MES Operations API", links, functions: Object.fromEntries(functions) };
}

/** Writes the page for people. */
export async function startPage(): Promise<string> {
  const entries = (await parts()).map(({ description, url, health }) =>
    `        <dt><code>${url}</code> (<a href="${health}">health</a>)</dt><dd>${withCode(description)}</dd>`
  );
  return htmlPage({
    title: "MES Operations API",
    body: `    <main class="docs">
      <h1>MES Operations API</h1>
      <p>The execution layer of a factory: the ERP plans operations, operators and machines report events.</p>
      <ul>
        <li><a href="${links.swagger_ui}">Swagger UI</a>: sign in and try every endpoint.</li>
        <li><a href="${links.redoc}">ReDoc</a>: the reference, for reading.</li>
        <li><a href="${links.openapi}">openapi.json</a>: the OpenAPI document, for client generators.</li>
        <li><a href="${links.errors}">Errors</a>: what each error code means.</li>
      </ul>
      <p>Sign in with <code>POST ${links.sign_in}</code>, and send the <code>access_token</code> as
      <code>Authorization: Bearer ...</code> with each request.</p>
      <dl>
${entries.join("\n")}
      </dl>
    </main>`,
  });
}

const withCode = (text: string) => escapeHtml(text).replace(/`([^`]+)`/g, "<code>$1</code>");
