import { parse } from "@std/toml/parse.js";
import type { AuthLimits } from "./auth_limits.ts";
import { messageOf, StackFailure } from "../system/failure.ts";

/** One `[functions.<name>]` section. */
export interface FunctionConfig {
  enabled: boolean;
  /** Supabase's default is true: the gateway then refuses requests without a valid token. */
  verifyJwt: boolean;
  /** Path of the module below `supabase/`, when it is not `functions/<name>/index.ts`. */
  entrypoint: string | undefined;
}

/** The settings of `supabase/config.toml` that the embedded stack respects. */
export interface ProjectConfig {
  schemas: string[];
  maxRows: number;
  siteUrl: string;
  redirectUrls: string[];
  jwtExpiry: number;
  minimumPasswordLength: number;
  enableSignup: boolean;
  enableConfirmations: boolean;
  authLimits: AuthLimits;
  seedFiles: string[];
  functions: Map<string, FunctionConfig>;
}

type Table = Record<string, unknown>;

function table(parent: Table, name: string): Table {
  const value = parent[name];
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function setting<T extends string | number | boolean>(parent: Table, name: string, fallback: T): T {
  const value = parent[name];
  // Of the same kind as the fallback: the comparison of typeof is what makes the assertion true.
  return typeof value === typeof fallback ? value as T : fallback;
}

function strings(parent: Table, name: string, fallback: string[]): string[] {
  const value = parent[name];
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : fallback;
}

/** Reads `config.toml`; settings that are missing have the Supabase CLI's defaults. */
export function parseConfig(text: string): ProjectConfig {
  const root: Table = { ...parse(text) };
  const api = table(root, "api");
  const auth = table(root, "auth");
  const limits = table(auth, "rate_limit");
  const functions = table(root, "functions");
  return {
    schemas: strings(api, "schemas", ["public"]),
    maxRows: setting(api, "max_rows", 1000),
    siteUrl: setting(auth, "site_url", "http://127.0.0.1:3000"),
    redirectUrls: strings(auth, "additional_redirect_urls", []),
    jwtExpiry: setting(auth, "jwt_expiry", 3600),
    minimumPasswordLength: setting(auth, "minimum_password_length", 6),
    enableSignup: setting(auth, "enable_signup", true) && setting(table(auth, "email"), "enabled", true),
    enableConfirmations: setting(table(auth, "email"), "enable_confirmations", false),
    authLimits: {
      signInSignUps: setting(limits, "sign_in_sign_ups", 30),
      tokenRefresh: setting(limits, "token_refresh", 150),
      tokenVerifications: setting(limits, "token_verifications", 30),
    },
    seedFiles: strings(table(table(root, "db"), "seed"), "sql_paths", ["./seed.sql"]),
    functions: new Map(
      Object.keys(functions).map((name) => {
        const section = table(functions, name);
        return [name, {
          enabled: setting(section, "enabled", true),
          verifyJwt: setting(section, "verify_jwt", true),
          entrypoint: setting(section, "entrypoint", "") || undefined,
        }];
      }),
    ),
  };
}

/** Reads the project's settings from `file`. */
export async function loadConfig(file: string): Promise<ProjectConfig> {
  try {
    return parseConfig(await Deno.readTextFile(file));
  } catch (error) {
    throw new StackFailure(`Cannot read ${file}: ${messageOf(error)}`);
  }
}
