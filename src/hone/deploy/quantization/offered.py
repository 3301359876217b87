"""Which way of rounding is worth its time: each is measured, and offered only where it wins.

What counts is the mean Kullback-Leibler divergence from the model in floats over the answers of dev rows, teacher
forced, computed in torch with the very values that the codes stand for. Recipes of large models need not hold for
small ones (SLMQuant, arXiv:2511.13023), so nothing is taken for granted. Imports torch inside.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
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
from hone.deploy.weights import KEPT_IN_FLOATS, Codes, Prepared, kind_bits, kinds_of, row_problems, weight_format
from hone.errors import InputError, nearest
from hone.files import read_json
from hone.task.render import Example

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hone.train.batches import Batch

Wish = Literal["auto", "none", "importance", "gptq"]
WISHES: tuple[Wish, ...] = ("auto", *HOWS)
TRAIN = "train"
"""The way that is no rounding: a second stage, which whoever can train offers beside these."""
WRITER_HOWS: tuple[How, ...] = ("none", "importance")
"""Those that GGUF's writer can do by itself."""
FLOATS: Mapping[str, type[np.floating[Any]]] = {
    "f32": np.float32,
    "fp32": np.float32,
    "f16": np.float16,
    "fp16": np.float16,
}
"""Kinds of a matrix that are numbers as they are."""
TOLD_EVERY_S = 10.0
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
    hows: Sequence[How] = (),
    kinds: Mapping[str, str] | None = None,
    say: Say = lambda line: None,
) -> list[Offer]:
    """Each way of rounding a model to a format, measured with the very values that are written.

    Args:
        module: the model in floats.
        weights: the format. Where it has no symmetric grid its writer rounds, with or without importance.
        calibration: rendered training rows.
        judged: rendered dev rows.
        hows: the ways; all that the format has by default.
        kinds: matrices that are stored in another kind than the format says.
        say: takes a line on each way, and how long it still takes where that is long.
    """
    shapes = {name: tuple(module.get_parameter(name).shape) for name in places(module)}
    mixture = Prepared(kinds=dict(kinds or {}))
    if problems := row_problems(shapes, weight_format(weights), mixture):
        raise InputError(problems)
    stored = kinds_of(shapes, weight_format(weights), mixture)
    reading, judging = batches_of(calibration), batches_of(judged, JUDGED_ROWS)
    original = original_logits(module, judging)
    found = []
    for how in hows or ways_of(weights):
        begin = time.perf_counter()
        rounded = _rounded(module, reading, stored, how, telling(say, f"{weights}, {how}"))
        seconds = time.perf_counter() - begin
        one = _offered(how, seconds, divergence(original, module, judging, rounded.values))
        found.append(replace(one, codes=rounded.codes, importance=rounded.importance))
        say(f"{weights}, {one.line()}")
    return found


def offer_of_trained(module: nn.Module, trained: nn.Module, judged: Sequence[Example], seconds: float) -> Offer:
    """What training on the grid gives, on the same rows and by the same measure as :func:`offers`.

    Args:
        module: the model in floats.
        trained: what was trained behind it, of the same shapes; its vectors count too.
        judged: rendered dev rows.
        seconds: what the training took.
    """
    judging = batches_of(judged, JUDGED_ROWS)
    values = {name: matrix_of(trained, name) for name, _ in trained.named_parameters()}
    return _offered(TRAIN, seconds, divergence(original_logits(module, judging), module, judging, values))


def _offered(how: str, seconds: float, found: tuple[float, float, int]) -> Offer:
    kld, same, positions = found
    return Offer(how=how, kld_mean=kld, same_top=same, positions=positions, seconds=seconds)


def ways_of(weights: str) -> tuple[How, ...]:
    """Ways of rounding that a format has."""
    return HOWS if weights in GRIDS else WRITER_HOWS


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rounded:
    """What one way gives of every matrix."""

    codes: Mapping[str, Codes]
    importance: Mapping[str, NDArray[np.float32]]
    """Of matrices that their writer rounds."""
    values: Mapping[str, NDArray[np.float32]]


def _rounded(
    module: nn.Module, reading: Sequence[Batch], stored: Mapping[str, str], how: How, done: Callable[[float], None]
) -> _Rounded:
    """Each matrix in its kind: codes where it has a grid, else what its writer makes of it."""
    gridded = {name: kind for name, kind in stored.items() if kind in GRIDS}
    others = {name: kind for name, kind in stored.items() if name not in gridded}
    searched = [name for name, kind in others.items() if kind not in FLOATS]
    importance = {}
    if searched and how != "none":
        importance = {name: worth for name, worth in importance_of(module, reading).items() if name in searched}
    written = {name: as_written(matrix_of(module, name), kind, importance.get(name)) for name, kind in others.items()}
    codes = round_matrices(module, reading, gridded, how, written, done) if gridded else {}
    values = {**written, **{name: values_of(one) for name, one in codes.items()}}
    return _Rounded(codes=codes, importance=importance, values=values)


