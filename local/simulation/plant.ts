/** A simulated hall: workplaces of its own, so that the orders of the demo plant stay as they are. */

/** A workplace of the hall, and the operator who works there. */
export interface Place {
  name: string;
  activity_code: string;
  /** Minutes of setup and per piece, as the ERP plans them. */
  setupMin: number;
  minutesPerPiece: number;
  /** Reports of 100 that have scrap, and that a fault follows. */
  scrapPercent: number;
  faultPercent: number;
}

/** Returns the workplaces of a hall in the order in which pieces pass through them. */
export function placesOf(hall: string): Place[] {
  return stations.map((station) => ({ ...station, name: `${hall} ${station.name}` }));
}

// deno-fmt-ignore
const stations: readonly Place[] = [
  { name: "Laser",       activity_code: "LASER",    setupMin:  8, minutesPerPiece: 0.8, scrapPercent: 15, faultPercent: 10 },
  { name: "Press brake", activity_code: "BEND",     setupMin: 15, minutesPerPiece: 1.2, scrapPercent: 20, faultPercent:  6 },
  { name: "Welding",     activity_code: "WELD",     setupMin: 10, minutesPerPiece: 2.5, scrapPercent: 10, faultPercent:  4 },
  { name: "Assembly",    activity_code: "ASSEMBLE", setupMin:  5, minutesPerPiece: 1.5, scrapPercent:  3, faultPercent:  2 },
];

/** Why work stops, and why pieces are scrap, in the hall. */
export const faults = ["MACHINE", "TOOL", "MATERIAL"] as const;
export const scrapReasons = ["DIMENSION", "SURFACE", "MATERIAL"] as const;

/** The reason codes that the hall needs; the demo plant has them all. */
export const reasons: readonly { kind: string; code: string; description: string }[] = [
  ...["BREAK", ...faults].map((code) => ({ kind: "STOP", code, description: `Stop: ${code.toLowerCase()}` })),
  ...scrapReasons.map((code) => ({ kind: "SCRAP", code, description: `Scrap: ${code.toLowerCase()}` })),
  { kind: "HOLD", code: "QUALITY", description: "Hold: quality" },
];

/** Length of a shift; one follows another. */
export const shiftMin = 480;

/** Breaks of a shift, in its minutes. */
const breaks = [{ fromMin: 120, lengthMin: 15 }, { fromMin: 270, lengthMin: 30 }, { fromMin: 390, lengthMin: 10 }];

/** Returns the break that begins within the next minutes, and in how many it does. */
export function breakWithin(nowMin: number, minutes: number): { inMin: number; lengthMin: number } | undefined {
  return breaks
    .map(({ fromMin, lengthMin }) => ({ inMin: (fromMin - nowMin % shiftMin + shiftMin) % shiftMin, lengthMin }))
    .find(({ inMin }) => inMin < minutes);
}

/**
 * Returns the calendar of a hall that works around the clock in two shifts. The first one begins with the simulated day
 * and still runs when the day has reached the present. Its breaks are those that the operators report.
 */
export function calendarOf(hall: string, begin: string): unknown {
  const at = (shift: number) => new Date(Date.parse(begin) + shift * 12 * 3_600_000).toISOString().slice(11, 16);
  const shifts = ["DAY", "NIGHT"].map((shift_code, index) => ({
    shift_code,
    weekdays: [1, 2, 3, 4, 5, 6, 7],
    start_time: at(index),
    end_time: at(index + 1),
    // a day early, for a begin before midnight
    valid_from: new Date(Date.parse(begin) - 86_400_000).toISOString().slice(0, 10),
  }));
  return { name: hall, time_zone: "UTC", shifts };
}
