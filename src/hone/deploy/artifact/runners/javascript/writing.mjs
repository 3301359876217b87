// Answers that are written, up to their end.
export class Model {
  /** Ids of the answer, without its end; `onIds` sees them grow. */
  async generate(ids, limit, onIds = () => {}) {
    const { context, stop_ids: stops } = this.hone, found = [];
    for await (const one of this.likeliest(ids, Math.min(limit || context, context - ids.length))) {
      if (stops.includes(one)) break;
      found.push(one);
      await onIds(found);
    }
    return found;
  }

  /** The answer to a prompt's ids in the task's terms; `onText(text, tokens)` sees it grow. */
  async answer(ids, onText = () => {}) {
    const show = (found) => onText(this.tokenizer.decode(found), found.length);
    return this.parse(await this.generate(ids, this.hone.renderer?.longest_answer, show));
  }
}
