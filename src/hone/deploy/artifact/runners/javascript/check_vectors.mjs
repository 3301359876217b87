// Golden vectors of texts' own vectors.
/** How far a text's vector lies from the golden one, by the length of that. */
async function differs(model, { most_apart: most }, { prompt_ids: ids, vector }) {
  const found = await model.answer(ids), off = Math.hypot(...vector.map((one, at) => one - found[at]));
  const apart = found.length === vector.length ? off / Math.hypot(...vector) : Infinity;
  return apart <= most ? "" : `another vector: ${apart.toFixed(3)} of its length off the golden one`;
}
