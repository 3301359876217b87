// Golden vectors of texts' own vectors.
/** What a text's vector has otherwise: its direction. */
async function differs(model, { least_cosine: least }, { prompt_ids: ids, vector }) {
  const found = await model.answer(ids), dot = vector.reduce((sum, one, at) => sum + one * found[at], 0);
  const cosine = dot / Math.hypot(...found) / Math.hypot(...vector);
  return cosine >= least ? "" : `another vector: its cosine with the golden one is ${cosine.toFixed(6)}`;
}
