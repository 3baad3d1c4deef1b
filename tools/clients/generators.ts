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

/** Runs a program of an npm package. */
const byNpx = (spec: string, ...args: string[]): Command => ["npx", "-y", "-p", spec, "-p", typescript, ...args];

/** Those of npm: a test also calls the API with their clients. */
export const npmGenerators = {
  openapiTypescript: npmGenerator("openapi-typescript", "7.13.0", {
    run: ["openapi-typescript", "openapi.json", "-o", "client.ts"],
    writes: "client.ts",
  }),
  heyApi: npmGenerator("@hey-api/openapi-ts", "0.99.0", {
    run: ["openapi-ts", "-i", "openapi.json", "-o", "client", "--no-log-file"],
    writes: "client/index.ts",
  }),
  orval: npmGenerator("orval", "8.38.0", {
    run: ["orval"],
    writes: "client.ts",
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
  }),
};

function npmGenerator(
  name: string,
  version: string,
  { run, writes, files }: { run: string[]; writes: string; files?: Record<string, string> },
): Generator {
  return {
    name,
    version,
    language: "TypeScript",
    needs: ["npx"],
    files,
    generate: [byNpx(`${name}@${version}`, ...run)],
    compile: checkedByDeno(writes),
  };
}

/** A generator of PyPI, in an environment of its own. */
function pythonGenerator(
  name: string,
  version: string,
  { packages = [], run, compile, files }: {
    packages?: string[];
    run: Command;
    compile: Command[];
    files?: Record<string, string>;
  },
): Generator {
  const install = ["install", "--quiet", "--disable-pip-version-check", `${name}==${version}`, "mypy==2.4.1"];
  return {
    name,
    version,
    language: "Python",
    needs: ["python3"],
    files,
    generate: [["python3", "-m", "venv", "venv"], ["venv/bin/pip", ...install, ...packages], run],
    compile,
  };
}

/** A generator that is the tool of a new Go module (Go 1.24 or newer). */
function goGenerator(
  name: string,
  version: string,
  { module, run, files }: { module: string; run: string[]; files?: Record<string, string> },
): Generator {
  return {
    name,
    version,
    language: "Go",
    needs: ["go"],
    files,
    generate: [
      ["go", "mod", "init", "example.com/client"],
      ["go", "get", "-tool", `${module}@v${version}`],
      ["go", "tool", name, ...run],
      ["go", "mod", "tidy"],
    ],
    compile: [["go", "vet", "./..."]],
  };
}

export const generators: readonly Generator[] = [
  ...Object.values(npmGenerators),
  pythonGenerator("openapi-python-client", "0.29.1", {
    run: ["venv/bin/openapi-python-client", "generate", "--path", "openapi.json", "--output-path", "client"],
    compile: [["venv/bin/mypy", "client/mes_operations_api_client"]],
  }),
  pythonGenerator("datamodel-code-generator", "0.89.0", {
    packages: ["pydantic==2.14.4"],
    run: [
      ...["venv/bin/datamodel-codegen", "--input", "openapi.json", "--input-file-type", "openapi"] as const,
      ...["--output", "client.py", "--output-model-type", "pydantic_v2.BaseModel"],
      ...["--use-annotated", "--formatters", "builtin"],
    ],
    files: {
      "try.py": `import client
report = {"action_type": "START", "order_no": "O", "operation_no": "1", "workplace_name": "W"}
assert type(client.Report.model_validate(report).root).__name__ == "StartReport"
`,
    },
    compile: [["venv/bin/mypy", "client.py"], ["venv/bin/python", "try.py"]],
  }),
  goGenerator("oapi-codegen", "2.8.2", {
    module: "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen",
    run: ["-generate", "types,client", "-package", "client", "-o", "client.go", "openapi.json"],
  }),
  goGenerator("ogen", "1.25.0", {
    module: "github.com/ogen-go/ogen/cmd/ogen",
    run: ["--config", "ogen.yml", "--target", "client", "--package", "client", "--clean", "openapi.json"],
    // it writes no client of a stream
    files: { "ogen.yml": `generator:\n  ignore_not_implemented: ["sse server response encoding"]\n` },
  }),
];
