// One pass of a decoder in ONNX Runtime.
export class Model {
  /** Logits after `ids`, which follow `seen` ids whose keys and values are the cache; and the cache. */
  async logits(ids, seen = 0, cache = this.empty()) {
    const mask = this.row(Array(seen + ids.length).fill(1));
    const { logits, ...present } = await this.session.run({ input_ids: this.row(ids), attention_mask: mask, ...cache });
    const past = Object.entries(present).map(([name, one]) => [name.replace("present", "past_key_values"), one]);
    return [logits.data.subarray(-logits.dims.at(-1)), Object.fromEntries(past)];
  }

  /** The cache before the first id. */
  empty() {
    const { heads, width } = this.hone.cache, nothing = new this.ort.Tensor("float32", [], [1, heads, 0, width]);
    const names = this.session.inputNames.filter((name) => name.startsWith("past_key_values."));
    return Object.fromEntries(names.map((name) => [name, nothing]));
  }
}
