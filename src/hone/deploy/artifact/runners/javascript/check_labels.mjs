// Golden vectors of labels.
/** What the labels have otherwise; the one that was chosen counts where it stands clear of the others. */
async function differs(model, { share_tolerance: tolerance }, { prompt_ids: ids, ...item }) {
  const shares = await model.shares(ids);
  if (!shares.every((one, at) => Math.abs(one - item.shares[at]) <= tolerance)) return "other probabilities";
  return item.clear && !same(await model.answer(ids), item.value) ? "another label" : "";
}
