"""Labels that an encoder gives in ONNX Runtime."""

from __future__ import annotations


class Model:
    def label_logits(self, ids):
        """Logits of the labels: of the whole row, or for each id those of its tags."""
        return self.read(ids, "logits")
