// One pass of an encoder in ONNX Runtime.
export class Model {
  /** Logits of the labels: of the whole row, or of each id's tags one after the other. */
  async labelLogits(ids) {
    const [ones, zeros] = [1, 0].map((value) => this.row(Array(ids.length).fill(value)));
    const feeds = { input_ids: this.row(ids), attention_mask: ones, token_type_ids: zeros };
    return Array.from((await this.session.run(feeds)).logits.data);
  }
}
