"""Labels that a decoder answers with in ONNX Runtime."""

from __future__ import annotations


class Model:
    def label_logits(self, ids):
        """Logits of the labels' tokens."""
        return self.logits(ids)[0][self.hone["ids"]["labels"]]
