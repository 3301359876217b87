// Labels of a row by an encoder whose head llama.cpp computes.
export class Model {
  /** Logits of the labels. */
  async labelLogits(ids) {
    const [logits] = await this.rows(ids), count = this.hone.labels.length, given = logits.length;
    if (given === count) return logits; // else it does not read `embedding_length_out` of the file
    throw new Refused(`llama.cpp at ${this.server} gives ${given} figures for ${count} labels; take a newer one`);
  }
}
