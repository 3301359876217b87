"""What a machine needs for a model: four linear formulas whose constants are fitted to a few measured artifacts.

========================  =============================================================================================
figure                    sum of constant times feature
========================  =============================================================================================
``size_mb``               the weights themselves; ``file``, ``tensors`` (each), ``vocabulary`` (thousand merges): what
                          is written around them
``ram_mb``                ``process`` (with the runtime, without a model); ``session``; ``hold KIND`` per megabyte of
                          the file; ``cache`` and ``activations`` per megabyte; ``vocabulary`` per thousand entries
``ms_per_token``          ``token`` (floor); ``layers`` (each); ``read`` per millisecond that this machine takes to read
                          as many megabytes again and again; ``unpack KIND`` per million weights; ``rows KIND`` per
                          thousand rows of matrices; ``cache`` per megabyte that is read of it
``first_token_ms``        ``prompt`` (floor); ``layers``; ``multiply KIND`` per GFLOP of the prompt, with ``attention``
========================  =============================================================================================

Few artifacts say little about many constants, so each figure is fitted twice. First the constants of a reference are
scaled by group (what is per call, what memory takes, the rest), then every constant is fitted with a weak pull to the
scaled one. Both are non-negative least squares of relative errors. A kind that no measured artifact had keeps the
reference's ratio to those that had it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from math import inf, log2, sqrt
from typing import TYPE_CHECKING, Any

from hone.errors import InputError
from hone.model.footprint import (
    MEGABYTE,
    Blueprint,
    Storage,
    Stored,
    activation_bytes_of,
    cache_bytes,
    multiplied,
    prompt_operations,
    read_bytes,
    rows_multiplied,
    weight_bytes,
)
from hone.model.least_squares import nonnegative_least_squares
from hone.task.spec import Device

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT = 3
FIGURES = ("size_mb", "ram_mb", "first_token_ms", "ms_per_token")
METHOD_ERROR = {"size_mb": 0.02, "ram_mb": 0.10, "first_token_ms": 0.25, "ms_per_token": 0.15}
"""What a fit on this machine is held to by ``benchmarks/deploy/planned.py``; residuals can only widen it."""
PULL = 0.05
"""Weight of the pull to the scaled reference, beside 1 for a measurement: a constant that is off by 100 % counts as
much as a measurement that is off by 5 %."""
KNOWN_PULL = 0.5
"""The same for what memory takes, where that was timed by itself: what else is slow is not the memory's."""
RANGE = 4.0
"""A model may be this many times smaller or larger than what was measured before the error widens."""
MOST_ERROR = 1.0
"""How far an error may widen beyond what was measured and still be one: up to twice the figure. No bound, but an end of
what is known."""
TIMED_TOKENS = 64
"""Tokens after the prompt over which a time per token is measured, where the context has room."""
PER_CALL = frozenset({"file", "tensors", "process", "session", "token", "prompt", "layers"})
"""Features that do not grow with a model's bytes: they are scaled together."""
MEMORY = frozenset({"read"})
"""Features whose constant is known beforehand where the machine's memory was timed: scaled apart from arithmetic."""
FIXED = frozenset({"weights"})
"""Features whose constant is not fitted: a file holds its weights once."""
ANY = "any"
"""A kind that stands for every one, where figures of several kinds were published together."""

_NOT_LEARNED = 260
"""Entries of every vocabulary: bytes and special tokens; those beside them are merges, written twice."""

