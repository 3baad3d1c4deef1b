/**
 * The npm packages whose files the pages load, with their types for `deno task check`. Each start of the local stack and
 * `deno task web:assets` copy these files from the packages into `assets/`, which git ignores: decision 0100.
 */
export const packages = [
  {
    name: "preact",
    version: "11.2.0",
    integrity: "sha512-/HfHI/7N84e6GrWBJ3J280z3mLaRJiDcSvj/A+y/4AbLnND/1UlGHe1sR6oYuTGwId0nP7dqDU9OnLxMPZ7xBg==",
    /** Paths in the package -> paths in `assets/`, with the version, so that browsers may store the files for ever. */
    files: {
      "dist/preact.mjs": "preact@11.2.0/preact.js",
      "hooks/dist/hooks.mjs": "preact@11.2.0/hooks.js",
      "src/index.d.ts": "preact@11.2.0/preact.d.ts",
      "src/jsx.d.ts": "preact@11.2.0/jsx.d.ts",
      "src/dom.d.ts": "preact@11.2.0/dom.d.ts",
      "hooks/src/index.d.ts": "preact@11.2.0/hooks.d.ts",
    },
    /** Browsers do not know where packages are, and Deno wants whole file names. */
    replace: {
      'from"preact"': 'from"./preact.js"',
      "'../../src/index'": "'./preact.d.ts'",
      "'./index'": "'./preact.d.ts'",
      "'./jsx'": "'./jsx.d.ts'",
      "'./dom'": "'./dom.d.ts'",
      "//# sourceMappingURL=": "// ",
    },
  },
  {
    name: "htm",
    version: "3.1.1",
    integrity: "sha512-983Vyg8NwUE7JkZ6NmOqpCZ+sh1bKv2iYTlUkzlWmA5JD2acKoxd4KVxbMmxX/85mtfdnDmTFoNKcg5DGAvxNQ==",
    files: { "dist/htm.mjs": "htm@3.1.1/htm.js", "dist/htm.d.ts": "htm@3.1.1/htm.d.ts" },
    replace: {},
  },
  {
    name: "idb",
    version: "8.0.4",
    integrity: "sha512-jd0ITCrN+Zah4J7R/Z2jnR3W7A4BXDAjmo62MwWuSjxCiueUAf7X5rbodEdidWzeknwXHmLpdZkoiiCppNi30Q==",
    files: {
      "build/index.js": "idb@8.0.4/idb.js",
      "build/entry.d.ts": "idb@8.0.4/idb.d.ts",
      "build/wrap-idb-value.d.ts": "idb@8.0.4/wrap-idb-value.d.ts",
    },
    replace: { "'./wrap-idb-value.js'": "'./wrap-idb-value.d.ts'", "'./entry.js'": "'./idb.d.ts'" },
  },
] as const;
