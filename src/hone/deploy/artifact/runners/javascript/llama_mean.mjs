// Labels of a row by the mean of its states.
export class Model {
  /** Logits of the labels. */
  async labelLogits(ids) {
    const rows = await this.rows(ids), mean = (at) => rows.reduce((sum, row) => sum + row[at], 0) / rows.length;
    return this.headLogits(rows[0].map((_, at) => mean(at)));
  }
}
