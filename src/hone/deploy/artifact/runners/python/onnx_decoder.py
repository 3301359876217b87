"""One pass of a decoder in ONNX Runtime."""

from __future__ import annotations


class Model:
    def logits(self, ids, seen=0, cache=None):
        """Logits after `ids`, which follow `seen` ids whose keys and values are the cache; and the cache."""
        import numpy as np

        heads, width = self.hone["cache"]["heads"], self.hone["cache"]["width"]
        names = [one.name for one in self.session.get_inputs() if one.name.startswith("past_key_values.")]
        cache = cache or dict.fromkeys(names, np.zeros((1, heads, 0, width), dtype=np.float32))
        row, mask = np.array([ids], dtype=np.int64), np.ones((1, seen + len(ids)), dtype=np.int64)
        wanted = ["logits", *(name.replace("past_key_values", "present") for name in names)]
        found = self.session.run(wanted, {"input_ids": row, "attention_mask": mask, **cache})
        return found[0][0, -1], dict(zip(names, found[1:], strict=True))
