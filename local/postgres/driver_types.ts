import { parse as parseArray } from "postgres-array";

/** As PostgREST and PostgreSQL's ISO format: `2026-01-01T00:00:00+00:00`. */
function isoTimestamp(text: string): string {
  return text.replace(" ", "T").replace(/([+-]\d\d)$/, "$1:00");
}

/** Numbers that JavaScript cannot hold exactly stay text. */
function exactNumber(text: string): number | string {
  const number = Number(text);
  return String(number) === text ? number : text;
}

/** The Data API library hands JSON over as text already; the driver's own serializer would make a JSON string of it. */
function jsonText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function arrayLiteral(value: unknown): string {
  if (!Array.isArray(value)) return String(value);
  const items = value.map((item: unknown) => {
    if (item === null || item === undefined) return "NULL";
    if (Array.isArray(item)) return arrayLiteral(item);
    const text = typeof item === "object" ? JSON.stringify(item) : String(item);
    return `"${text.replace(/[\\"]/g, "\\$&")}"`;
  });
  return `{${items.join(",")}}`;
}

function arrayOf(oids: number[], parseItem: (text: string) => unknown) {
  return Object.fromEntries(oids.map((oid) => [`array${oid}`, {
    to: oid,
    from: [oid],
    serialize: arrayLiteral,
    parse: (text: string): unknown => parseArray(text, parseItem),
  }]));
}

/**
 * Types by which the database driver reads and writes values. It could ask the server for its array types, but does so
 * with a query whose failure is uncaught: a connection that is cut at that moment would end the whole process.
 */
export const driverTypes = {
  fetch_types: false,
  types: {
    json: { to: 114, from: [114], serialize: jsonText, parse: JSON.parse },
    jsonb: { to: 3802, from: [3802], serialize: jsonText, parse: JSON.parse },
    timestamp: { to: 1114, from: [1114], serialize: String, parse: isoTimestamp },
    timestamptz: { to: 1184, from: [1184], serialize: String, parse: isoTimestamp },
    // boolean
    ...arrayOf([1000], (text) => text === "t"),
    // smallint, integer, bigint, real, double precision, numeric, oid
    ...arrayOf([1005, 1007, 1016, 1021, 1022, 1231, 1028], exactNumber),
    // "char", name, text, character, varchar, date, time, interval, timetz, inet, uuid, regtype
    ...arrayOf([1002, 1003, 1009, 1014, 1015, 1182, 1183, 1187, 1270, 1041, 2951, 2211], String),
    ...arrayOf([1115, 1185], isoTimestamp),
    // json, jsonb
    ...arrayOf([199, 3807], (text) => JSON.parse(text)),
  },
};
