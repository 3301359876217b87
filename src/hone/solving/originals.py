"""The original of an artifact that lies in the task folder of its run: what ``hone bench`` compares it with anew."""

from __future__ import annotations

from pathlib import Path

from hone.data.tokenizer import TextTokenizer
from hone.deploy.artifact.folder import describe
from hone.deploy.certificate.witness import Size, Witness
from hone.errors import InputError
from hone.processes import spin_briefly
from hone.task.load import folder_around
from hone.task.own_metric import load_metric


class Originals:
    """Finds originals; those of one run are built once."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, str, Size], Witness] = {}

    def __call__(self, artifact: Path, size: Size) -> Witness:
        """The witness of an artifact: its run's model and the dev rows of the data that it was trained on.

        Raises:
            InputError: with the reason why it is not at hand: no task folder around it, no such run, other data or
                another model now than it was made from.
        """
        said = describe(artifact) or {}
        lineage = said.get("lineage", {})
        run = str(lineage.get("run", ""))
        task = folder_around(artifact)
        if not run:
            raise InputError("it names no run")
        if task is None:
            raise InputError(f"it does not lie in the task folder of its run {run}")
        if (task, run, size) not in self._known:
            self._known[task, run, size] = _witness(task, run, lineage.get("model"), size)
        return self._known[task, run, size]


def _witness(folder: Path, run: str, hashes: object, size: Size) -> Witness:
    from hone.model.folder import ModelFolder
    from hone.solving.exporting import run_source

    source = run_source(folder, run, None, lambda line: None)
    model = ModelFolder(source.model, TextTokenizer)
    if model.hone.get("hashes", {}) != hashes:
        raise InputError(f"run {run} has another model now than the one that it was made from")
    spin_briefly()
    import torch

    import hone.warm  # noqa: F401  (torch, with threads that sleep while they wait)
    from hone.solving.compared import witness_of

    torch.set_num_threads(1)
    task = source.order["task"]
    load_metric(task.metric, folder)
    return witness_of(model, task, source.order["data"], source.order["longest_answer"], size)
