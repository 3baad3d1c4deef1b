/** The setting RATE_LIMITS of the functions under which no test or bench waits; a setting of the user's own goes before. */
export const noRateLimits = JSON.stringify({ "*": { "*": { units_per_minute: 100_000_000, burst: 100_000_000 } } });
