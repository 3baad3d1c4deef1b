import { parseArgs } from "node:util";
import { basename } from "node:path";
import { messageOf } from "../../local/system/failure.ts";
import { fromHere, projectOf, wholeNumber } from "../project.ts";
import { ImportFailure } from "./failure.ts";

/** Most rows and bytes that the endpoint takes at once. */
export const maxRows = 1000;
export const maxBytes = 1024 * 1024 - 1;

/** Forms of a file of rows. */
export type Format = "csv" | "ndjson";

/** Options of `deno task import`. */
export interface ImportOptions {
  /** Path of the file; `-` = standard input. */
  input: string;
  format: Format;
  isGzipped: boolean;
  /** Between the fields of a CSV. */
  separator: string;
  /** Label of the text's encoding, as `TextDecoder` takes it. */
  encoding: string;
  /** Address of the functions, as in `https://<ref>.supabase.co/functions/v1`. */
  functionsUrl: string;
  /** Secret key, or a user's access token. */
  key: string;
  mode: "update" | "takeover";
  isDryRun: boolean;
  /** Fate of a row that names a workplace that the plant does not know. */
  unknownWorkplaces: "create" | "reject";
  /** Decimal sign of the numbers in a CSV; undefined = ambiguous ones are rejected. */
  decimal: "point" | "comma" | undefined;
  /** Rows of one request. */
  chunk: number;
  /** File of the progress; undefined = not stored. */
  stateFile: string | undefined;
  /** File of the rejected rows, in the form of the input. */
  rejectsFile: string;
  /** False: begin again and ignore the state file. */
  isResumed: boolean;
  /** Time limit of the retries of one chunk while the server is away, in seconds. */
  patience_s: number;
}

export const usage = `Usage: deno task import <file|-> [options]

Sends rows of the ERP's change feed, CSV or NDJSON, plain or .gz, of any size. After Ctrl-C, a crash or a lost network
the same command goes on where it stopped.

  --format <csv|ndjson>   form of the file (default: by its name; needed for -, standard input)
  --gzip                  the input is compressed (default: by its name)
  --separator <char>      between the fields of a CSV (default ,)
  --decimal <point|comma> decimal sign of numbers in a CSV; without it, a number with two readings (1.000) is rejected
  --encoding <name>       encoding of the text, as windows-1252 (default utf-8)
  --url <url>             the project, as https://<ref>.supabase.co, or its functions
  --key <key>             secret key, or a supervisor's access token; better in SUPABASE_SECRET_KEY, where nobody sees it
  --mode <update|takeover>  takeover: rows of the first service with status, quantities and times (default update)
  --unknown-workplaces <create|reject>  rows of a workplace that the plant does not know (default create)
  --dry-run               tell what would happen, change nothing
  --chunk <rows>          rows of one request, 1 to ${maxRows} (default ${maxRows})
  --state <path>          where to keep how far it has come (default <file>.import.json; - has none unless given)
  --no-resume             begin anew
  --rejects <path>        report of refused rows, in the form of the file: correct it, and import it (default
                          <file>.rejected.<format>)
  --patience <seconds>    how long to try again while the server is away (default 300)
  --help                  this text

URL and key come from FUNCTIONS_URL or SUPABASE_URL and SUPABASE_SECRET_KEY, else from the stack that was started last
(supabase/.temp/local.env).

Exit codes: 0 all rows were accepted, 2 some were rejected, 1 the import failed or was interrupted.`;

/** Reads the command line; undefined when help was asked for. */
export async function parseImportOptions(args: string[]): Promise<ImportOptions | undefined> {
  const { values, positionals } = parseCommandLine(args);
  if (values.help) return undefined;
  const [named, ...others] = positionals;
  if (named === undefined || others.length > 0) {
    throw new ImportFailure(`Name one file, or - for standard input.\n\n${usage}`);
  }

  const input = named === "-" ? named : fromHere(named);
  const isGzipped = values.gzip || input.toLowerCase().endsWith(".gz");
  const format = formatOf(values.format, input);
  const separator = values.separator === "\\t" ? "\t" : values.separator;
  if (separator.length !== 1 || /["\r\n]/.test(separator)) {
    throw new ImportFailure(`Cannot use separator "${separator}": give one character, like ";" or "\\t".`);
  }
  if (values.mode !== "update" && values.mode !== "takeover") {
    throw new ImportFailure(`Cannot use mode "${values.mode}": it is update or takeover.`);
  }
  const unknownWorkplaces = values["unknown-workplaces"];
  if (unknownWorkplaces !== "create" && unknownWorkplaces !== "reject") {
    throw new ImportFailure(`Cannot use --unknown-workplaces ${unknownWorkplaces}: it is create or reject.`);
  }
  const { decimal } = values;
  if (decimal !== undefined && decimal !== "point" && decimal !== "comma") {
    throw new ImportFailure(`Cannot use --decimal ${decimal}: it is point or comma.`);
  }
  const isStdin = input === "-";
  const rejectsFile = fromHere(values.rejects ?? `${isStdin ? "stdin" : input}.rejected.${format}`);
  if (rejectsFile === input) throw new ImportFailure(`The report of refused rows cannot replace its input, ${input}.`);
  return {
    input,
    format,
    isGzipped,
    separator,
    encoding: encodingOf(values.encoding),
    ...await projectOf(values.url, values.key),
    mode: values.mode,
    isDryRun: values["dry-run"],
    unknownWorkplaces,
    decimal,
    chunk: wholeNumber("chunk", values.chunk, 1, maxRows),
    stateFile: values["dry-run"]
      ? undefined
      : (values.state && fromHere(values.state)) ?? (isStdin ? undefined : `${input}.import.json`),
    rejectsFile,
    isResumed: !values["no-resume"],
    patience_s: wholeNumber("patience", values.patience, 0, 86_400),
  };
}

function parseCommandLine(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        format: { type: "string" },
        gzip: { type: "boolean", default: false },
        separator: { type: "string", default: "," },
        encoding: { type: "string", default: "utf-8" },
        url: { type: "string" },
        key: { type: "string" },
        mode: { type: "string", default: "update" },
        "unknown-workplaces": { type: "string", default: "create" },
        decimal: { type: "string" },
        "dry-run": { type: "boolean", default: false },
        chunk: { type: "string", default: String(maxRows) },
        state: { type: "string" },
        "no-resume": { type: "boolean", default: false },
        rejects: { type: "string" },
        patience: { type: "string", default: "300" },
        help: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    throw new ImportFailure(`${messageOf(error)}\n\n${usage}`);
  }
}

function formatOf(wanted: string | undefined, input: string): Format {
  if (wanted === "csv" || wanted === "ndjson") return wanted;
  if (wanted !== undefined) throw new ImportFailure(`Cannot read format "${wanted}": it is csv or ndjson.`);
  const extension = /\.(csv|ndjson|jsonl)(\.gz)?$/i.exec(basename(input))?.[1]?.toLowerCase();
  if (extension === undefined) {
    throw new ImportFailure(`Cannot tell the format of "${input}" by its name: give --format csv or ndjson.`);
  }
  return extension === "csv" ? "csv" : "ndjson";
}

function encodingOf(label: string): string {
  try {
    return new TextDecoder(label).encoding;
  } catch {
    throw new ImportFailure(`There is no encoding "${label}": common ones are utf-8, windows-1252 and utf-16le.`);
  }
}
