// The vector of a text by an encoder in ONNX Runtime.
export class Model {
  /** The text's vector, pooled and of the length that the model gives it. */
  async answer(ids) {
    const [ones, zeros] = [1, 0].map((value) => this.row(Array(ids.length).fill(value)));
    const feeds = { input_ids: this.row(ids), attention_mask: ones, token_type_ids: zeros };
    return Array.from((await this.session.run(feeds)).sentence_embedding.data);
  }
}
