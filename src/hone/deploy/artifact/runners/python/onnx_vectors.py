"""The vector of a text by an encoder in ONNX Runtime."""

from __future__ import annotations


class Model:
    def answer(self, ids):
        """The text's vector, pooled and of the length that the model gives it."""
        import numpy as np

        row = np.array([ids], dtype=np.int64)
        feeds = {"input_ids": row, "attention_mask": np.ones_like(row), "token_type_ids": np.zeros_like(row)}
        return self.session.run(["sentence_embedding"], feeds)[0][0].tolist()
