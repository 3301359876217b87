"""Which models hold a device's budget, before anything is trained; and over it, what to change for how much.

A plan compares predictions (:mod:`hone.model.machine_fit`) with the limits of :class:`hone.task.spec.Device`. The best
model is the one with the most parameters outside embeddings, then the one with the most bits a weight: of two that
hold, the one that is expected to answer better.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import gcd
from typing import Any

from hone.model.encoders import EncoderShape
from hone.model.footprint import MEGABYTE, Blueprint, Storage, blueprint, read_bytes, refusal
from hone.model.machine_fit import FIGURES, MOST_ERROR, Estimate, MachineFit, features
from hone.model.presets import Shape
from hone.task.spec import Device

AnyShape = Shape | EncoderShape
TOY_STEP, STEP = 64, 256
"""Widths are multiples of 64 below 256 and of 256 from there on, so that rows of every format divide."""
WIDEST = 2048
ENOUGH_BITS = 8.5
"""More bits than these change no answer (mean divergence of Q8_0 at most 0.002), so fewer of them come first."""
MOST_TOKENS = 1 << 20
"""Vocabularies and contexts are planned up to here."""
PLANNED = {"width": (TOY_STEP, 16_384), "layers": (1, 256), "vocab": (260, MOST_TOKENS)}
"""Least and most of what a person asks for; a vocabulary holds the bytes and the special tokens at least."""
LEAST_VOCABULARY = 512
LEAST_CONTEXT = 32
LEAST_GAIN = 0.01
"""Of what is missing: a change that gains less of it is none to name."""
UNITS = {"size_mb": "MB", "ram_mb": "MB", "first_token_ms": "ms", "ms_per_token": "ms"}
UNSURE = "at the end of its error it may not"
"""Of a model whose predicted figures keep every limit, and which their errors may take over one."""
NAMES = {"size_mb": "size", "ram_mb": "memory", "first_token_ms": "first token", "ms_per_token": "time per token"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One model in one format, with what is predicted of it."""

    name: str
    """Of the preset or base, with what was changed of it."""
    model: Blueprint
    storage: Storage
    estimates: Mapping[str, Estimate]
    """By figure; one that nothing is known of is left out."""
    read_mb: float
    """Megabytes of weights that each token reads."""
    over: Mapping[str, float]
    """Figures over their limit, and by how much, in the figure's unit."""
    refused: str | None = None
    """Why the format cannot store the model; nothing is predicted then."""
    not_known: tuple[str, ...] = ()
    """Figures that are limited and of which nothing is known: whether those limits are kept is not said."""

    @property
    def may_hold(self) -> bool:
        """No limit is broken by a predicted value."""
        return not self.over and self.refused is None

    @property
    def holds(self) -> bool:
        """Every limit is kept by a predicted value (its error may still reach over it)."""
        return self.may_hold and not self.not_known

    @property
    def gb_per_s(self) -> float | None:
        """Bandwidth that the time per token asks for; None where no time is predicted."""
        time = self.estimates.get("ms_per_token")
        return None if time is None else self.read_mb / time.value

    @property
    def rank(self) -> tuple[int, float]:
        """What the best one has most of."""
        return self.model.body_parameters, min(self.storage.bits, ENOUGH_BITS)

    def surely(self, device: Device) -> bool:
        """Whether the budget holds at the upper end of every error too."""
        limits = limits_of(device)
        # What has no estimate here is no figure of the model: an encoder's time per token.
        return self.holds and all(self.estimates[one].high <= limits[one] for one in limits if one in self.estimates)

    def unsure(self, device: Device) -> str:
        """Why a model that holds by its figures may not; empty where it surely does."""
        unknown = [NAMES[one] for one in limits_of(device) if one in self.estimates and not self.estimates[one].known]
        beyond = f"; the error of {' and '.join(unknown)} is not known beyond {MOST_ERROR:.0%}" if unknown else ""
        return "" if self.surely(device) else f"{UNSURE}{beyond}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        model = self.model
        return {
            "name": self.name,
            "width": model.hidden,
            "layers": model.layers,
            "ffn": model.ffn,
            "heads": model.heads,
            "kv_heads": model.kv_heads,
            "vocabulary": model.vocab,
            "context": model.context,
            "parameters": model.parameters,
            "body_parameters": model.body_parameters,
            "runtime": self.storage.runtime,
            "weights": self.storage.name,
            "refused": self.refused,
            "gb_per_s": self.gb_per_s,
            "predicted": {figure: one.to_json() for figure, one in self.estimates.items()},
            "over": dict(self.over),
            "not_known": list(self.not_known),
            "holds": self.holds,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """One change of a model that is over the budget, with what it is predicted to gain."""

    lever: str
    """``width``, ``vocabulary``, ``context`` or ``format``."""
    before: str
    after: str
    candidate: Candidate
    gains: Mapping[str, float]
    """Units that each figure falls by; of the figures that are over their limit first."""

    @property
    def enough(self) -> bool:
        """Whether this change alone makes the budget hold."""
        return self.candidate.holds

    def line(self) -> str:
        """One line for people."""
        gains = ", ".join(f"{NAMES[one]} -{gain:,.3g} {UNITS[one]}" for one, gain in self.gains.items() if gain > 0)
        still = self.candidate.over.items()
        rest = [f"{NAMES[one]} still over by {by:,.3g} {UNITS[one]}" for one, by in still]
        rest += [f"{NAMES[one]} not known" for one in self.candidate.not_known]
        end = "the budget holds" if self.enough else "; ".join(rest)
        return f"{self.lever} {self.before} -> {self.after}: {gains}; {end}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "lever": self.lever,
            "before": self.before,
            "after": self.after,
            "gains": dict(self.gains),
            "enough": self.enough,
            "candidate": self.candidate.to_json(),
        }


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What fits, what was asked for, and what to change."""

    device: Device
    asked: tuple[Candidate, ...]
    """The model that was asked for in every format, in the order in which they are tried."""
    presets: tuple[Candidate, ...]
    """Of every preset the best format that holds, or else the one that is least over; the largest preset first."""
    best: Candidate | None
    """The best of all widths, depths and formats that holds; None where nothing does."""
    advice: tuple[Advice, ...]
    """Empty where the model that was asked for holds in some format, or may."""

    @property
    def chosen(self) -> Candidate | None:
        """The model that was asked for in the best format that holds."""
        return next((one for one in self.asked if one.holds), None)

    @property
    def undecided(self) -> Candidate | None:
        """Where none holds: the model in the first format that keeps every limit of which something is known."""
        return None if self.chosen is not None else next((one for one in self.asked if one.may_hold), None)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "asked": [one.to_json() for one in self.asked],
            "presets": [one.to_json() for one in self.presets],
            "best": None if self.best is None else self.best.to_json(),
            "advice": [one.to_json() for one in self.advice],
        }


class Planner:
    """Predicts candidates for one device.

    Args:
        device: the budget, the context, the length of the prompt.
        storages: formats that are tried.
        fits: by runtime; formats of a runtime without one are left out.
    """

    def __init__(self, device: Device, storages: Iterable[Storage], fits: Mapping[str, MachineFit]) -> None:
        self.device, self.fits = device, fits
        self.storages = sorted((one for one in storages if one.runtime in fits), key=_order)

    def candidate(self, name: str, model: Blueprint, storage: Storage) -> Candidate:
        """One model in one format."""
        layout = storage.layout(model)
        refused = refusal(layout, storage.name)
        if refused is not None:
            return Candidate(
                name=name, model=model, storage=storage, estimates={}, read_mb=0.0, over={}, refused=refused
            )
        found = self.fits[storage.runtime].predict(features(model, storage, self.device, layout))
        estimates = {figure: found[figure] for figure in FIGURES if figure in found}
        limits = limits_of(self.device)
        if not model.writes:
            limits.pop("ms_per_token", None)  # an encoder writes no tokens, so that it always keeps that limit
        over = {
            figure: estimates[figure].value - limit
            for figure, limit in limits.items()
            if figure in estimates and estimates[figure].value > limit
        }
        return Candidate(
            name=name,
            model=model,
            storage=storage,
            estimates=estimates,
            read_mb=read_bytes(layout) / MEGABYTE,
            over=over,
            not_known=tuple(figure for figure in limits if figure not in estimates),
        )

    def formats(self, name: str, model: Blueprint) -> tuple[Candidate, ...]:
        """One model in every format, in the order in which they are tried."""
        return tuple(self.candidate(name, model, storage) for storage in self.storages)

    def best_format(self, name: str, model: Blueprint) -> Candidate | None:
        """The first format that holds, else the first that may, else the least over; None where all are refused."""
        found = [one for one in self.formats(name, model) if one.refused is None]
        holding = next((one for one in found if one.holds), None)
        return holding or min(found, key=self._excess, default=None)

    def memory_without_model(self) -> float | None:
        """Megabytes of the leanest runtime's process before it opens a model; None where nothing is known of memory."""
        known = [one.constants["ram_mb"] for one in self.fits.values() if "ram_mb" in one.constants]
        return min((one.get("process", 0.0) for one in known), default=None)

    def _excess(self, candidate: Candidate) -> float:
        """How far the worst figure is over its limit, as a ratio; 0 where all hold."""
        limits = limits_of(self.device)
        return max((by / limits[figure] for figure, by in candidate.over.items()), default=0.0)

    def plan(self, name: str, asked: AnyShape | Blueprint, presets: Mapping[str, AnyShape]) -> Plan:
        """Everything about one model that is asked for and the presets beside it.

        Args:
            name: of the model that is asked for.
            asked: its shape, with its vocabulary and context; of a pretrained base its blueprint, which stays as it is.
            presets: shapes with the same vocabulary and context; none where a base is asked for.
        """
        shape = None if isinstance(asked, Blueprint) else asked
        model = asked if isinstance(asked, Blueprint) else blueprint(asked)
        formats = self.formats(name, model)
        rows = [self.best_format(one, blueprint(of)) for one, of in presets.items()]
        listed = sorted((one for one in rows if one is not None), key=lambda one: one.rank, reverse=True)
        holding = [one for one in (*formats, *listed, *self._grid(presets)) if one.holds]
        best = max(holding, key=lambda one: one.rank, default=None)
        holds = any(one.holds for one in formats)
        nearest = self.best_format(name, model)
        advice = () if holds or nearest is None or nearest.may_hold else self._advice(nearest, shape)
        return Plan(device=self.device, asked=formats, presets=tuple(listed), best=best, advice=advice)

    def _grid(self, presets: Mapping[str, AnyShape]) -> Iterator[Candidate]:
        """Every width at the depths of the presets, in its best format."""
        seen: set[tuple[int, int]] = set()
        for name, shape in presets.items():
            for width in widths():
                if (shape.layers, width) not in seen and width != shape.hidden:
                    seen.add((shape.layers, width))
                    found = self.best_format(f"{name}, width {width}", blueprint(with_width(shape, width)))
                    if found is not None:
                        yield found

    def largest(self, candidate: Candidate, shape: AnyShape, changed: str) -> int | None:
        """How far a vocabulary or a context (``changed``: ``vocab``, ``context``) can be doubled in the same format.

        None when already the candidate does not hold.
        """
        value, found = int(getattr(shape, changed)), None
        while value <= MOST_TOKENS:
            model = blueprint(_changed(shape, changed, value))
            if not self.candidate(candidate.name, model, candidate.storage).holds:
                break
            value, found = 2 * value, value
        return found

    def _advice(self, over: Candidate, shape: AnyShape | None) -> tuple[Advice, ...]:
        """What to change of a model that holds in no format: what is enough alone first; nothing that does not help."""
        found = [self._of_formats(over)]
        if shape is not None:
            found.append(self._first(over, "width", over.model.hidden, narrower(shape), shape, "hidden"))
            fewer = halves(shape.vocab, LEAST_VOCABULARY)
            found.append(self._first(over, "vocabulary", over.model.vocab, fewer, shape))
        contexts = halves(over.model.context, max(LEAST_CONTEXT, self.device.prompt_tokens + 1))
        found.append(self._first(over, "context", over.model.context, contexts, shape, "context"))
        there = [one for one in found if one is not None]
        useful = [
            one
            for one in there
            if any(one.gains.get(figure, 0.0) > LEAST_GAIN * by for figure, by in over.over.items())
        ]
        return tuple(sorted(useful, key=lambda one: (not one.enough, self._excess(one.candidate))))

    def _of_formats(self, over: Candidate) -> Advice | None:
        """The format beside the one that is least over which helps most: another runtime, or fewer bits."""
        others = [one for one in self.formats(over.name, over.model) if one.refused is None]
        others = [one for one in others if one.storage.name != over.storage.name]
        if not others:
            return None
        other = min(others, key=self._excess)
        return self._compared("format", over.storage.name, other.storage.name, over, other)

    def _first(
        self, over: Candidate, lever: str, now: int, values: Sequence[int], shape: AnyShape | None, field: str = "vocab"
    ) -> Advice | None:
        """The mildest of ``values`` that holds, or the strongest of them."""
        tried: Candidate | None = None
        for value in values:
            model = over.model.with_context(value) if shape is None else blueprint(_changed(shape, field, value))
            tried = self.best_format(f"{over.name}, {lever} {value:,}", model)
            if tried is not None and tried.may_hold:
                break
        if tried is None:
            return None
        value = {"width": tried.model.hidden, "vocabulary": tried.model.vocab, "context": tried.model.context}[lever]
        return self._compared(lever, f"{now:,} ({over.storage.name})", f"{value:,} ({tried.storage.name})", over, tried)

    def _compared(self, lever: str, before: str, after: str, over: Candidate, other: Candidate) -> Advice:
        order = [*over.over, *(one for one in FIGURES if one not in over.over)]
        both = [one for one in order if one in over.estimates and one in other.estimates]
        gains = {one: over.estimates[one].value - other.estimates[one].value for one in both}
        return Advice(lever=lever, before=before, after=after, candidate=other, gains=gains)


