"""What a decoder in llama.cpp writes."""

from __future__ import annotations


class Model:
    def load(self):
        """Open the decoder."""
        self.serve()

    def complete(self, ids, **more):
        """What the server's /completion answers to ids, the likeliest first."""
        return self.ask("completion", prompt=ids, temperature=0, cache_prompt=False, **more)