def as_written(
    matrix: NDArray[np.float32], kind: str, importance: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """What a matrix says once it is stored: as 32 or 16 bits, or by GGUF's writer."""
    import gguf

    from hone.deploy.gguf.blocks import encode

    if kind in FLOATS:
        with np.errstate(over="ignore"):  # what 16 bits do not hold is refused by the writer, with its name
            return matrix.astype(FLOATS[kind]).astype(np.float32)
    stored = encode(matrix, kind, importance)
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
    if trained := trained_for(folder, weights):
        return _as_trained(folder, trained, weights, how, dict(kinds or {}), say)
    if how == "none" or (how == "auto" and fewest_bits(weights, kinds or {}) >= 8):
        return Prepared(kinds=dict(kinds or {}))
    if fewest_bits(weights, kinds or {}) >= 16:
        raise InputError(
            f"weights {weights} are not rounded to a grid, so there is nothing to calibrate; leave {how} out"
        )
    if how == "gptq" and weights not in GRIDS:
        raise InputError(
            f"gptq makes codes of symmetric grids ({', '.join(sorted(GRIDS))}); {weights} takes importance"
        )
    model = module if module is not None else _opened(folder)
    reading, judging = reading_and_judging(calibration, judged)
    hows = tuple(one for one in ways_of(weights) if how in ("auto", one))
    found = offers(model, weights, reading, judging, hows=hows, kinds=kinds, say=say)
    best = best_of(found)
    if len(found) > 1:
        say(f"{weights}: {best.how} is taken, it diverges least")
    return prepared_of(best, len(reading), kinds or {})


def reading_and_judging(
    calibration: Sequence[Example], judged: Sequence[Example]
) -> tuple[Sequence[Example], Sequence[Example]]:
    """Rows that calibrate and rows that judge: where no dev row can, every fourth of the former is held out for it.

    Raises:
        InputError: where no row is left to judge by.
    """
    if not (judged or calibration):
        raise InputError("calibration needs rows: neither a training row nor a dev row can be read")
    if judged:
        return calibration, judged
    return [one for at, one in enumerate(calibration) if at % HELD_OUT], calibration[::HELD_OUT]


def prepared_of(offer: Offer, rows: int, kinds: Mapping[str, str] = MappingProxyType({})) -> Prepared:
    """What an export is handed of a way of rounding that was measured; ``rows`` calibrated it."""
    if offer.how == "none":
        return Prepared(kinds=dict(kinds))
    return Prepared(kinds=dict(kinds), codes=offer.codes, importance=offer.importance, how=offer.how, rows=rows)


def reads_rows(folder: Path, weights: str, how: str, kinds: Mapping[str, str]) -> bool:
    """Whether :func:`prepare` would read rows: what has 8 bits and more is rounded plainly unless somebody asks."""
    return not trained_for(folder, weights) and how != "none" and (how != "auto" or fewest_bits(weights, kinds) < 8)


def fewest_bits(weights: str, kinds: Mapping[str, str]) -> float:
    """Bits per weight of the smallest kind among a format and single matrices' own."""
    chosen = weight_format(weights)
    return min([chosen.bits, *(kind_bits(chosen)[kind] for kind in kinds.values())])


def telling(say: Say, what: str, every_s: float = TOLD_EVERY_S) -> Callable[[float], None]:
    """Takes the share of a work that is done, and says at most every so many seconds how long the rest takes."""
    begin = last = time.perf_counter()

    def done(share: float) -> None:
        nonlocal last
        now = time.perf_counter()
        if now - last >= every_s and share < 1:
            last = now
            say(f"{what}: {share:.0%} of the work, about {(now - begin) * (1 - share) / share:.0f} s left")

    return done


def trained_for(folder: Path, weights: str) -> str:
    """The format that a model folder was trained for, where what lies on its grid lies on this one's; else empty."""
    described = folder / "hone.json"
    aware = str(read_json(described).get("aware", "")) if described.is_file() else ""
    return aware if aware and lies_on(aware, weights) else ""


def lies_on(aware: str, weights: str) -> bool:
    """Whether what lies on the grid of one format lies on that of another too."""
    if weights not in GRIDS:
        return False
    trained, wanted = grid_of(aware), grid_of(weights)
    # A scale of a block is a scale of each part of it.
    return trained.bits == wanted.bits and trained.block % wanted.block == 0


def _as_trained(folder: Path, aware: str, weights: str, how: str, kinds: dict[str, str], say: Say) -> Prepared:
    """Codes of matrices that lie on the grid already: rounding changes no weight.

    Raises:
        InputError: where it would, or something else is wished for.
    """
    from hone.deploy.tensors import Tensors

    wished = [how] if how not in ("auto", "none") else ["kinds of single matrices"] if kinds else []
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
