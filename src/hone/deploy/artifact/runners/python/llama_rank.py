"""Labels of a row by an encoder whose head llama.cpp computes."""

from __future__ import annotations

from check import stop


class Model:
    def label_logits(self, ids):
        """Logits of the labels."""
        logits, labels = self.rows(ids)[0], self.hone["labels"]
        if len(logits) != len(labels):  # it does not read `embedding_length_out` of the file
            stop(f"this llama.cpp gives {len(logits)} figures for {len(labels)} labels; install a newer xllamacpp")
        return logits
