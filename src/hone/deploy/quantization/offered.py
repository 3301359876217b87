"""Which way of rounding is worth its time: each is measured, and offered only where it wins.

What counts is the mean Kullback-Leibler divergence from the model in floats over the answers of dev rows, teacher
forced, computed in torch with the very values that the codes stand for. Recipes of large models need not hold for
small ones (SLMQuant, arXiv:2511.13023), so nothing is taken for granted. Imports torch inside.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hone.deploy.quantization.calibration import batches_of, evaluating, logits_of, places
from hone.deploy.quantization.grids import GRIDS, grid_of, recognised, values_of
from hone.deploy.quantization.sequence import (
    HOWS,
    How,
    carrying,
    importance_of,
    matrix_of,
    round_matrices,
)
from hone.deploy.weights import KEPT_IN_FLOATS, Codes, Prepared, row_problems, weight_format
from hone.errors import InputError, nearest
from hone.files import read_json
from hone.task.render import Example

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hone.train.batches import Batch

Wish = Literal["auto", "none", "importance", "gptq"]
WISHES: tuple[Wish, ...] = ("auto", *HOWS)
WRITER_HOWS: tuple[How, ...] = ("none", "importance")
"""Those that GGUF's writer can do by itself."""
JUDGED_ROWS = 256
"""Rows that the ways are compared on."""
HELD_OUT = 4
"""Where no dev rows are given, every so many-th of the calibration rows is held out to judge by."""
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """One way of rounding, as measured."""

    how: str
    kld_mean: float
    """Nats per answer position."""
    same_top: float
    """Share of positions with the same likeliest output; of several labels the share of same decisions."""
    positions: int
    seconds: float
    """To make the codes."""
    codes: Mapping[str, Codes] = field(repr=False, default_factory=dict)
    importance: Mapping[str, NDArray[np.float32]] = field(repr=False, default_factory=dict)
    """For blocks that only their writer makes."""

    def line(self) -> str:
        """For people."""
        figures = f"{self.kld_mean:.3g} nats, same answer {self.same_top:.1%}"
        return f"{self.how}: mean divergence {figures} of {self.positions:,} positions, {self.seconds:.1f} s"


def offers(
    module: nn.Module,
    weights: str,
    calibration: Sequence[Example],
    judged: Sequence[Example],
    *,
    hows: Sequence[How] = HOWS,
    kinds: Mapping[str, str] | None = None,
) -> list[Offer]:
    """Each way of rounding a model to a format, measured.

    Args:
        module: the model in floats.
        weights: a format with a symmetric grid.
        calibration: rendered training rows.
        judged: rendered dev rows.
        hows: the ways.
        kinds: matrices that are stored in another format than ``weights``; one without a grid leaves them in floats.
    """
    chosen = {name: (kinds or {}).get(name, weights) for name in places(module)}
    gridded = {name: kind for name, kind in chosen.items() if kind in GRIDS}
    shapes = {name: tuple(module.get_parameter(name).shape) for name in gridded}
    if problems := row_problems(shapes, weight_format(weights)):
        raise InputError(problems)
    reading, judging = batches_of(calibration), batches_of(judged, JUDGED_ROWS)
    original = original_logits(module, judging)
    found = []
    for how in hows:
        begin = time.perf_counter()
        codes = round_matrices(module, reading, gridded, how)
        seconds = time.perf_counter() - begin
        values = {name: values_of(one) for name, one in codes.items()}
        kld, same, positions = divergence(original, module, judging, values)
        found.append(Offer(how=how, kld_mean=kld, same_top=same, positions=positions, seconds=seconds, codes=codes))
    return found


