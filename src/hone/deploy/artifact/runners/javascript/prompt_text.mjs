// Prompts that are one text, made of a row's columns.
export class Model {
  /** Ids of a prompt: of a row's columns, or of a text where there is one column alone. */
  promptIds(given) {
    const { before, text, after, most } = this.hone.prompt;
    const columns = [...new Set(text.flatMap((part) => part.column ?? []))];
    const row = typeof given === "string" && columns.length === 1 ? { [columns[0]]: given } : given;
    const lacking = columns.filter((one) => typeof row?.[one] !== "string" && !Number.isSafeInteger(row?.[one]));
    if (lacking.length) throw new Refused(`the prompt needs the columns ${columns.join(", ")}, as JSON`, 2);
    const whole = text.map((part) => (part.column === undefined ? part : String(row[part.column]))).join("");
    const ids = [...before, ...this.tokenizer.encode(whole), ...after];
    if (ids.length > most) throw new Refused(`the prompt is ${ids.length} tokens long; the model takes ${most}`, 2);
    return ids;
  }
}
