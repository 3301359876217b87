// Answers that a decoder writes in ONNX Runtime.
export class Model {
  /** Ids of the likeliest continuation, one at a time. */
  async *likeliest(ids, limit) {
    let [seen, logits, cache] = [0];
    for (let count = 0; count < limit; count++) {
      [logits, cache] = await this.logits(ids, seen, cache);
      seen += ids.length;
      ids = [logits.reduce((best, one, at) => (one > logits[best] ? at : best), 0)];
      yield ids[0];
    }
  }
}
