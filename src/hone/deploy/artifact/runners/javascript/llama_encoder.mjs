// What an encoder behind llama.cpp's server reads.
export class Model {
  /** What the file's pooling makes of ids: one row, or one for each id. Lengths: -1 as they are, 2 all 1. */
  async rows(ids, lengths = -1) {
    return (await this.ask("embedding", { content: ids, embd_normalize: lengths }))[0].embedding;
  }
}
