"""How a model's matrices are rounded for an artifact: calibrated on its own training rows, judged on its dev rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hone.data.prepare import DataVersion
from hone.data.rows import Row
from hone.deploy.apart import NOTHING_APART, kinds_apart
from hone.deploy.hone_keys import prepared_keys
from hone.deploy.tensors import Tensors
from hone.deploy.weights import Prepared, WeightFormat, kind_bits, stored_bytes, weight_format
from hone.errors import InputError
from hone.files import read_json
from hone.task.render import Example
from hone.task.spec import Task

if TYPE_CHECKING:
    from hone.model.folder import ModelFolder

CALIBRATION_ROWS, JUDGED_ROWS = 256, 256
"""Rows that are rendered: spread over all training rows, and over all of dev."""
KEY_BYTES, EVEN_BYTES = 12, 32
"""Around a key and its text in a file; and between two tensors at most."""
EIGHT_BITS = {"gguf": "q8_0", "onnx": "int8"}


def prepared_for(model: ModelFolder, weights: str, order: Mapping[str, Any], say: Callable[[str], None]) -> Prepared:
    """What an export of a model is handed; see :func:`hone.deploy.quantization.offered.prepare`.

    Args:
        model: the model folder.
        weights: the format.
        order: of the export; ``calibrate`` is the way of rounding (``auto`` by default), ``mixed`` whether some
            matrices take larger kinds up to the budget, ``apart`` the kinds of embedding and output layer; ``task`` and
            ``data`` are not there for a model without a task. ``prepared`` holds what was decided already, by format.
        say: takes a line on each way that was measured.

    Raises:
        InputError: for a way of rounding that this format or this model cannot have.
    """
    from hone.deploy.quantization.offered import prepare, reads_rows

    known: Mapping[str, Prepared] = order.get("prepared", {})
    if weights in known:
        return known[weights]
    how, task = order.get("calibrate", "auto"), order.get("task")
    mixed = bool(order.get("mixed"))
    shapes, config = Tensors(model.path).shapes, read_json(model.path / "config.json")
    apart = kinds_apart(config, shapes, weight_format(weights), order.get("apart", NOTHING_APART))
    if not mixed and not reads_rows(model.path, weights, how, apart):
        return prepare(model.path, weights, [], how=how, kinds=apart, say=say)
    if task is None:
        if how != "auto" or mixed:
            wished = "--mixed" if mixed else f"--calibrate {how}"
            raise InputError(f"{wished} reads training rows, and this model comes without its task")
        say(f"{weights}: rounded to nearest; calibrating reads training rows, and this model comes without its task")
        return Prepared(kinds=apart)
    calibration, judged = rows_to_round_by(model, task, order["data"], lambda line: say(f"{weights}: {line}"))
    kinds = _mixture(model, weights, task, calibration, apart, say) if mixed else apart
    return prepare(model.path, weights, calibration, judged=judged, how=how, kinds=kinds, say=say)


def rows_to_round_by(
    model: ModelFolder, task: Task, data: DataVersion, say: Callable[[str], None]
) -> tuple[list[Example], list[Example]]:
    """Rendered training rows that calibrate, and dev rows that judge; ``say`` takes lines on those left out."""
    from hone.solving.compared import rendered_rows

    renderer = model.renderer()
    calibration, unread = rendered_rows(renderer, _spread(data.train, CALIBRATION_ROWS), task)
    judged, unjudged = rendered_rows(renderer, _spread(data.dev, JUDGED_ROWS), task)
    for line in (*(f"train: {one}" for one in unread), *(f"dev: {one}" for one in unjudged)):
        say(line)
    return calibration, judged


def _mixture(
    model: ModelFolder,
    weights: str,
    task: Task,
    calibration: Sequence[Example],
    apart: Mapping[str, str],
    say: Callable[[str], None],
) -> Mapping[str, str]:
    """What each matrix is stored as, within the device's budget; ``apart`` is decided already.

    Raises:
        InputError: without a budget in bytes, or where even the format itself breaks it.
    """
    from hone.deploy.artifact.making import foreseen_bytes
    from hone.deploy.quantization.calibration import places
    from hone.deploy.quantization.mixed import mixed_kinds

    if task.device.size_mb is None:
        raise InputError("--mixed needs a budget to keep: set device: {size_mb: ...} in hone.yaml")
    module = model.load()
    chosen = weight_format(weights)
    shapes = {name: tuple(module.get_parameter(name).shape) for name in places(module)}
    beside = foreseen_bytes(model.path, chosen) - stored_bytes(shapes, chosen) + _said_bytes(shapes, chosen)
    budget = int(task.device.size_mb * 1e6) - beside
    mixture, _ = mixed_kinds(module, weights, calibration, budget, fixed=apart, say=say)
    counts = Counter(mixture.kinds.values())
    told = ", ".join(f"{count} as {kind}" for kind, count in sorted(counts.items()))
    say(f"{weights}: matrices within {task.device.size_mb:g} MB: {told}, {mixture.size_bytes / 1e6:.2f} MB together")
    eight = weight_format(EIGHT_BITS[chosen.runtime])
    if chosen.bits < eight.bits and mixture.size_bytes + beside > (plain := foreseen_bytes(model.path, eight)):
        say(
            f"{weights}: with this budget that is larger than {eight.name} as it is, about {plain / 1e6:.2f} MB; "
            "a mixture for its size needs a smaller device.size_mb"
        )
    return mixture.kinds


def _said_bytes(names: Collection[str], weights: WeightFormat) -> int:
    """What a file says of a mixture at most, and how far its tensors are moved to even places."""
    longest = max(kind_bits(weights), key=len)
    prepared = Prepared(how="importance", rows=CALIBRATION_ROWS)
    keys = prepared_keys(dict.fromkeys(names, ""), dict.fromkeys(names, longest), prepared)
    return sum(len(key) + len(value) + KEY_BYTES for key, value in keys.items()) + EVEN_BYTES * len(names)


def _spread(rows: Sequence[Row], most: int) -> list[Row]:
    step = max(1, -(-len(rows) // most))
    return [rows[at] for at in range(0, len(rows), step)]
