// Answers that a decoder writes behind llama.cpp's server.
export class Model {
  /** Ids of the likeliest continuation. */
  async *likeliest(ids, limit) {
    yield* (await this.complete(ids, { n_predict: limit, return_tokens: true })).tokens;
  }
}
