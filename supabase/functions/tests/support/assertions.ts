/**
 * Assertions of the standard library.
 *
 * @module
 */
// @ts-types="./std_assert.d.ts"
export * from "@std/assert/mod.js";
