// The ids of texts and back, as tokenizer.json says them. Text that looks like a special token stays text.
const utf8 = (text) => [...new TextEncoder().encode(text)];

export class Tokenizer {
  constructor({ model, pre_tokenizer: pre, normalizer, added_tokens: added = [] }) {
    const vocab = new Map(Object.entries(model.vocab)); // as an object it would know "constructor" too
    Object.assign(this, { model, vocab, normalizer, steps: pre?.pretokenizers ?? (pre ? [pre] : []) });
    const strange = [...this.steps, ...(normalizer ? [normalizer] : [])].find((one) => !READ.includes(one.type));
    if (strange) throw Error(`tokenizer.json: ${strange.type} is not read here`);
    this.texts = new Map([...vocab].map(([text, id]) => [id, text]));
    this.special = new Set(added.filter((one) => one.special).map((one) => one.id));
    this.plain = added.filter((one) => !one.special).sort((a, b) => b.content.length - a.content.length);
    for (const one of this.plain) this.texts.set(one.id, one.content);
    this.ranks = new Map((model.merges ?? []).map((pair, rank) => [Array.isArray(pair) ? pair.join(" ") : pair, rank]));
  }

  /** Ids of plain text. */
  encode(text) {
    for (const { content, id } of this.plain) {
      const at = text.indexOf(content);
      if (at >= 0) return [...this.encode(text.slice(0, at)), id, ...this.encode(text.slice(at + content.length))];
    }
    return text ? this.plainIds(text) : [];
  }

  // The methods of this kind of tokenizer stand here.
}
