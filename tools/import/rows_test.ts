import { assertEquals, assertRejects } from "../../supabase/functions/tests/support/assertions.ts";
import { chunksOf } from "./chunks.ts";
import { ImportFailure } from "./failure.ts";
import { decoded, readCsv, readNdjson, type Row } from "./rows.ts";

const encode = (text: string) => new TextEncoder().encode(text);

/** The text in pieces of a few bytes, so that lines, quotes and characters are cut anywhere. */
function stream(bytes: Uint8Array<ArrayBuffer>, piece = 7): ReadableStream<Uint8Array<ArrayBuffer>> {
  const pieces = Array.from(
    { length: Math.ceil(bytes.length / piece) },
    (_, i) => bytes.slice(i * piece, (i + 1) * piece),
  );
  return ReadableStream.from(pieces);
}

const text = (content: string, piece?: number) =>
  decoded(stream(encode(content), piece), { isGzipped: false, encoding: "utf-8" });

async function csv(content: string, separator = ","): Promise<{ names: string[]; rows: Row[] }> {
  const { names, rows } = await readCsv(text(content), separator);
  return { names, rows: (await Array.fromAsync(rows)).flat() };
}

const brief = (rows: Row[]) => rows.map(({ line, fields, refusal }) => [line, fields ?? refusal?.code]);

Deno.test("CSV: rows know their lines, whatever is between the quotes", async () => {
  const { names, rows } = await csv(
    '\uFEFForder_no,note\r\nA,plain\r\n\r\nB,"two\r\nlines, and ""quotes"""\r\nC,"größer"\r\nD,last',
  );
  assertEquals(names, ["order_no", "note"]);
  assertEquals(brief(rows), [
    [2, ["A", "plain"]],
    [4, ["B", 'two\nlines, and "quotes"']],
    [6, ["C", "größer"]],
    [7, ["D", "last"]],
  ]);
});

Deno.test("CSV: a broken row is refused by itself", async () => {
  const { rows } = await csv('order_no,note\nA,5" pipe\nB,fine\nC,one,two\nD,6" pipe\nE\nF,"never closed\nG,fine\n');
  assertEquals(brief(rows), [
    [2, "malformed_csv"],
    [3, ["B", "fine"]],
    [4, "malformed_csv"],
    [5, "malformed_csv"],
    [6, "malformed_csv"],
    [7, "malformed_csv"],
    [8, ["G", "fine"]],
  ]);
  assertEquals(rows[2]?.refusal?.detail, "The row has 3 fields, the header line 2");
  assertEquals(rows[0]?.text, 'A,5" pipe');
});

Deno.test("CSV: a quote that is never closed does not swallow the file", async () => {
  const many = Array.from({ length: 20_000 }, (_, i) => `A${i},plain`);
  const { rows } = await csv(`order_no,note\nB,"open\n${many.join("\n")}`);
  assertEquals(rows.length, 20_001);
  assertEquals(rows.filter(({ refusal }) => refusal).map(({ line }) => line), [2]);
});

Deno.test("CSV: the header line is checked", async () => {
  await assertRejects(() => csv("order_no;note\nA;b\n"), ImportFailure, "--separator");
  await assertRejects(() => csv("order_no,note,note\n"), ImportFailure, '"note" twice');
  assertEquals(brief((await csv("order_no;note\nA;b\n", ";")).rows), [[2, ["A", "b"]]]);
  assertEquals(await csv(""), { names: [], rows: [] });
});

Deno.test("NDJSON: lines that are not empty", async () => {
  const rows = (await Array.fromAsync(readNdjson(text('{"a":1}\r\n\n{"a":2}\n{"a":3}')))).flat();
  assertEquals(rows.map(({ line, text }) => [line, text]), [[1, '{"a":1}'], [3, '{"a":2}'], [4, '{"a":3}']]);
});

Deno.test("encodings and compression: what does not fit them is told", async () => {
  const latin = new Uint8Array([0x67, 0x72, 0xf6, 0xdf, 0x65, 0x72]);
  const read = (options: { isGzipped: boolean; encoding: string }) =>
    Array.fromAsync(readNdjson(decoded(stream(latin), options)));
  assertEquals((await read({ isGzipped: false, encoding: "windows-1252" })).flat()[0]?.text, "größer");
  await assertRejects(() => read({ isGzipped: false, encoding: "utf-8" }), ImportFailure, "Cannot read the input");
  await assertRejects(() => read({ isGzipped: true, encoding: "utf-8" }), ImportFailure, "Cannot read the input");
});

Deno.test("chunks: within the limits of rows and bytes, refused rows among them", async () => {
  const row = (line: number, length: number): Row => ({
    line,
    text: "x".repeat(length),
    fields: undefined,
    refusal: undefined,
  });
  const refused: Row = { ...row(3, 5), refusal: { code: "malformed_csv", detail: "" } };
  const rows = [row(1, 10), row(2, 10), refused, row(4, 10), row(5, 600_000), row(6, 600_000), row(7, 2_000_000)];
  const chunks = await Array.fromAsync(
    chunksOf(ReadableStream.from([rows]), { format: "ndjson", names: [], maxRows: 3 }),
  );
  assertEquals(chunks.map((chunk) => chunk.rows.map(({ line }) => line)), [[1, 2, 3], [4, 5], [6, 7]]);
  assertEquals(chunks.map((chunk) => chunk.sent.map(({ line }) => line)), [[1, 2], [4, 5], [6]]);
  assertEquals(chunks[0]?.body, "xxxxxxxxxx\nxxxxxxxxxx\n");
  assertEquals(chunks[2]?.rows[1]?.refusal?.code, "body_too_large");
});
