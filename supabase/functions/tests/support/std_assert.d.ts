/**
 * Types of the assertions of the standard library, which its npm package leaves out.
 *
 * @module
 */
type Class<Instance> = abstract new (...args: never[]) => Instance;

export const assert: (condition: unknown, message?: string) => asserts condition;
export const assertFalse: (condition: unknown, message?: string) => asserts condition is false;
export const assertEquals: <Value>(actual: Value, expected: Value, message?: string) => void;
export const assertNotEquals: <Value>(actual: Value, expected: Value, message?: string) => void;
export const assertStrictEquals: <Value>(
  actual: unknown,
  expected: Value,
  message?: string,
) => asserts actual is Value;
export const assertExists: <Value>(actual: Value, message?: string) => asserts actual is NonNullable<Value>;
export const assertMatch: (actual: string, expected: RegExp, message?: string) => void;
export const assertNotMatch: (actual: string, expected: RegExp, message?: string) => void;
export const assertStringIncludes: (actual: string, expected: string, message?: string) => void;
export const assertArrayIncludes: <Item>(actual: readonly Item[], expected: readonly Item[], message?: string) => void;
export const assertObjectMatch: (actual: object, expected: Record<PropertyKey, unknown>, message?: string) => void;
export const assertGreater: <Value>(actual: Value, expected: Value, message?: string) => void;
export const assertGreaterOrEqual: <Value>(actual: Value, expected: Value, message?: string) => void;
export const assertLess: <Value>(actual: Value, expected: Value, message?: string) => void;
export const assertLessOrEqual: <Value>(actual: Value, expected: Value, message?: string) => void;
export const assertThrows: <Thrown extends Error>(
  run: () => unknown,
  kind?: Class<Thrown>,
  messageIncludes?: string,
  message?: string,
) => Thrown;
export const assertRejects: <Thrown extends Error>(
  run: () => PromiseLike<unknown>,
  kind?: Class<Thrown>,
  messageIncludes?: string,
  message?: string,
) => Promise<Thrown>;
export const fail: (message?: string) => never;
