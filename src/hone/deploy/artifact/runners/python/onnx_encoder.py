"""One pass of an encoder in ONNX Runtime."""

from __future__ import annotations


class Model:
    def read(self, ids, output):
        """What the model gives out for ids, under one of its outputs' names."""
        import numpy as np

        row = np.array([ids], dtype=np.int64)
        feeds = {"input_ids": row, "attention_mask": np.ones_like(row), "token_type_ids": np.zeros_like(row)}
        return self.session.run([output], feeds)[0][0].tolist()
