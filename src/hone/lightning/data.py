"""The rows of a task for a Lightning ``Trainer``: dealt to processes, an epoch at a time, in the order of a recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningDataModule
from pytorch_lightning.utilities import rank_zero_info

from hone.errors import InputError
from hone.own_loops import StepBatch, TrainingParts, training_parts
from hone.task.recipe import Recipe
from hone.train.batches import collate
from hone.train.source import Cursor

DEV_ROWS = 64
"""Rows of a batch that the loss on dev is measured on."""
PREDICTED_ROWS = 32
NO_TEST = (
    "the sealed test is read once, on the certified artifact, and not by a Trainer: validate on dev with "
    "trainer.validate, export the saved model, and let hone solve score the test"
)

Source = str | Path | TrainingParts
Wish = Recipe | Mapping[str, Any] | None


def parts_of(task: Source, recipe: Wish) -> TrainingParts:
    """The parts of a task folder, or those given.

    Raises:
        InputError: when there are both parts and a recipe.
    """
    if not isinstance(task, TrainingParts):
        return training_parts(task, recipe, say=rank_zero_info, carried_out=("average", "clip_norm"))
    if recipe is not None:
        raise InputError("the parts have a recipe; give the task folder with another recipe, or the parts alone")
    return task


class TaskData(LightningDataModule):
    """The rows of a task in the order of a recipe, dealt to processes, as a LightningDataModule.

    Args: as of :class:`TaskModule`; best the same parts, so that the data is prepared once.
    """

    def __init__(self, task: Source, recipe: Wish = None) -> None:
        super().__init__()
        self.parts = parts_of(task, recipe)

    def train_dataloader(self) -> _Steps:
        """Micro-batches of this process. A Lightning epoch has as many steps as the first pass over the rows."""
        return _Steps(self.parts, *self._place())

    def val_dataloader(self) -> _Loader:
        """All dev rows, those of similar length together, each batch dealt to the processes."""
        examples = sorted(self.parts.bench.dev, key=lambda example: len(example.ids))
        return self._dealt([(example,) for example in examples], DEV_ROWS, collate)

    def predict_dataloader(self) -> _Loader:
        """The dev rows as dicts, each batch dealt to the processes."""
        return self._dealt([row.fields for row in self.parts.bench.data.dev], PREDICTED_ROWS, list)

    def _dealt(self, rows: Sequence[Any], size: int, make: Any) -> _Loader:
        """Batches of rows, as many on every process: the Trainer refuses a process without any."""
        rank, processes = self._place()
        return _Loader([rows[start : start + size][rank::processes] for start in range(0, len(rows), size)], make)

    def test_dataloader(self) -> Any:
        """Refuse: the test is scored once, on the certified artifact (law 9).

        Raises:
            InputError: always.
        """
        raise InputError(NO_TEST)

    def _place(self) -> tuple[int, int]:
        trainer = self.trainer
        return (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)


class _Steps:
    """Micro-batches of one process, a Lightning epoch at a time; where it stands goes into Lightning's checkpoints."""

    def __init__(self, parts: TrainingParts, rank: int, processes: int) -> None:
        self._parts, self._rank, self._processes = parts, rank, processes
        self._cursor, self._done = Cursor(), 0

    def __len__(self) -> int:
        return self._parts.steps_per_epoch * self._parts.recipe.accumulate

    def __iter__(self) -> Iterator[StepBatch]:
        # A Trainer knows the length and does not ask behind the last one, so an epoch that is done ends here.
        self._done %= self._parts.steps_per_epoch
        while self._done < self._parts.steps_per_epoch:
            rows, following = self._parts.source.read(self._cursor)
            for step in self._parts.share_of_step(rows, rank=self._rank, processes=self._processes):
                if step.is_last:  # told before it is handed out: a checkpoint is written while it is held
                    self._cursor, self._done = following, self._done + 1
                yield step

    def state_dict(self) -> dict[str, int]:
        """Where it stands."""
        return {"epoch": self._cursor.epoch, "index": self._cursor.index, "done": self._done}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from there."""
        self._cursor, self._done = Cursor(state["epoch"], state["index"]), state["done"]


class _Loader:
    """Parts of some rows, each made into a batch when its turn comes."""

    def __init__(self, parts: Sequence[Any], make: Any) -> None:
        self._parts, self._make = parts, make

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[Any]:
        return map(self._make, self._parts)
