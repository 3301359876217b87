"""Which tokens are masked: BERT's procedure (J. Devlin et al., arXiv:1810.04805, section 3.1) as a pure function.

The masks of a row depend on seed, epoch and the row's id alone: not on its place, its neighbours, or how many processes
there are, so that a resumed or differently cut run masks the same tokens.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hone.errors import InputError
from hone.task.render import Example

MASKED, RANDOM = 0.8, 0.1
"""Of the chosen tokens so many become the mask, so many a random token; the others stay as they are."""
DEV_SEED, DEV_SHARE = 0, 0.15
"""Seed and share of the masks that dev is scored with: always the same, so that recipes and readings compare."""


class Masking:
    """Draws masks for rows whose ``supervised`` says which tokens may be chosen.

    Args:
        mask_id: id of the mask token.
        ordinary: ids that a random token is drawn from: no special ones.
        share: of the tokens of a row that are chosen, rounded, and at least one.
    """

    def __init__(self, mask_id: int, ordinary: Sequence[int] | NDArray[np.int32], share: float) -> None:
        if len(ordinary) == 0:
            raise InputError("the tokenizer has special tokens only, so there is none to draw at random")
        self.mask_id = mask_id
        self.ordinary = np.asarray(ordinary, dtype=np.int32)
        self.share = share

    def apply(self, example: Example, seed: int, epoch: int) -> Example:
        """The row with masks: ``supervised`` where a token was chosen, ``targets`` what stood there."""
        generator = np.random.default_rng([seed, epoch, zlib.crc32(example.row.encode("utf-8", "surrogatepass"))])
        places = np.flatnonzero(example.supervised)
        chosen = generator.choice(places, size=max(1, round(self.share * len(places))), replace=False)
        fate = generator.random(len(chosen))
        strangers = generator.choice(self.ordinary, size=len(chosen))
        ids, supervised = example.ids.copy(), np.zeros(len(example.ids), dtype=np.bool_)
        ids[chosen] = np.where(
            fate < MASKED, self.mask_id, np.where(fate < MASKED + RANDOM, strangers, example.ids[chosen])
        )
        supervised[chosen] = True
        return replace(example, ids=ids, supervised=supervised, targets=example.ids)

    def all(self, examples: Sequence[Example], seed: int, epoch: int) -> list[Example]:
        """Every row with its masks of an epoch."""
        return [self.apply(example, seed, epoch) for example in examples]
