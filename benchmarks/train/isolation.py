"""Do documents that TRL packs into one sequence see each other on a CPU? Proven or refuted for each setting.

    python benchmarks/train/isolation.py [--out FILE]

Two documents are prepared and collated by the ``SFTTrainer`` itself and go through its own loss. Then another first
document of the same length takes the first one's place. Where the last hidden states of the second differ in one bit,
they see each other. Needs TRL; no data.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hone.files import write_json
from hone.task.render import Example
from trl_trainer import SETTINGS, trainer_of
from work import Work, recipe_of

VOCAB = 512
SECOND = tuple(range(300, 330))
LENGTH = 20


def work_of(first: int) -> Work:
    """Two documents; ``first`` is where the ids of the first one begin."""
    documents = [np.arange(first, first + LENGTH), np.array(SECOND)]
    examples = tuple(
        Example(ids=ids.astype(np.int32), supervised=np.arange(len(ids)) > 2, prompt_len=2, label=None, row=str(number))
        for number, ids in enumerate(documents)
    )
    return Work(recipe=recipe_of(1, base="scratch:tiny", batch_size=2), vocab=VOCAB, examples=examples)


def states_of_second(first: int, setting: dict[str, Any]) -> torch.Tensor:
    """Last hidden states of the second document, as TRL's loss computes them."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(work_of(first), Path(folder), setting)
        trainer.counts = []
        inputs = next(iter(trainer.get_train_dataloader()))
        seen: list[torch.Tensor] = []
        decoder = trainer.model.model
        decoder.register_forward_hook(lambda *parts: seen.append(parts[-1].last_hidden_state.detach()))
        with torch.no_grad():
            trainer.compute_loss(trainer.model, dict(inputs))
    for row, ids in enumerate(inputs["input_ids"].tolist()):
        for begin in range(len(ids) - len(SECOND) + 1):
            if tuple(ids[begin : begin + len(SECOND)]) == SECOND:
                return seen[-1][row, begin : begin + len(SECOND)]
    raise AssertionError("the second document is not in the batch")


def main() -> None:
    """Try every setting."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, help="also write the findings as JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    for name, setting in SETTINGS.items():
        one, other = (states_of_second(first, dict(setting)) for first in (100, 200))
        difference = float((one - other).abs().max())
        found[name] = {"isolated": torch.equal(one, other), "largest_difference": difference}
        verdict = "isolated to the last bit" if found[name]["isolated"] else f"they see each other, by {difference:.3g}"
        print(f"{name}: {verdict}")
    if options.out:
        write_json(options.out, found)


if __name__ == "__main__":
    main()
