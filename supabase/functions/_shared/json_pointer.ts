/**
 * JSON Pointers (RFC 6901), which name the invalid values of a request.
 *
 * @module
 */

/** Longest JSON Pointer in an answer, in characters. */
export const maxPointerLength = 1_000;

/** Escapes one segment of a JSON Pointer (RFC 6901). */
const escapePointer = (key: PropertyKey) => String(key).replaceAll("~", "~0").replaceAll("/", "~1");

/** Writes a JSON Pointer, truncated to {@link maxPointerLength}. */
export function pointerTo(path: readonly PropertyKey[]): string {
  const pointer = path.map((segment) => `/${escapePointer(segment)}`).join("");
  return pointer.length <= maxPointerLength ? pointer : `${pointer.slice(0, maxPointerLength)}...`;
}
