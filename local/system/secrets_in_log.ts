/**
 * Finds credentials in a log. The functions promise that no line of theirs holds one.
 *
 * @module
 */

/** What a log must not hold, by its form. A new kind of credential gets a row here. */
const forms: [kind: string, form: RegExp][] = [
  ["API key", /mes_[0-9a-f]{32}_[0-9A-Za-z]{10,}/i],
  ["digest of a secret", /\b[0-9a-f-]{36}\.[0-9a-f]{64}\b/i],
  ["token", /\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\./],
  ["secret key", /\bsb_secret_[\w-]{10,}/],
  ["webhook secret", /\bwhsec_[\w+/=-]{20,}/],
  ["acting token", /\bact_[\w-]{43}/],
  ["badge of a test", /\bbadge-[0-9a-f]{12}\b/],
  ["PIN of a test", /\b271828\d{6}\b/],
  ["header of a credential", /\bbearer\s+[\w-]{16,}/i],
];

/** A credential in a log. It does not repeat the credential. */
export interface LoggedSecret {
  /** Number of the line, from 1. */
  line: number;
  kind: string;
}

/**
 * Returns the credentials in a log.
 *
 * @param values Further texts that must not occur, such as passwords, by their kind.
 */
export function secretsIn(log: string, values: Record<string, string> = {}): LoggedSecret[] {
  const known = Object.entries(values).filter(([, value]) => value.length >= 8);
  return log.split("\n").flatMap((text, index) => [
    ...forms.filter(([, form]) => form.test(text)).map(([kind]) => ({ line: index + 1, kind })),
    ...known.filter(([, value]) => text.includes(value)).map(([kind]) => ({ line: index + 1, kind })),
  ]);
}
