/**
 * Assertions of the standard library, with the types that its npm package leaves out.
 *
 * @module
 */
import * as std from "@std/assert/mod.js";

type Class<Instance> = abstract new (...args: never[]) => Instance;

export const assert: (condition: unknown, message?: string) => asserts condition = std.assert;
export const assertFalse: (condition: unknown, message?: string) => asserts condition is false = std.assertFalse;
export const assertEquals: <Value>(actual: Value, expected: Value, message?: string) => void = std.assertEquals;
export const assertNotEquals: <Value>(actual: Value, expected: Value, message?: string) => void = std.assertNotEquals;
export const assertStrictEquals: <Value>(
  actual: unknown,
  expected: Value,
  message?: string,
) => asserts actual is Value = std.assertStrictEquals;
export const assertExists: <Value>(actual: Value, message?: string) => asserts actual is NonNullable<Value> =
  std.assertExists;
export const assertMatch: (actual: string, expected: RegExp, message?: string) => void = std.assertMatch;
export const assertNotMatch: (actual: string, expected: RegExp, message?: string) => void = std.assertNotMatch;
export const assertStringIncludes: (actual: string, expected: string, message?: string) => void =
  std.assertStringIncludes;
export const assertArrayIncludes: <Item>(actual: readonly Item[], expected: readonly Item[], message?: string) => void =
  std.assertArrayIncludes;
export const assertObjectMatch: (actual: object, expected: Record<PropertyKey, unknown>, message?: string) => void =
  std.assertObjectMatch;
export const assertGreater: <Value>(actual: Value, expected: Value, message?: string) => void = std.assertGreater;
export const assertGreaterOrEqual: <Value>(actual: Value, expected: Value, message?: string) => void =
  std.assertGreaterOrEqual;
export const assertLess: <Value>(actual: Value, expected: Value, message?: string) => void = std.assertLess;
export const assertLessOrEqual: <Value>(actual: Value, expected: Value, message?: string) => void =
  std.assertLessOrEqual;
export const assertThrows: <Thrown extends Error>(
  run: () => unknown,
  kind?: Class<Thrown>,
  messageIncludes?: string,
  message?: string,
) => Thrown = std.assertThrows;
export const assertRejects: <Thrown extends Error>(
  run: () => PromiseLike<unknown>,
  kind?: Class<Thrown>,
  messageIncludes?: string,
  message?: string,
) => Promise<Thrown> = std.assertRejects;
export const fail: (message?: string) => never = std.fail;
