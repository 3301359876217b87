// One pass of an encoder in ONNX Runtime.
export class Model {
  /** What the model gives out for ids, under one of its outputs' names, as one list. */
  async read(ids, output) {
    const [ones, zeros] = [1, 0].map((value) => this.row(Array(ids.length).fill(value)));
    const feeds = { input_ids: this.row(ids), attention_mask: ones, token_type_ids: zeros };
    return Array.from((await this.session.run(feeds))[output].data);
  }
}
