// SentencePiece's BPE, with bytes for what it does not know.
const READ = ["Metaspace"];

export class Tokenizer {
  plainIds(text) {
    const marked = (text[0] === " " ? "" : "\u2581") + text.replaceAll(" ", "\u2581");
    const hexed = (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
    return this.merged([...marked].flatMap((one) => (this.vocab.has(one) ? [one] : utf8(one).map(hexed))));
  }

  bytes(text) {
    return /^<0x..>$/.test(text) ? [parseInt(text.slice(3, 5), 16)] : utf8(text.replaceAll("\u2581", " "));
  }

  tidy(text) {
    return text.replace(/^ /, "");
  }
}
