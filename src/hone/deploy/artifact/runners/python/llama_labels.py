"""Labels that a decoder answers with in llama.cpp."""

from __future__ import annotations


class Model:
    def label_logits(self, ids):
        """A figure for each label, whose differences are those of the logits."""
        labels = self.hone["ids"]["labels"]
        # The bias makes it choose a label, whose text is whole (else figures are withheld); they are without it.
        asked = {"n_predict": 1, "n_probs": self.hone["vocab_size"], "logit_bias": [[one, 1000] for one in labels]}
        found = self.complete(ids, **asked)["completion_probabilities"][0]["top_logprobs"]
        by_id = {one["id"]: one["logprob"] for one in found}
        return [by_id[one] for one in labels]