def _order(storage: Storage) -> tuple[bool, float]:
    """Formats as they are tried: Q8_0 and what is as good, then fewer bits, then more than anybody needs."""
    many = storage.bits > ENOUGH_BITS
    return many, storage.bits if many else -storage.bits


def limits_of(device: Device) -> dict[str, float]:
    """The figures that a device limits."""
    return {figure: limit for figure in FIGURES if (limit := getattr(device, figure)) is not None}


def widths() -> tuple[int, ...]:
    """Widths that are tried: multiples of 64 below 256, and of 256 from there on."""
    return (*range(TOY_STEP, STEP, TOY_STEP), *range(STEP, WIDEST + 1, STEP))


def with_width(shape: AnyShape, width: int) -> AnyShape:
    """A shape of another width, with feed-forward and heads as they are beside it.

    A head stays as wide as it was where the width divides by it; the feed-forward keeps its ratio, as a multiple of 256
    (of 64 below a width of 256).
    """
    step = STEP if width >= STEP else TOY_STEP
    head = gcd(shape.hidden // shape.heads, width)
    ffn = max(step, step * round(width * shape.ffn / shape.hidden / step))
    heads = width // head
    if isinstance(shape, EncoderShape):
        return replace(shape, hidden=width, heads=heads, ffn=ffn)
    shared = shape.heads // shape.kv_heads
    kv_heads = heads // shared if heads % shared == 0 else heads
    return replace(shape, hidden=width, heads=heads, kv_heads=kv_heads, ffn=ffn)


def narrower(shape: AnyShape) -> list[int]:
    """Smaller widths, the mildest first."""
    return [width for width in reversed(widths()) if width < shape.hidden]


def halves(value: int, least: int) -> list[int]:
    """Half of a value, half of that, and so on, down to ``least``."""
    found = []
    while value // 2 >= least:
        value //= 2
        found.append(value)
    return found


def _changed(shape: AnyShape, field: str, value: int) -> AnyShape:
    if field == "hidden":
        return with_width(shape, value)
    return replace(shape, vocab=value) if field == "vocab" else replace(shape, context=value)
