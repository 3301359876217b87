"""A tag for each token."""

from __future__ import annotations


class Model:
    def tags(self, ids):
        """The number of each id's tag: O, then B and I of each label."""
        return [row.index(max(row)) for row in self.label_logits(ids)]

    def answer(self, ids):
        """Each token that belongs to an entity, with its tag."""
        names = ["O", *(f"{part}-{label}" for label in self.hone["labels"] for part in "BI")]
        found = list(zip(ids, self.tags(ids), strict=True))[1:-1]  # without the marks around the text
        return [[self.tokenizer.id_to_token(one), names[tag]] for one, tag in found if tag]
