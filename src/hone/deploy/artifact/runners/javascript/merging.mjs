// Byte pair encoding.
export class Tokenizer {
  /** Symbols as ids, merged: the pair of the best rank first. */
  merged(symbols) {
    for (;;) {
      let [best, at] = [Infinity, -1];
      for (let i = 0; i + 1 < symbols.length; i++) {
        const rank = this.ranks.get(`${symbols[i]} ${symbols[i + 1]}`) ?? Infinity;
        if (rank < best) [best, at] = [rank, i];
      }
      if (at < 0) return symbols.map((one) => this.vocab.get(one));
      symbols.splice(at, 2, symbols[at] + symbols[at + 1]);
    }
  }

  /** Text of ids, special ones left out. */
  decode(ids) {
    const texts = ids.filter((id) => !this.special.has(id)).map((id) => this.texts.get(id) ?? "");
    const bytes = new Uint8Array(texts.flatMap((text) => this.bytes(text)));
    return this.tidy(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes));
  }
}
