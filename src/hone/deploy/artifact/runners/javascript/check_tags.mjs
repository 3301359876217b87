// Golden vectors of tags.
/** What the tags have otherwise. */
async function differs(model, golden, item) {
  const tags = await model.tags(item.prompt_ids);
  return same(item.at.map((at) => tags[at]), item.tags) ? "" : "other tags";
}
