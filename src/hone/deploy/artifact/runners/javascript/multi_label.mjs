// Any number of labels.
export class Model {
  /** The probability of each label. */
  async shares(ids) {
    return (await this.labelLogits(ids)).map((one) => 1 / (1 + Math.exp(-one / this.hone.temperature)));
  }

  /** The labels that are probable enough. */
  async answer(ids) {
    const shares = await this.shares(ids);
    return this.hone.labels.filter((_, at) => shares[at] >= this.hone.threshold).sort();
  }
}
