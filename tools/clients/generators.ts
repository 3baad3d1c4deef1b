/**
 * Generators of clients, each at the version with which docs/openapi.json is tried.
 *
 * @module
 */

/** Prefix of a program, then its arguments; the working folder holds openapi.json. */
type Command = readonly [program: string, ...args: string[]];

/** One generator, and how to use and compile what it writes. */
export interface Generator {
  name: string;
  version: string;
  language: "TypeScript" | "Python" | "Go";
  /** Programs that must be installed. */
  needs: readonly string[];
  /** Files to write beforehand. */
  files?: Readonly<Record<string, string>>;
  generate: readonly Command[];
  /** Succeeds when the generated code is valid. */
  compile: readonly Command[];
}

const typescript = "typescript@5.9.3";

/** Deno's own TypeScript; generated imports name no file extension. */
const checkedByDeno = (file: string): readonly Command[] => [
  [Deno.execPath(), "check", "--no-config", "--no-lock", "--unstable-sloppy-imports", file],
];

const openapiTypescript = { name: "openapi-typescript", version: "7.13.0" } as const;
const heyApi = { name: "@hey-api/openapi-ts", version: "0.99.0" } as const;
const orval = { name: "orval", version: "8.38.0" } as const;

/** Those of npm: a test also calls the API with their clients. */
export const npmGenerators = {
  openapiTypescript: {
    ...openapiTypescript,
    language: "TypeScript",
    needs: ["npx"],
    generate: [[
      "npx",
      "-y",
      "-p",
      `${openapiTypescript.name}@${openapiTypescript.version}`,
      "-p",
      typescript,
      "openapi-typescript",
      "openapi.json",
      "-o",
      "client.ts",
    ]],
    compile: checkedByDeno("client.ts"),
  },
  heyApi: {
    ...heyApi,
    language: "TypeScript",
    needs: ["npx"],
    generate: [[
      "npx",
      "-y",
      "-p",
      `${heyApi.name}@${heyApi.version}`,
      "-p",
      typescript,
      "openapi-ts",
      "-i",
      "openapi.json",
      "-o",
      "client",
      "--no-log-file",
    ]],
    compile: checkedByDeno("client/index.ts"),
  },
  orval: {
    ...orval,
    language: "TypeScript",
    needs: ["npx"],
    // orval leaves URL and credential to a function of the project
    files: {
      "orval.config.mjs": `export default {
  api: {
    input: "openapi.json",
    output: { target: "client.ts", client: "fetch", override: { mutator: { path: "call.ts", name: "call" } } },
  },
};
`,
      "call.ts": `export const settings = { baseUrl: "", headers: {} as Record<string, string> };

export async function call<Answer>(url: string, init: RequestInit): Promise<Answer> {
  const response = await fetch(settings.baseUrl + url, {
    ...init,
    headers: { ...Object.fromEntries(new Headers(init.headers)), ...settings.headers },
  });
  const data = response.status === 204 ? undefined : await response.json();
  return { data, status: response.status, headers: response.headers } as Answer;
}
`,
    },
    generate: [["npx", "-y", "-p", `${orval.name}@${orval.version}`, "-p", typescript, "orval"]],
    compile: checkedByDeno("client.ts"),
  },
} as const satisfies Record<string, Generator>;

/** A Python generator from its package, in an environment of its own. */
const inVenv = (...packages: string[]): readonly Command[] => [
  ["python3", "-m", "venv", "venv"],
  ["venv/bin/pip", "install", "--quiet", "--disable-pip-version-check", ...packages],
];

/** A module with the generator as its tool (Go 1.24 or newer). */
const goModule = (...dependencies: string[]): readonly Command[] => [
  ["go", "mod", "init", "example.com/client"],
  ["go", "get", "-tool", ...dependencies],
];

export const generators: readonly Generator[] = [
  ...Object.values(npmGenerators),
  {
    name: "openapi-python-client",
    version: "0.29.1",
    language: "Python",
    needs: ["python3"],
    generate: [
      ...inVenv("openapi-python-client==0.29.1", "mypy==2.4.1"),
      ["venv/bin/openapi-python-client", "generate", "--path", "openapi.json", "--output-path", "client"],
    ],
    compile: [["venv/bin/mypy", "client/mes_operations_api_client"]],
  },
  {
    name: "datamodel-code-generator",
    version: "0.89.0",
    language: "Python",
    needs: ["python3"],
    files: {
      "try.py": `import client
report = {"action_type": "START", "order_no": "O", "operation_no": "1", "workplace_name": "W"}
assert type(client.Report.model_validate(report).root).__name__ == "StartReport"
`,
    },
    generate: [
      ...inVenv("datamodel-code-generator==0.89.0", "mypy==2.4.1", "pydantic==2.14.4"),
      [
        "venv/bin/datamodel-codegen",
        ...["--input", "openapi.json", "--input-file-type", "openapi", "--output", "client.py"],
        ...["--output-model-type", "pydantic_v2.BaseModel", "--use-annotated", "--formatters", "builtin"],
      ],
    ],
    compile: [["venv/bin/mypy", "client.py"], ["venv/bin/python", "try.py"]],
  },
  {
    name: "oapi-codegen",
    version: "2.8.2",
    language: "Go",
    needs: ["go"],
    generate: [
      ...goModule("github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2"),
      [
        ...["go", "tool", "oapi-codegen"] as const,
        ...["-generate", "types,client", "-package", "client", "-o", "client.go", "openapi.json"],
      ],
      ["go", "mod", "tidy"],
    ],
    compile: [["go", "vet", "./..."]],
  },
  {
    name: "ogen",
    version: "1.25.0",
    language: "Go",
    needs: ["go"],
    // it writes no client of a stream
    files: { "ogen.yml": `generator:\n  ignore_not_implemented: ["sse server response encoding"]\n` },
    generate: [
      ...goModule("github.com/ogen-go/ogen/cmd/ogen@v1.25.0"),
      [
        ...["go", "tool", "ogen", "--config", "ogen.yml"] as const,
        ...["--target", "client", "--package", "client", "--clean", "openapi.json"],
      ],
      ["go", "mod", "tidy"],
    ],
    compile: [["go", "vet", "./..."]],
  },
];
