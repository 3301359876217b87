// Golden vectors of written answers.
/** What an answer has otherwise; it counts up to where two tokens tie. */
async function differs(model, { max_new_tokens: limit, end_id: end }, { prompt_ids: ids, sure, ...item }) {
  const found = await model.generate(ids, limit), ours = [...found, end].slice(0, sure);
  if (!same(ours, item.ids.slice(0, sure))) return `the answer begins with ${ours}, golden ${item.ids.slice(0, sure)}`;
  return sure === item.ids.length && !same(model.parse(found), item.value) ? "another value" : "";
}
