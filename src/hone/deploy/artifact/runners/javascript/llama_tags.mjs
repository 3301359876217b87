// Tags of each id by its state.
export class Model {
  /** Logits of each id's tags, one after the other. */
  async labelLogits(ids) {
    const rows = await this.rows(ids);
    const other = `${this.server} gives ${rows.length} states for ${ids.length} tokens`;
    if (rows.length !== ids.length) throw new Refused(other);
    return rows.flatMap((state) => this.headLogits(state));
  }
}
