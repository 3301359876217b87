// Labels that a decoder answers with behind llama.cpp's server.
export class Model {
  /** A figure for each label, whose differences are those of the logits. */
  async labelLogits(ids) {
    const { labels } = this.hone.ids;
    // The bias makes it choose a label, whose text is whole (else figures are withheld); they are without it.
    const more = { n_predict: 1, n_probs: this.hone.vocab_size, logit_bias: labels.map((one) => [one, 1000]) };
    const { top_logprobs: found } = (await this.complete(ids, more)).completion_probabilities[0];
    const byId = new Map(found.map(({ id, logprob }) => [id, logprob]));
    return labels.map((one) => byId.get(one));
  }
}