Features = Mapping[str, float]
Stream = Sequence[tuple[float, float]]
"""Megabytes, ascending, and the milliseconds of reading them once more after they were read."""
Constants = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """One artifact on one machine: features and measured value of each figure."""

    name: str
    features: Mapping[str, Features]
    """By figure; see the table above."""
    measured: Mapping[str, float]
    """By figure; one that was not measured is left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A predicted figure with its error: the true one is expected within ``error`` of it, as a share."""

    value: float
    error: float
    known: bool = True
    """False: the error is ``error`` at least, and nothing is known of how large it is, so that nothing is sure."""

    @property
    def low(self) -> float:
        """The value less its error."""
        return self.value * max(0.0, 1.0 - self.error)

    @property
    def high(self) -> float:
        """The value and its error; infinite where that is not known."""
        return self.value * (1.0 + self.error) if self.known else inf

    def to_json(self) -> dict[str, float | bool | None]:
        """Plain values; ``high`` is None where the error is not known."""
        high = self.high if self.known else None
        return {"value": self.value, "error": self.error, "error_known": self.known, "low": self.low, "high": high}


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineFit:
    """Fitted constants of one machine, runtime and number of threads."""

    name: str
    """``this-machine``, or the class of a device."""
    runtime: str
    threads: int
    """0: not threads of a processor but the GPU."""
    constants: Constants
    """By figure and feature; a figure that nothing is known of is left out."""
    errors: Mapping[str, float]
    """Relative error by figure."""
    smallest_mb: float = 0.0
    largest_mb: float = float("inf")
    """Megabytes of weights of the smallest and the largest artifact that it was fitted to."""
    fitted_on: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of the machine (``cpu``, ``cores``) and of the runtime: another one asks for another fit."""
    date: str = ""
    source: str = ""
    stream: Stream = ()
    """How long this machine reads so many megabytes of memory; empty: a millisecond each, so that ``read`` is the
    inverse of a bandwidth."""
    unsteady: float = 0.0
    """By how much work took longer than it can when it was measured, as a share."""
    slowdown: float = 1.0
    """Sustained time per token over the peak one, where peak figures were published."""

    def predict(self, features: Mapping[str, Features]) -> dict[str, Estimate]:
        """Every figure that the fit knows of and the model has.

        Raises:
            InputError: for a kind of weights that the fit has no constant for.
        """
        found = {}
        for figure, own in self.constants.items():
            if figure in features:
                value = _sum(own, through(self.stream, features[figure]), self) * (
                    self.slowdown if figure == "ms_per_token" else 1.0
                )
                error, known = self._error(figure, features)
                found[figure] = Estimate(value=value, error=error, known=known)
        return found

    def _error(self, figure: str, features: Mapping[str, Features]) -> tuple[float, bool]:
        """The fit's, and as much again for each doubling beyond what was measured; and whether that is still known.

        Beyond :data:`MOST_ERROR` no measurement says how the error grows: it is told as that, and as not known.
        """
        error = self.errors[figure]
        if figure == "size_mb":
            return error, True
        weights = features["size_mb"]["weights"]
        beyond = max(1.0, self.smallest_mb / (RANGE * weights), weights / (RANGE * self.largest_mb))
        grown = error * (1.0 + log2(beyond))
        return (grown, True) if beyond == 1.0 or grown <= MOST_ERROR else (max(error, MOST_ERROR), False)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> MachineFit:
        """The fit that :meth:`to_json` wrote.

        Raises:
            InputError: for another format, and where its keys or their values are others.
        """
        if value.get("format") != FORMAT:
            raise InputError(f"a fit of format {value.get('format')} is not read; this version reads {FORMAT}")
        rest = {key: one for key, one in value.items() if key != "format"}
        own = {one.name for one in fields(cls)}
        if rest.keys() != own:
            raise InputError(f"a fit has other keys than this version's: {', '.join(sorted(rest.keys() ^ own))}")
        try:
            stream = tuple((float(mb), float(ms)) for mb, ms in rest["stream"])
            return cls(**{**rest, "fitted_on": tuple(rest["fitted_on"]), "stream": stream})
        except (TypeError, ValueError) as error:
            raise InputError(f"a fit holds values that are none: {error}") from error


def features(
    model: Blueprint, storage: Storage, device: Device, layout: Sequence[Stored] | None = None
) -> dict[str, dict[str, float]]:
    """The features of each figure for a model in a format on a device's context and prompt.

    Memory is that of a prompt that fills the context, all but one token. A decoder's time per token is taken at the
    middle of the :data:`TIMED_TOKENS` that follow the prompt; an encoder has none, and its
    first token is its answer. ``layout`` is that of the storage, where the caller has it already.
    """
    stored = storage.layout(model) if layout is None else layout
    weights = weight_bytes(model, stored) / MEGABYTE
    learned = max(0, model.vocab - _NOT_LEARNED) / 1e3
    held: dict[str, float] = {}
    for one in stored:
        held[f"hold {one.kind}"] = held.get(f"hold {one.kind}", 0.0) + one.bytes / MEGABYTE
    tokens, value_bytes = min(device.prompt_tokens, model.context), storage.cache_value_bytes
    found = {
        "size_mb": {"weights": weights, "file": 1.0, "tensors": float(len(model.tensors)), "vocabulary": learned},
        "ram_mb": {
            "process": 1.0,
            "session": 1.0,
            **held,
            "cache": cache_bytes(model, model.context, value_bytes) / MEGABYTE,
            "activations": activation_bytes_of(model, max(1, model.context - 1)) / MEGABYTE,
            "vocabulary": model.vocab / 1e3,
        },
        "first_token_ms": _prompt_features(model, stored, tokens),
    }
    if model.writes:
        middle = tokens + min(TIMED_TOKENS, model.context - tokens) // 2
        unpack = {f"unpack {kind}": one / 1e6 for kind, one in multiplied(stored).items()}
        rows = {f"rows {kind}": one / 1e3 for kind, one in rows_multiplied(stored).items()}
        found["ms_per_token"] = {
            "token": 1.0,
            "layers": float(model.layers),
            "read": read_bytes(stored) / MEGABYTE,
            **unpack,
            **rows,
            "cache": cache_bytes(model, middle, value_bytes) / MEGABYTE,
        }
    return found


def through(stream: Stream, given: Features) -> Features:
    """Features with ``read`` in milliseconds of this machine's memory instead of megabytes.

    What fits a cache is read many times faster than what does not, so the time is interpolated in a measured curve,
    and continues with its last bandwidth.
    """
    if not stream or "read" not in given:
        return given
    megabytes = given["read"]
    before = (0.0, 0.0)
    for after in stream:
        if megabytes <= after[0]:
            share = (megabytes - before[0]) / (after[0] - before[0])
            return {**given, "read": before[1] + share * (after[1] - before[1])}
        before = after
    return {**given, "read": megabytes * before[1] / before[0]}


def _prompt_features(model: Blueprint, stored: Sequence[Stored], tokens: int) -> dict[str, float]:
    operations = {f"multiply {kind}": one / 1e9 for kind, one in prompt_operations(model, stored, tokens).items()}
    return {"prompt": 1.0, "layers": float(model.layers), **operations}


def _sum(constants: Mapping[str, float], given: Features, fit: MachineFit | None = None) -> float:
    """Constants times features; a kind without a constant takes that of any kind."""
    total = 0.0
    for name, value in given.items():
        group = name.partition(" ")[0]
        constant = constants.get(name, constants.get(f"{group} {ANY}") if " " in name else 0.0)
        if constant is None:
            of = f"the fit of {fit.name}, {fit.runtime}" if fit else "the reference"
            known = sorted(one for one in constants if one.startswith(f"{group} "))
            raise InputError(f'{of} has no constant for "{name}"; it has {", ".join(known) or "none of that kind"}')
        total += constant * value
    return total


def fit(
    measurements: Sequence[Measurement],
    reference: Constants,
    *,
    name: str,
    runtime: str,
    threads: int,
    least_errors: Mapping[str, float] = METHOD_ERROR,
    stream: Stream = (),
    **about: Any,
) -> MachineFit:
    """Constants of a machine from measured artifacts, by non-negative least squares (see the top of this file).

    Args:
        measurements: at least one.
        reference: constants to begin from, by figure; a figure that was never measured keeps them.
        name: of the machine or class.
        runtime: that the artifacts were run with.
        threads: that it had.
        least_errors: relative error of each figure that residuals can only widen.
        stream: how long this machine reads so many megabytes, where that was measured.
        about: ``versions``, ``date``, ``source``, ``unsteady``, ``slowdown`` of :class:`MachineFit`.

    Raises:
        InputError: without a measurement.
    """
    if not measurements:
        raise InputError("a fit needs at least one measured artifact; got none")
    constants, errors = {}, {}
    for figure, own in reference.items():
        there = [one for one in measurements if figure in one.measured]
        rows = [(through(stream, one.features[figure]), one.measured[figure]) for one in there]
        constants[figure] = _fitted(rows, own, KNOWN_PULL if stream else PULL) if rows else dict(own)
        off = [_sum(constants[figure], given) / value - 1.0 for given, value in rows]
        spread = 2.0 * sqrt(sum(one * one for one in off) / len(off)) if off else 0.0
        errors[figure] = max(least_errors.get(figure, 0.0), spread)
    weights = [one.features["size_mb"]["weights"] for one in measurements if "size_mb" in one.features]
    return MachineFit(
        name=name,
        runtime=runtime,
        threads=threads,
        constants=constants,
        errors=errors,
        smallest_mb=min(weights, default=0.0),
        largest_mb=max(weights, default=float("inf")),
        fitted_on=tuple(one.name for one in measurements),
        stream=tuple(stream),
        **about,
    )


def _fitted(
    rows: Sequence[tuple[Features, float]], reference: Mapping[str, float], memory_pull: float
) -> dict[str, float]:
    """Constants of one figure; ``memory_pull`` is the pull of what memory takes."""
    import numpy as np

    names = [name for name in reference if name not in FIXED]
    fixed = {name: reference[name] for name in reference if name in FIXED}
    offsets = [sum(fixed[name] * given.get(name, 0.0) for name in fixed) for given, _ in rows]
    # Relative to what is left to explain: of a file that is what stands around its weights.
    left = [max(measured - offset, 1e-3 * measured) for (_, measured), offset in zip(rows, offsets, strict=True)]
    design = np.array(
        [[_value(given, name, reference) / unit for name in names] for (given, _), unit in zip(rows, left, strict=True)]
    )
    target = np.ones(len(rows))
    start = np.array([reference[name] for name in names])
    # Once for each group: how much slower or larger than the reference is this machine?
    groups = np.array(
        [[name in PER_CALL, name in MEMORY, name not in PER_CALL | MEMORY] for name in names], dtype=float
    )
    scales = _pulled(design @ (start[:, None] * groups), target, np.array([PULL, memory_pull, PULL]))
    scaled = start * (groups @ np.maximum(scales, 1e-3))
    # Then each constant for itself, in units of the scaled one.
    pulls = np.array([memory_pull if name in MEMORY else PULL for name in names])
    factors = _pulled(design * scaled, target, pulls)
    seen = (design != 0).any(axis=0)
    constants = np.where(seen, scaled * factors, scaled * _of_siblings(names, seen, factors))
    return {**fixed, **{name: float(one) for name, one in zip(names, constants, strict=True)}}


def _value(given: Features, name: str, reference: Mapping[str, float]) -> float:
    """A feature; one of any kind gathers the kinds that the reference has no constant of its own for."""
    group, _, kind = name.partition(" ")
    if kind != ANY:
        return given.get(name, 0.0)
    return sum(
        value for one, value in given.items() if one.startswith(f"{group} ") and (one == name or one not in reference)
    )


def _of_siblings(names: Sequence[str], seen: NDArray[np.bool_], factors: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each name the mean factor of the kinds beside it that were measured; 1 where none was."""
    import numpy as np

    found = np.ones(len(names))
    for place, name in enumerate(names):
        group = name.partition(" ")[0]
        beside = [at for at, one in enumerate(names) if seen[at] and " " in one and one.partition(" ")[0] == group]
        if " " in name and beside:
            found[place] = float(np.mean(factors[beside]))
    return found


def _pulled(
    design: NDArray[np.float64], target: NDArray[np.float64], pulls: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Non-negative least squares with a pull of every value to 1, of its own weight."""
    import numpy as np

    return nonnegative_least_squares(np.vstack([design, np.diag(pulls)]), np.concatenate([target, pulls]))
