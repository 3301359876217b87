"""What an encoder in llama.cpp reads."""

from __future__ import annotations


class Model:
    def load(self):
        """Open the encoder, which reads a text in one piece: a batch holds the longest."""
        self.serve(embedding=True, n_batch=self.hone["context"], n_ubatch=self.hone["context"])

    def rows(self, ids, lengths=-1):
        """What the file's pooling makes of ids: one row, or one for each id. Lengths: -1 as they are, 2 all 1."""
        return self.ask("embedding", content=ids, embd_normalize=lengths)[0]["embedding"]
