// Golden vectors of written answers.
/** What an answer has otherwise; it counts up to where tokens tie, and there it is one of them. */
async function differs(model, { max_new_tokens: limit, end_id: end }, { prompt_ids: ids, sure, tied, ...item }) {
  const found = await model.generate(ids, limit), ours = [...found, end];
  const begun = ours.slice(0, sure), golden = item.ids.slice(0, sure);
  if (!same(begun, golden)) return `the answer begins with ${begun}, golden ${golden}`;
  if (tied.length && !tied.includes(ours[sure])) return `the answer goes on with ${ours[sure]}, golden one of ${tied}`;
  return sure === item.ids.length && !same(model.parse(found), item.value) ? "another value" : "";
}
