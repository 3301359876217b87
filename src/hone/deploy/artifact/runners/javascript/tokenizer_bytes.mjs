// Byte-level BPE with GPT-2's split.
const READ = ["ByteLevel", "Digits", "Split"];
const ENDS = "'s|'t|'re|'ve|'m|'ll|'d", SIGNS = "[^\\p{White_Space}\\p{L}\\p{N}]+";
const SPACES = "\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}+";
const SPLIT = new RegExp(`${ENDS}| ?\\p{L}+| ?\\p{N}+| ?${SIGNS}|${SPACES}`, "gu");
const printable = (byte) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
let moved = 256; // GPT-2's table: one printable character per byte
const BYTES = Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : moved++));
const BYTE_OF = new Map(BYTES.map((letter, byte) => [letter, byte]));

export class Tokenizer {
  plainIds(text) {
    const parts = this.steps.some((one) => one.individual_digits) ? text.split(/(\p{N})/u) : [text];
    const words = parts.flatMap((part) => part.match(SPLIT) ?? []);
    return words.flatMap((word) => this.merged(utf8(word).map((byte) => BYTES[byte])));
  }

  bytes(text) {
    return [...text].map((one) => BYTE_OF.get(one));
  }

  tidy(text) {
    return text;
  }
}
