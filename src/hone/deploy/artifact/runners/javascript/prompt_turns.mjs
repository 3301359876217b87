// Prompts that are conversations.
export class Model {
  /** Ids of a conversation up to the answer: of messages, or of a text that the user says. */
  promptIds(given) {
    const { before, after, room, most } = this.hone.prompt, { roles } = this.hone.ids, known = Object.keys(roles);
    const turns = typeof given === "string" ? [{ role: "user", content: given }] : given;
    if (!Array.isArray(turns) || !turns.every((one) => known.includes(one?.role)))
      throw new Refused(`the prompt needs a text, or JSON turns, each with role (${known.join(", ")}) and content`, 2);
    const ids = [...before, ...this.thatFit(turns, room ?? Infinity), ...after];
    if (ids.length > most) throw new Refused(`the prompt is ${ids.length} tokens long; the model takes ${most}`, 2);
    return ids;
  }

  /** Ids of turns, without the oldest exchanges that the room does not hold. */
  thatFit(turns, room) {
    const { roles, end } = this.hone.ids;
    const ids = turns.flatMap(({ role, content }) => [roles[role], ...this.tokenizer.encode(` ${content}`), end]);
    const rest = turns.filter(({ role }) => role !== "system");
    const start = rest.findIndex(({ role }, at) => at && role === "user");
    if (start < 0 || ids.length <= room) return ids;
    return this.thatFit([...turns.filter(({ role }) => role === "system"), ...rest.slice(start)], room);
  }
}
