/**
 * Numbers of a JSON text that a double cannot hold.
 *
 * @module
 */

/** Longest number that is compared with its value as a double, in characters. */
const maxNumberLength = 1_000;

/** Returns whether a double holds the number; digits after the 14th of a fraction may differ. */
export function isHeldExactly(literal: string): boolean {
  if (literal.length > maxNumberLength) return false;
  const value = Number(literal);
  if (!Number.isFinite(value)) return false;
  if (/^-?\d+$/.test(literal)) return Number.isSafeInteger(value);
  const shortest = String(value);
  if (shortest === literal) return true;
  const written = significantDigits(literal);
  const held = significantDigits(shortest);
  return written === held || (held.length > 14 && written.startsWith(held.slice(0, 14)));
}

/** Returns the digits of a number without sign, point, exponent and outer zeros. */
function significantDigits(literal: string): string {
  const [mantissa = ""] = literal.toLowerCase().split("e", 1);
  const digits = mantissa.replaceAll(/[-.]/g, "");
  let start = 0;
  let end = digits.length;
  while (digits[start] === "0") start++;
  while (end > start && digits[end - 1] === "0") end--;
  return digits.slice(start, end);
}
