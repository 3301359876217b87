// A model in ONNX Runtime.
export class Model {
  async load({ whole, ort = runtimeOfNode }) {
    this.ort = await ort();
    this.session = await this.ort.InferenceSession.create(await whole("model.onnx"), { logSeverityLevel: 3 });
  }

  /** A row of whole numbers, (1, count). */
  row(values) {
    return new this.ort.Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
  }
}
