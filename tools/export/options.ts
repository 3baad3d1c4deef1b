import { parseArgs } from "node:util";
import { messageOf } from "../../local/system/failure.ts";
import { ToolFailure } from "../failure.ts";
import { fromHere, type Project, projectOf, wholeNumber } from "../project.ts";

/** Lists that can be exported, with their paths. */
const lists: Record<string, string> = {
  operations: "/operations/v1",
  events: "/events/v1",
  runs: "/operations/v1/runs",
  downtimes: "/downtimes/v1",
  workplaces: "/workplaces/v1",
};

/** Parameters that the command sets itself, page by page. */
const own = ["format", "header", "cursor", "skip", "limit", "count"];

/** Options of `deno task export`. */
export interface ExportOptions extends Project {
  /** Path of the list, below the functions. */
  path: string;
  /** Filters and form of the list. */
  query: URLSearchParams;
  /** Path of the file; `-` = standard output. */
  output: string;
  /** False: begin again and ignore what an earlier attempt wrote. */
  isResumed: boolean;
  /** Time limit of the retries of one request while the server is away, in seconds. */
  patience_s: number;
}

export const usage = `Usage: deno task export <${Object.keys(lists).join("|")}> [name=value...] [options]

Writes a list as CSV into a file of any size. name=value are parameters of the list, filters and form:

  deno task export operations status=FINISHED updated_after=2026-11-01T00:00:00Z
  deno task export events workplace_name='TruLaser 5060 (L76)' columns=occurred_at,action_type,order_no,qty_good
  deno task export runs from=2026-11-01T00:00:00Z to=2026-12-01T00:00:00Z separator=semicolon decimal=comma bom=true \\
    time_zone=Europe/Amsterdam --output november.csv

After Ctrl-C, a crash or a lost network the same command goes on where it stopped.

  --output <path>       file to write (default <list>.csv; - is standard output, which cannot be resumed)
  --url <url>           the project, as https://<ref>.supabase.co, or its functions
  --key <key>           secret key, or an access token; better in SUPABASE_SECRET_KEY, where nobody sees it
  --no-resume           begin anew
  --patience <seconds>  how long to try again while the server is away (default 300)
  --help                this text

URL and key come from FUNCTIONS_URL or SUPABASE_URL and SUPABASE_SECRET_KEY, else from the stack that was started last
(supabase/.temp/local.env). The file has its name once it is complete; until then it is <file>.part.`;

/** Reads the command line; undefined when help was asked for. */
export async function parseExportOptions(args: string[]): Promise<ExportOptions | undefined> {
  const { values, positionals } = parseCommandLine(args);
  if (values.help) return undefined;
  const [list, ...parameters] = positionals;
  const path = list === undefined || !Object.hasOwn(lists, list) ? undefined : lists[list];
  if (path === undefined) {
    throw new ToolFailure(`Name a list: ${Object.keys(lists).join(", ")}.\n\n${usage}`);
  }
  return {
    path,
    query: queryOf(parameters),
    output: values.output === "-" ? "-" : fromHere(values.output ?? `${list}.csv`),
    ...await projectOf(values.url, values.key),
    isResumed: !values["no-resume"],
    patience_s: wholeNumber("patience", values.patience, 0, 86_400),
  };
}

function queryOf(parameters: string[]): URLSearchParams {
  const query = new URLSearchParams();
  for (const parameter of parameters) {
    const [, name, value] = /^([a-z_]+)=(.*)$/s.exec(parameter) ?? [];
    if (name === undefined || value === undefined) {
      throw new ToolFailure(`Cannot use "${parameter}": give parameters of the list as name=value.`);
    }
    if (own.includes(name)) throw new ToolFailure(`Cannot use "${parameter}": the command sets ${name} itself.`);
    query.append(name, value);
  }
  return query;
}

function parseCommandLine(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        output: { type: "string" },
        url: { type: "string" },
        key: { type: "string" },
        "no-resume": { type: "boolean", default: false },
        patience: { type: "string", default: "300" },
        help: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    throw new ToolFailure(`${messageOf(error)}\n\n${usage}`);
  }
}
