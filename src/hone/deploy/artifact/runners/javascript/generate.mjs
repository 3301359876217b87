// Written answers that are texts behind a space.
export class Model {
  /** The text that was written. */
  parse(ids) {
    return this.tokenizer.decode(ids).replace(/^ /, "");
  }
}
