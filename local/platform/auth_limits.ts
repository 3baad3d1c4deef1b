import { type RateLimiterAbstract, RateLimiterMemory } from "rate-limiter-flexible";

/** Most requests of one address to the Auth API within five minutes: `[auth.rate_limit]` of config.toml. */
export interface AuthLimits {
  signInSignUps: number;
  tokenRefresh: number;
  tokenVerifications: number;
}

/** No limits: for ephemeral data, where hundreds of users sign up from one address. */
export const noAuthLimits: AuthLimits = {
  signInSignUps: Infinity,
  tokenRefresh: Infinity,
  tokenVerifications: Infinity,
};

const windowSeconds = 5 * 60;

/** Counts attempts by address, as Supabase Auth does. */
export class AuthLimiter {
  #limiters: Map<keyof AuthLimits, RateLimiterAbstract>;

  constructor(limits: AuthLimits) {
    const kinds = ["signInSignUps", "tokenRefresh", "tokenVerifications"] as const;
    this.#limiters = new Map(
      kinds.filter((kind) => Number.isFinite(limits[kind])).map((kind) => [
        kind,
        new RateLimiterMemory({ keyPrefix: kind, points: limits[kind], duration: windowSeconds }),
      ]),
    );
  }

  /** Counts the request; the seconds after which it may be sent again when it is one too many. */
  async secondsToWait(request: Request, address: string): Promise<number | undefined> {
    const kind = kindOf(request);
    const limiter = kind && this.#limiters.get(kind);
    if (!limiter) return undefined;
    return await limiter.consume(address).then(() => undefined, ({ msBeforeNext }) => Math.ceil(msBeforeNext / 1000));
  }
}

/** Counts every request without a session that may guess a secret as a sign-in. */
function kindOf(request: Request): keyof AuthLimits | undefined {
  if (request.method !== "POST") return undefined;
  const url = new URL(request.url);
  // The router of the Auth API decodes what it compares.
  const path = decodeURI(url.pathname);
  if (path.endsWith("/logout")) return undefined;
  if (path.endsWith("/verify")) return "tokenVerifications";
  // The Auth API reads the first of several; none is trusted when there are more.
  const isRefresh = url.searchParams.getAll("grant_type").join() === "refresh_token";
  return path.endsWith("/token") && isRefresh ? "tokenRefresh" : "signInSignUps";
}
