// The vector of a text by an encoder in ONNX Runtime.
export class Model {
  /** The text's vector, pooled and of the length that the model gives it. */
  answer(ids) {
    return this.read(ids, "sentence_embedding");
  }
}
