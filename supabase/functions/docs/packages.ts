/**
 * The npm packages whose files the pages load. The function does not import them: with their dependencies, the imports
 * would have 100 MB for the few built files that a browser loads. `deno task docs:assets` and each start of the local
 * stack copy these files from the packages into `assets/`, which git ignores and `static_files` in config.toml deploys.
 */
export const packages = [
  {
    name: "swagger-ui-dist",
    version: "5.35.0",
    integrity: "sha512-U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAhw0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3sU8yVUQ==",
    /** Paths in the package -> paths in `assets/`, with the version, so that browsers may store the files for ever. */
    files: {
      "swagger-ui-bundle.js": "swagger-ui-dist@5.35.0/swagger-ui-bundle.js",
      "swagger-ui.css": "swagger-ui-dist@5.35.0/swagger-ui.css",
    },
    replace: {},
  },
  {
    name: "redoc",
    version: "3.0.1",
    integrity: "sha512-KDfoKaYW19LCl4YStgBnwlaNjYEFfs5zCNt1s1WZ2YM5u8d26Yuzd2l43fZO851ZsgIMe/D640fDJkD8eaRQKQ==",
    files: { "bundles/redoc.standalone.js": "redoc@3.0.1/redoc.standalone.js" },
    /** A logo on a server that closed networks do not reach: an empty image replaces it. */
    replace: {
      "https://cdn.redoc.ly/redoc/logo-mini-full.svg": "data:,",
      "https://cdn.redoc.ly/redoc/logo-mini.svg": "data:,",
    },
  },
  {
    name: "@supabase/supabase-js",
    version: "2.119.1",
    integrity: "sha512-uypIljL8NVQ6de+Z2F2qPW5HW2Isavh/NmpuqUo8AKpoj1NvbNZTy5sMeA0NWy/kXxcpwq94abKOvQnbjSkR0w==",
    /** For pages that call the API: docs/clients.md. */
    files: { "dist/umd/supabase.js": "supabase-js@2.119.1/supabase.js" },
    replace: {},
  },
] as const;
