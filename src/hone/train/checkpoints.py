"""Checkpoints on disk: folders that appear whole, carry their own hashes, and are found again after a kill.

``checkpoints/step-00000400/`` holds a complete state (``state.safetensors``, ``state.json``);
``checkpoints/best-00000400/`` the weights of the best evaluation (``weights.safetensors``, ``best.json``);
``checkpoints/evaluations.json`` what was measured, ``seconds.json`` where the time went. The last states (two by
default), one best and, where a run may be rewound, the last state on a fixed step are kept. Nothing is a pickle.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hone.errors import FailedError
from hone.files import atomic_folder, clear_parts, content_hash, file_hash, read_json, write_json
from hone.train.records import Evaluated
from hone.train.tensors import load_model_tensors

KEEP_STATES = 2
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Saved:
    """A checkpoint that was read and found whole."""

    folder: Path
    header: dict[str, Any]
    tensors: dict[str, Tensor]


class Checkpoints:
    """The checkpoints of one run. Only the first process of a run writes.

    Args:
        folder: where they lie.
        say: takes each line that a person should read.
        keep: newest states that stay.
        fixed_every: the newest state on a multiple of this many steps stays too; None where nothing goes back to it.
    """

    def __init__(self, folder: Path, say: Say, *, keep: int = KEEP_STATES, fixed_every: int | None = None) -> None:
        self.folder = folder
        self._say = say
        self._keep = keep
        self._fixed_every = fixed_every

    def prepare(self) -> None:
        """Remove leftovers of a writer that died. Call under the run's lock."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if removed := clear_parts(self.folder):
            self._say(f"removed {removed} half-written checkpoint{'s' * (removed > 1)} of a process that died")

    # Complete states.

    def save(self, step: int, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> Path:
        """Write the state after ``step`` steps, then remove the old ones that no rule keeps.

        States behind it are removed as well: a run writes one only where it found those damaged. Else they would count
        as the newest, and what is whole would be removed in their stead.

        Raises:
            FailedError: when the disk refuses; earlier states are untouched.
        """
        path = self.folder / f"step-{step:08d}"
        _write(path, "state", tensors, header)
        self.forget_after(step)
        states = self._named("step-")
        fixed = [old for old in states if self._fixed_every and _step_of(old) % self._fixed_every == 0]
        for old in states[: -self._keep]:
            if old not in fixed[-1:]:
                shutil.rmtree(old, ignore_errors=True)
        return path

    def newest(self, *, until_step: int | None = None, fixed: bool = False) -> Saved | None:
        """The newest state that is whole. Each one that is not is named, with the reason, and passed over.

        Args:
            until_step: none behind this step.
            fixed: only states on fixed steps.
        """
        for path in reversed(self._named("step-")):
            step = _step_of(path)
            if (until_step is not None and step > until_step) or (fixed and step % (self._fixed_every or 1)):
                continue
            try:
                return _read(path, "state")
            except FailedError as error:
                self._say(f"checkpoint {path.name} is damaged ({error}); looking for the one before it")
        return None

    def forget_after(self, step: int) -> None:
        """Remove states behind ``step``: what was trained there is undone."""
        for path in self._named("step-"):
            if _step_of(path) > step:
                shutil.rmtree(path, ignore_errors=True)

    def bytes(self) -> int:
        """What all of it takes on the disk now."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    # The best weights.

    def save_best(self, evaluated: Evaluated | None, step: int, weights: Mapping[str, Tensor]) -> Path:
        """Write the weights that are the best so far, then remove the former best."""
        path = self.folder / f"best-{step:08d}"
        _write(path, "best", weights, {"evaluated": None if evaluated is None else evaluated.to_json()})
        for old in self._named("best-"):
            if old != path:
                shutil.rmtree(old, ignore_errors=True)
        return path

    def best(self) -> tuple[Path, Evaluated | None] | None:
        """The best weights that are whole, newest first, with their evaluation (None when nothing was evaluated)."""
        for path in reversed(self._named("best-")):
            try:
                data = _read(path, "best").header["evaluated"]
            except FailedError as error:
                self._say(f"the best weights {path.name} are damaged ({error}); they are left out")
                continue
            return path, None if data is None else Evaluated.from_json(data)
        return None

    # What was measured.

    def save_evaluations(self, items: Iterable[Evaluated]) -> None:
        """Write all evaluations so far."""
        write_json(self.folder / "evaluations.json", [item.to_json() for item in items])

    def evaluations(self, until_step: int) -> list[Evaluated]:
        """Evaluations that were made up to ``until_step``, and the best where its step was undone."""
        path = self.folder / "evaluations.json"
        items = [Evaluated.from_json(item) for item in read_json(path)] if path.exists() else []
        return [item for item in items if item.undone or item.step <= until_step]

    # Where the time went, and how much memory it took.

    def save_spent(self, step: int, seconds_by_part: Mapping[str, float], peak_bytes: Mapping[str, int]) -> None:
        """Write the seconds by part and the peak by device up to the end of a call that ended at ``step``."""
        values = {"step": step, "seconds": dict(seconds_by_part), "peak_bytes": dict(peak_bytes)}
        write_json(self.folder / "seconds.json", values)

    def spent(self, step: int) -> dict[str, Any]:
        """What :meth:`save_spent` wrote of the call that ended at ``step``; empty when another step was the last."""
        path = self.folder / "seconds.json"
        saved = read_json(path) if path.exists() else {}
        return dict(saved) if saved.get("step") == step else {}

    def _named(self, prefix: str) -> list[Path]:
        return sorted(path for path in self.folder.glob(f"{prefix}*") if path.is_dir())


def load_weights(model: nn.Module, folder: Path) -> None:
    """Put the weights of a ``best-*`` folder into ``model``.

    Raises:
        FailedError: when the folder is damaged. InputError: when the weights are those of another model.
    """
    load_model_tensors(model, _read(folder, "best").tensors)


def _write(path: Path, kind: str, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    with atomic_folder(path) as part:
        try:
            save_file({name: value.detach().contiguous().cpu() for name, value in tensors.items()}, part / _file(kind))
        except SafetensorError as error:
            size = sum(value.numel() * value.element_size() for value in tensors.values())
            raise FailedError(
                f"could not write {path.name} ({size:,} bytes of tensors): {error}; earlier checkpoints are untouched"
            ) from error
        content = {**header, "tensors_sha256": file_hash(part / _file(kind))}
        write_json(part / f"{kind}.json", {"content": content, "content_sha256": content_hash(content, 64)})


def _read(path: Path, kind: str) -> Saved:
    head, body = path / f"{kind}.json", path / _file(kind)
    missing = [file.name for file in (head, body) if not file.is_file()]
    if missing:
        raise FailedError(f"{', '.join(missing)} missing in {path.name}")
    data = read_json(head)
    content = data.get("content") if isinstance(data, dict) else None
    if not isinstance(content, dict) or content_hash(content, 64) != data.get("content_sha256"):
        raise FailedError(f"{head.name} does not match the hash that it carries")
    if (found := file_hash(body)) != content["tensors_sha256"]:
        raise FailedError(f"{body.name} has SHA-256 {found[:12]}, {content['tensors_sha256'][:12]} was written")
    try:
        return Saved(folder=path, header=content, tensors=load_file(body))
    except SafetensorError as error:
        raise FailedError(f"{body.name} is not whole safetensors: {error}") from error


def _step_of(path: Path) -> int:
    return int(path.name.rsplit("-", 1)[1])


def _file(kind: str) -> str:
    return "state.safetensors" if kind == "state" else "weights.safetensors"