def offers_of_writer(
    module: nn.Module,
    weights: str,
    calibration: Sequence[Example],
    judged: Sequence[Example],
    *,
    hows: Sequence[How] = WRITER_HOWS,
    kinds: Mapping[str, str] | None = None,
) -> list[Offer]:
    """:func:`offers` for the blocks of GGUF that are no plain grid: its writer rounds, with or without importance."""
    from hone.deploy.gguf.mixtures import matrix_kinds

    shapes = {name: tuple(module.get_parameter(name).shape) for name in places(module)}
    stored = {name: (kinds or {}).get(name, kind) for name, kind in matrix_kinds(shapes, weights).items()}
    judging = batches_of(judged, JUDGED_ROWS)
    original = original_logits(module, judging)
    found = []
    for how in hows:
        begin = time.perf_counter()
        worth = importance_of(module, batches_of(calibration)) if how == "importance" else {}
        values = {name: as_written(matrix_of(module, name), stored[name], worth.get(name)) for name in shapes}
        seconds = time.perf_counter() - begin
        kld, same, positions = divergence(original, module, judging, values)
        found.append(
            Offer(how=how, kld_mean=kld, same_top=same, positions=positions, seconds=seconds, importance=worth)
        )
    return found


def as_written(
    matrix: NDArray[np.float32], kind: str, importance: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """What a matrix says once GGUF's writer has stored it."""
    import gguf

    from hone.deploy.gguf.blocks import encode

    stored = encode(matrix, kind, importance)
    if stored.dtype != np.uint8:
        return stored.astype(np.float32)
    values: NDArray[np.float32] = gguf.quants.dequantize(stored, gguf.GGMLQuantizationType[kind.upper()])
    return values


def best_of(found: Sequence[Offer]) -> Offer:
    """The way of least divergence; of equal ones the first. One whose divergence is no number is the worst."""
    return min(found, key=lambda offer: math.inf if math.isnan(offer.kld_mean) else offer.kld_mean)


def original_logits(module: nn.Module, batches: Sequence[Batch]) -> list[Tensor]:
    """Logits at the supervised positions of each batch."""
    with evaluating(module):
        return [logits_of(module, batch.to(next(module.parameters()).device)) for batch in batches]


def divergence(
    original: Sequence[Tensor],
    module: nn.Module,
    batches: Sequence[Batch],
    values: Mapping[str, NDArray[np.float32]],
) -> tuple[float, float, int]:
    """Mean divergence in nats, share of the same likeliest output, and decisions, of a model that carries values.

    Of several labels each one is a decision, given or not.
    """
    from hone.deploy.quantization.aware import divergences

    total, same, count, tops = 0.0, 0, 0, 0
    with carrying(module, values):
        now = original_logits(module, batches)
    for batch, before, after in zip(batches, original, now, strict=True):
        several = batch.labels is not None
        apart = divergences(before, after, several=several)
        total += float(apart.double().sum())
        count += apart.numel()
        equal, of = same_answers(before, after, several=several)
        same, tops = same + equal, tops + of
    return total / max(1, count), same / max(1, tops), count


def same_answers(before: Tensor, after: Tensor, *, several: bool) -> tuple[int, int]:
    """How many of the answers that logits (S, K) give are equal, and of how many: S, or S * K of several labels."""
    equal = (before > 0) == (after > 0) if several else before.argmax(-1) == after.argmax(-1)
    return int(equal.sum()), equal.numel()


def prepare(
    folder: Path,
    weights: str,
    calibration: Sequence[Example],
    *,
    judged: Sequence[Example] = (),
    how: str = "auto",
    kinds: Mapping[str, str] | None = None,
    module: Any = None,
    say: Say = lambda line: None,
) -> Prepared:
    """Decide how a model folder's matrices are rounded: what an export is handed as ``prepared``.

    Args:
        folder: the model folder.
        weights: the format of the export.
        calibration: rendered training rows, never of dev or test.
        judged: rendered dev rows, by which ``auto`` chooses; without them calibration rows are held out.
        how: ``none``, ``importance``, ``gptq``, or ``auto`` for what diverges least.
        kinds: matrices that are stored in another format (:mod:`hone.deploy.quantization.mixed`).
        module: the folder's model where the caller has it open already.
        say: takes a line on each way that was measured, and on what was chosen.

    Raises:
        InputError: for another ``how``, a format that it cannot do, or no rows where they are needed.
    """
    if how not in WISHES:
        raise InputError(f'"{how}" is no way of rounding; {nearest(how, WISHES)}')
    if trained := _trained_for(folder, weights):
        return _as_trained(folder, trained, weights, how, dict(kinds or {}), say)
    chosen = weight_format(weights)
    if how == "none" or (how == "auto" and chosen.bits >= 8 and not kinds):
        return Prepared(kinds=dict(kinds or {}))
    if chosen.bits >= 16:
        raise InputError(
            f"weights {weights} are not rounded to a grid, so there is nothing to calibrate; leave {how} out"
        )
    if how == "gptq" and weights not in GRIDS:
        raise InputError(
            f"gptq makes codes of symmetric grids ({', '.join(sorted(GRIDS))}); {weights} takes importance"
        )
    model = module if module is not None else _opened(folder)
    aside = not judged
    reading = [one for at, one in enumerate(calibration) if not aside or at % HELD_OUT]
    judging = judged or calibration[::HELD_OUT]
    measure, every = (offers, HOWS) if weights in GRIDS else (offers_of_writer, WRITER_HOWS)
    hows = every if how == "auto" else tuple(one for one in every if one == how)
    found = measure(model, weights, reading, judging, hows=hows, kinds=kinds)
    for offer in found:
        say(f"{weights}, {offer.line()}")
    best = best_of(found)
    if len(found) > 1:
        say(f"{weights}: {best.how} is taken, it diverges least")
    made = Prepared(
        kinds=dict(kinds or {}), codes=best.codes, importance=best.importance, how=best.how, rows=len(reading)
    )
    return made if best.how != "none" else Prepared(kinds=dict(kinds or {}))


def reads_rows(folder: Path, weights: str, how: str) -> bool:
    """Whether :func:`prepare` would read rows: formats of 8 bits and more are rounded plainly unless somebody asks."""
    chosen = weight_format(weights)
    return not _trained_for(folder, weights) and how != "none" and (how != "auto" or chosen.bits < 8)


def _trained_for(folder: Path, weights: str) -> str:
    """The format that a model folder was trained for, where what lies on its grid lies on this one's; else empty."""
    described = folder / "hone.json"
    aware = str(read_json(described).get("aware", "")) if described.is_file() else ""
    if not aware or weights not in GRIDS:
        return ""
    trained, wanted = grid_of(aware), grid_of(weights)
    # A scale of a block is a scale of each part of it.
    return aware if trained.bits == wanted.bits and trained.block % wanted.block == 0 else ""


def _as_trained(folder: Path, aware: str, weights: str, how: str, kinds: dict[str, str], say: Say) -> Prepared:
    """Codes of matrices that lie on the grid already: rounding changes no weight.

    Raises:
        InputError: where it would, or something else is wished for.
    """
    from hone.deploy.tensors import Tensors

    wished = [how] if how not in ("auto", "none") else ["a mixture by layer"] if kinds else []
    if wished:
        raise InputError(f"{folder} was trained for {aware}, and its weights lie on that grid: leave {wished[0]} out")
    tensors, codes = Tensors(folder), {}
    for name, shape in tensors.shapes.items():
        if len(shape) == 2 and not name.endswith(KEPT_IN_FLOATS):
            bits, block = grid_of(weights)
            found = recognised(tensors.read(name), bits, block) if shape[-1] % block == 0 else None
            if found is None:
                raise InputError(f"{folder} says that it was trained for {aware}, and {name} does not lie on its grid")
            codes[name] = found
    say(f"{weights}: the model was trained for it, and rounding changes no weight")
    return Prepared(codes=codes, how="aware")


def _opened(folder: Path) -> nn.Module:
    from hone.data.tokenizer import TextTokenizer
    from hone.model.folder import ModelFolder

    return ModelFolder(folder, TextTokenizer).load()
