// Labels that an encoder gives in ONNX Runtime.
export class Model {
  /** Logits of the labels: of the whole row, or of each id's tags one after the other. */
  labelLogits(ids) {
    return this.read(ids, "logits");
  }
}
