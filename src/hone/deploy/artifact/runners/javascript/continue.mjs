// Text that is continued.
export class Model {
  /** The text that follows. */
  parse(ids) {
    return this.tokenizer.decode(ids);
  }
}
