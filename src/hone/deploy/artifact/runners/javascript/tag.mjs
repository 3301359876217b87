// A tag for each token.
export class Model {
  /** The number of each id's tag: O, then B and I of each label. */
  async tags(ids) {
    const logits = await this.labelLogits(ids), width = logits.length / ids.length;
    const rows = ids.map((_, at) => logits.slice(at * width, (at + 1) * width));
    return rows.map((row) => row.indexOf(Math.max(...row)));
  }

  /** Each token that belongs to an entity, with its tag. */
  async answer(ids) {
    const names = ["O", ...this.hone.labels.flatMap((label) => [`B-${label}`, `I-${label}`])];
    const tags = await this.tags(ids), inner = (at) => at > 0 && at < ids.length - 1; // not the marks
    return ids.flatMap((id, at) => (tags[at] && inner(at) ? [[this.tokenizer.texts.get(id), names[tags[at]]]] : []));
  }
}
