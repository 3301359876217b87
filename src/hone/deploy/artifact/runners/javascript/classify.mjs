// One label of several.
export class Model {
  /** The probability of each label. */
  async shares(ids) {
    const logits = (await this.labelLogits(ids)).map((one) => one / (this.hone.temperature ?? 1));
    const powers = logits.map((one) => Math.exp(one - Math.max(...logits)));
    const sum = powers.reduce((one, other) => one + other);
    return powers.map((one) => one / sum);
  }

  /** The likeliest label. */
  async answer(ids) {
    const shares = await this.shares(ids);
    return this.hone.labels[shares.indexOf(Math.max(...shares))];
  }
}
