/**
 * Texts in the encodings of files: the platform decodes them all, but encodes UTF-8 only.
 *
 * @module
 */

/** Writes a text as bytes. */
type Encoder = (text: string) => Uint8Array;

const encoders = new Map<string, Encoder>();

/**
 * Returns the encoder of an encoding: UTF-8, UTF-16, or one of a byte for each character. The others, which have more
 * than one byte for some, are written as UTF-8.
 *
 * @param encoding As `TextDecoder` names it.
 */
export function encoderOf(encoding: string): Encoder {
  let encoder = encoders.get(encoding);
  if (encoder === undefined) encoders.set(encoding, encoder = newEncoder(encoding));
  return encoder;
}

/** Returns the encoding in which {@link encoderOf} writes. */
export const writtenEncoding = (encoding: string): string =>
  isUtf16(encoding) || singleBytes(encoding) !== undefined ? encoding : "utf-8";

const isUtf16 = (encoding: string) => encoding === "utf-16le" || encoding === "utf-16be";

function newEncoder(encoding: string): Encoder {
  if (isUtf16(encoding)) return (text) => utf16(text, encoding === "utf-16le");
  const bytes = singleBytes(encoding);
  if (bytes === undefined) return (text) => new TextEncoder().encode(text);
  const unknown = bytes.get("?") ?? 0;
  return (text) => Uint8Array.from([...text], (character) => bytes.get(character) ?? unknown);
}

/** Returns the byte of each character; undefined for encodings with characters of several bytes. */
function singleBytes(encoding: string): Map<string, number> | undefined {
  const characters = [...new TextDecoder(encoding).decode(Uint8Array.from({ length: 256 }, (_, byte) => byte))];
  if (characters.length !== 256 || encoding === "utf-8") return undefined;
  return new Map(characters.map((character, byte) => [character, byte]));
}

function utf16(text: string, isLittleEndian: boolean): Uint8Array {
  const view = new DataView(new ArrayBuffer(2 * text.length));
  for (let at = 0; at < text.length; at++) view.setUint16(2 * at, text.charCodeAt(at), isLittleEndian);
  return new Uint8Array(view.buffer);
}
