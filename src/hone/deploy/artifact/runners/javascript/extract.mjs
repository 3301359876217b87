// Written answers that are JSON objects.
export class Model {
  /** The object that was written, its texts without the space before them; null when it is none. */
  parse(ids) {
    const spaced = this.hone.renderer.layout !== "json";
    const bare = (_, one) => (spaced && typeof one === "string" ? one.replace(/^ /, "") : one);
    try {
      const value = JSON.parse(this.tokenizer.decode(ids), bare);
      return value && typeof value === "object" && !Array.isArray(value) ? value : null;
    } catch {
      return null;
    }
  }
}
