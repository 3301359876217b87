// Tags of each id by its state.
export class Model {
  /** Logits of each id's tags, one after the other. */
  async labelLogits(ids) {
    return (await this.rows(ids)).flatMap((state) => this.headLogits(state));
  }
}
