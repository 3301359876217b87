// What a decoder behind llama.cpp's server writes.
export class Model {
  /** What the server's /completion answers to ids, the likeliest first. */
  complete(ids, more) {
    return this.ask("completion", { prompt: ids, temperature: 0, cache_prompt: false, ...more });
  }
}
