"""``hone export``: which artifacts are asked for, what is foreseen of each, and making them; the lab records them."""

from __future__ import annotations

import contextlib
import shlex
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hone.attempts.training_for import grid_to_train
from hone.deploy.apart import NOTHING_APART, Apart, kinds_apart
from hone.deploy.artifact.making import artifact_name, foreseen_bytes
from hone.deploy.quantization.offered import TRAIN, trained_for
from hone.deploy.runtime import RUNTIMES, runtime
from hone.deploy.tensors import Tensors
from hone.deploy.weights import Prepared, formats_of, row_problems, stored_bytes, weight_format
from hone.errors import FailedError, InputError, nearest
from hone.files import read_json
from hone.model.folder import HONE_FILE
from hone.processes import spin_briefly

if TYPE_CHECKING:
    from hone.lab.run import Run

DEFAULT_WEIGHTS = {"gguf": "q8_0", "onnx": "int8"}
"""What each runtime's models are stored in when nobody says: the smallest that costs next to nothing."""
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Foreseen:
    """What is known of an artifact before it is made."""

    weights: str
    runtime: str
    path: Path
    size_bytes: int
    """About: of the model file."""
    refusals: tuple[str, ...]
    """Why it cannot be made; empty when it can."""

    def to_json(self) -> dict[str, Any]:
        """Plain values; of what cannot be made no size and no place."""
        made = {"artifact": str(self.path), "size_mb": round(self.size_bytes / 1e6, 3)}
        known = dict.fromkeys(made) if self.refusals else made
        return {"weights": self.weights, "runtime": self.runtime, **known, "refusals": list(self.refusals)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A model to be exported: its folder, what artifacts of it are called, and the folder in which they are made."""

    model: Path
    stem: str
    out: Path
    order: dict[str, Any]
    """What :func:`hone.solving.artifact.work_each` is to know besides."""


def formats_asked(to: Sequence[str] = (), weights: Sequence[str] = ()) -> list[str]:
    """Weight formats, in the order asked for: those named, or the default of each runtime.

    Raises:
        InputError: unknown runtimes and formats, a runtime without any of the formats, a format without its runtime.
    """
    known = list(RUNTIMES)
    problems = [f'--to "{name}" is not a runtime here; {nearest(name, known)}' for name in to if name not in known]
    names = []
    for name in weights:
        try:
            names.append(weight_format(name))
        except InputError as error:
            problems += error.problems
    runtimes = list(to) or list(dict.fromkeys(one.runtime for one in names)) or ["gguf"]
    for one in names:
        if one.runtime not in runtimes:
            problems.append(f"{one.name} is a format of {one.runtime}; --to names {', '.join(runtimes)}")
    for name in runtimes:
        if names and name in known and not any(one.runtime == name for one in names):
            formats = ", ".join(one.name for one in formats_of(name))
            problems.append(f"none of --weights is a format of {name}; it has {formats}")
    if problems:
        raise InputError(problems)
    return list(dict.fromkeys(one.name for one in names)) or [DEFAULT_WEIGHTS[name] for name in runtimes]


def foreseen(
    source: Source, names: Sequence[str], apart: Apart = NOTHING_APART, *, mixed: bool = False
) -> list[Foreseen]:
    """What is known of each artifact before it is made: about its size (without ``mixed``), and why it cannot be."""
    config, shapes = read_json(source.model / "config.json"), Tensors(source.model).shapes
    found = []
    for name in names:
        chosen = weight_format(name)
        refusals, prepared = runtime(chosen.runtime).refusals(config, shapes, name, source.model), Prepared()
        try:
            prepared = Prepared(kinds=kinds_apart(config, shapes, chosen, apart))
            refusals += [] if refusals else row_problems(shapes, chosen, prepared)
            if prepared.kinds and (aware := trained_for(source.model, chosen.name)):
                refusals.append(f"the model was trained for {aware}, its embedding too: nothing of it is stored apart")
        except InputError as error:
            refusals += error.problems
        found.append(
            Foreseen(
                weights=chosen.name,
                runtime=chosen.runtime,
                path=source.out / artifact_name(source.stem, chosen, apart, mixed=mixed),
                size_bytes=foreseen_bytes(source.model, chosen)
                + stored_bytes(shapes, chosen, prepared)
                - stored_bytes(shapes, chosen),
                refusals=tuple(refusals),
            )
        )
    return found


def check_foreseen(found: Sequence[Foreseen]) -> None:
    """Refuse before anything is computed.

    Raises:
        InputError: with every reason of every artifact that cannot be made.
    """
    if problems := refused(found):
        raise InputError(problems)


def refused(found: Sequence[Foreseen]) -> list[str]:
    """Every reason of every artifact that cannot be made."""
    return [f"{one.runtime} {one.weights}: {reason}" for one in found for reason in one.refusals]


def check_places(places: Sequence[Path]) -> None:
    """Refuse folders that cannot be written to, by writing to them, before anything is computed.

    Raises:
        InputError: with each of them and what the system says.
    """
    problems = []
    for place in places:
        new = [one for one in (place, *place.parents) if not one.exists()]
        try:
            place.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            problems.append(f"nothing can be written to {place}: {error.strerror or error}; artifacts go there")
        finally:
            with contextlib.suppress(OSError):
                for one in new:
                    one.rmdir()
    if problems:
        raise InputError(problems)


def run_source(folder: Path, run: int | str, out: Path | None, say: Say) -> Source:
    """The model of a run, with the dev rows of the data version that it was trained on.

    Raises:
        InputError: no such run, no model in it yet, or another data version now than it was trained on.
    """
    from hone.data.prepare import prepare
    from hone.data.task_file import load_task
    from hone.lab.lab import Lab

    task = load_task(folder)
    lab = Lab(folder, say=say)
    if not lab.runs():
        raise InputError(f"{folder} has no runs, so there is no model to export; start one with: hone solve {folder}")
    chosen = lab.run(run)
    result = chosen.result
    if result is None or not result.get("model"):
        raise InputError(
            f"run {chosen.folder.name} is {chosen.status} at step {chosen.last_step():,} and has no model yet; "
            "only a finished run can be exported"
        )
    data = prepare(task, folder, folder / ".hone" / "cache", lambda line: None)
    if data.id != chosen.header.data_id:
        raise InputError(
            f"run {chosen.folder.name} was trained on data version {chosen.header.data_id} and the folder now gives "
            f"{data.id}: its dev rows may be rows that the model was trained on. Put the data back, or train again"
        )
    return _of_run(chosen, out or folder / "artifacts", {"folder": str(folder), "task": task, "data": data})


def source_of(source: Source, run: Run) -> Source:
    """The model of another run of the same task, on the same data."""
    return _of_run(run, source.out, source.order)


def _of_run(run: Run, out: Path, order: Mapping[str, Any]) -> Source:
    """The source of a finished run; ``order`` holds folder, task and data."""
    result = run.result or {}
    own = {"run": run.folder.name, "number": run.number, "steps": result["step"]}
    return Source(
        model=run.model,
        stem=f"{order['task'].name}-run{run.number:04d}",
        out=out,
        order={**order, **own, "longest_answer": result["longest_answer"]},
    )


def training_line(source: Source, names: Sequence[str]) -> str:
    """How training on the grid is tried for formats of 4 bits; empty where it cannot be."""
    few = [name for name in names if weight_format(name).bits < 8 and grid_to_train(name)]
    if "number" not in source.order or not few or read_json(source.model / HONE_FILE).get("aware"):
        return ""
    folder = source.order["folder"]
    words = [str(source.order["number"]), *([] if folder == "." else [folder]), "--weights", ",".join(few)]
    command = shlex.join(["hone", "export", *words, "--calibrate", TRAIN])
    return f"{', '.join(few)}: training on the grid may diverge less still, and is taken only then: {command}"


def export_each(
    source: Source,
    names: Sequence[str],
    size: str,
    say: Say,
    *,
    calibrate: str = "auto",
    mixed: bool = False,
    apart: Apart = NOTHING_APART,
    prepared: Mapping[str, Prepared] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Make the artifacts; each is recorded in the lab of its task.

    ``calibrate`` says how matrices are rounded, ``mixed`` whether some take larger kinds up to the device's budget,
    ``apart`` what embedding and output layer are stored as, ``prepared`` by format what was decided before.

    Returns:
        ``path`` and ``certificate`` of each, and the ``run`` whose model it is.

    Raises:
        InputError: before anything is computed, when one cannot be made.
        FailedError: when one does not match its original; the others are made and recorded, and named.
    """
    check_foreseen(foreseen(source, names, apart))
    check_places([source.out, *([Path(source.order["folder"])] if "number" in source.order else [])])
    spin_briefly()
    import hone.warm  # noqa: F401  (torch, with threads that sleep while they wait)
    from hone.lab.lab import Lab
    from hone.solving.artifact import work_each
    from hone.solving.watched import Here, Watched

    order = {
        **source.order,
        "model": str(source.model),
        "name": source.stem,
        "out": str(source.out),
        "size": size,
        "calibrate": calibrate,
        "mixed": mixed,
        "apart": apart,
        "prepared": prepared,
        "formats": list(names),
    }
    lab = Lab(Path(source.order["folder"]), say=say) if "number" in source.order else None

    def keep(path: Path, certificate: dict[str, Any]) -> None:
        if lab is not None:
            lab.record_artifact(path, source.order["number"], certificate=certificate)

    found = work_each(Here(Watched(say=say)), order, keep)
    chosen = calibrate != "auto" or mixed or apart.embedding or apart.head or prepared
    if not chosen and (line := training_line(source, names)):
        say(line)
    made: list[dict[str, Any]] = found["made"]
    if found["failures"]:
        whole = ", ".join(Path(one["path"]).name for one in made)
        raise FailedError("; ".join(found["failures"]) + (f"; made and certified: {whole}" if made else ""))
    return [{"run": source.order.get("run"), **one} for one in made]
