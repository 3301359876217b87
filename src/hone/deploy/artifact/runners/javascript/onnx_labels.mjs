// Labels that a decoder answers with in ONNX Runtime.
export class Model {
  /** Logits of the labels' tokens. */
  async labelLogits(ids) {
    const [logits] = await this.logits(ids);
    return this.hone.ids.labels.map((one) => logits[one]);
  }
}
