// The vector of a text by an encoder behind llama.cpp's server.
export class Model {
  /** The text's vector, pooled and of the length that the model gives it. */
  async answer(ids) {
    return (await this.rows(ids, this.hone.renderer.normalised ? 2 : -1))[0];
  }
}
