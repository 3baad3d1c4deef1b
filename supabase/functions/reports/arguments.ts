/**
 * What the endpoints of reports share: arguments of their SQL functions, and what a request costs.
 *
 * @module
 */
import { type CsvQuery, filtersOf } from "../_shared/csv.ts";
import type { RateCost } from "../_shared/rate_limiting.ts";

/** What a report costs: as much as a batch of so many rows. */
export const reportCost = { class: "heavy", units: 25 } satisfies RateCost;

interface WindowQuery extends CsvQuery {
  from?: string;
  to?: string;
  shift_date?: string;
  shift_code?: string;
}

interface ScopeQuery extends WindowQuery {
  workplace_name?: string[];
  workplace_group?: string;
  by?: string[];
}

/** Returns the arguments for the window of a report, and for further parameters that have the same name in SQL. */
export function windowArguments(query: WindowQuery) {
  const { from, to, ...filters } = filtersOf(query);
  return { ...filters, time_zone: query.time_zone, from_at: from, to_at: to };
}

/** Returns the arguments for workplaces, window and keys of a report. */
export function scopeArguments({ workplace_name, by, ...query }: ScopeQuery) {
  return { ...windowArguments(query), workplace_names: workplace_name, by_keys: by };
}
