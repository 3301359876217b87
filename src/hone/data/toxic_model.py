"""A linear toxicity model that is fitted on labelled rows, with what it does to rows that name a group of people.

Three parts, by the hash of the folded text, so that equal texts stay together: the model is fitted on the first, its
threshold is chosen on the second, and every figure is of the third. The threshold is the lowest one that strikes at
most a stated share of harmless rows: unlike precision, that share does not depend on how many toxic rows there are. On
texts of another kind it is another one; ``probe`` gives a first idea.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hone.data.groups import Group, read_groups
from hone.data.linear import LinearModel, fit
from hone.data.rows import fingerprint
from hone.data.split import position
from hone.data.swap_effects import swap_effects
from hone.data.toxic_figures import LEAST, Flags, Floats, caught, figures, probe, tell
from hone.errors import FailedError, InputError
from hone.files import atomic_folder, file_hash, read_json, write_json

FORMAT = "hone toxicity model, version 1"
TOXIC, OTHER = "toxic", "other"
FIT, CHOOSE, TEST = range(3)
_MODEL, _ABOUT = "model.safetensors", "toxic.json"
_BLOCK_PARTS = 512
"""Parts scored at once: about a million characters, whose features take some 50 MB."""
_SWAPPED_ROWS = 5_000
SHARES = (0.005, 0.01, 0.02, 0.05, 0.1)
"""Shares of harmless rows for which a threshold and what it catches are told, to choose another one by."""
_DIGITS = 6
"""Of a threshold, so that what a person copies is the threshold that was measured."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ToxicModel:
    """A fitted model, its threshold, and the hash of its file."""

    linear: LinearModel
    threshold: float
    digest: str

    def scores(self, texts: Sequence[str]) -> Floats:
        """(N,) the probability that a text is toxic; of a long text, that of its worst part.

        Parts are as long as what the model reads of a text when it is fitted. A longer text has more parts to be
        struck by, so it is struck more often: compare texts of a kind.
        """
        limit = self.linear.max_text_chars
        parts = [part for text in texts for part in _parts(text, limit)]
        starts = np.cumsum([0, *(max(1, -(-len(text) // limit)) for text in texts)])[:-1]
        column = self.linear.labels.index(TOXIC)
        blocks = [parts[at : at + _BLOCK_PARTS] for at in range(0, len(parts), _BLOCK_PARTS)]
        scores = np.concatenate([np.zeros(0), *(self.linear.probabilities(block)[:, column] for block in blocks)])
        return np.maximum.reduceat(scores, starts) if len(starts) else scores


def _parts(text: str, limit: int) -> list[str]:
    return [text[at : at + limit] for at in range(0, max(len(text), 1), limit)]


def fit_toxic(
    texts: Sequence[str],
    labels: Sequence[str],
    toxic: Collection[str],
    out: Path,
    *,
    held_out: float = 0.3,
    false_positive_rate: float = 0.05,
    seed: int = 0,
    groups: tuple[Group, ...] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Fit a model and write it to a folder (safetensors and JSON).

    Args:
        texts: one per row.
        labels: one per row.
        toxic: labels that count as toxic; all others are harmless.
        out: the model's folder; replaced when it is there.
        held_out: share of the rows that the model is not fitted on: half for the threshold, half for the figures.
        false_positive_rate: share of harmless rows that the threshold may strike.
        seed: of the model.
        groups: groups of people whose rates are told; None for the shipped list.
        say: takes lines of progress.

    Returns:
        What ``toxic.json`` says: counts, threshold, and over the third part the figures of a threshold, of others
        (:data:`SHARES`), and what exchanging groups does (:mod:`hone.data.swap_effects`). ``probe``: the rates over
        harmless sentences about the shipped terms (:func:`hone.data.groups.probe_sentences`).

    Raises:
        InputError: labels that no row has, or too few rows of a kind in one of the parts.
    """
    is_toxic = _flags(texts, labels, toxic, held_out, false_positive_rate)
    part = _parted(texts, is_toxic, held_out)
    model, harmless = _fitted(texts, is_toxic, part, false_positive_rate, seed, say)
    third = np.flatnonzero(part == TEST).tolist()
    about = {
        "format": FORMAT,
        "toxic": sorted(set(toxic)),
        "harmless": sorted(set(labels) - set(toxic)),
        "rows": {"fit": int((part == FIT).sum()), "threshold": int((part == CHOOSE).sum()), "test": len(third)},
        "threshold": model.threshold,
        "false_positive_rate_allowed": false_positive_rate,
        "held_out": held_out,
        "seed": seed,
        **_judged(model, [texts[row] for row in third], is_toxic[third], groups, harmless),
    }
    _write(out, model.linear, about)
    tell(about, say)
    return about


def _fitted(
    texts: Sequence[str],
    is_toxic: Flags,
    part: np.ndarray[Any, Any],
    false_positive_rate: float,
    seed: int,
    say: Callable[[str], None],
) -> tuple[ToxicModel, Floats]:
    """A model of the first part with a threshold of the second, and its scores of the harmless rows of the second."""
    fitted = np.flatnonzero(part == FIT).tolist()
    say(f"fitting on {len(fitted):,} of {len(texts):,} rows, {int(is_toxic[fitted].sum()):,} of them toxic")
    linear = fit([texts[row] for row in fitted], [TOXIC if is_toxic[row] else OTHER for row in fitted], seed)
    chosen_on = [texts[row] for row in np.flatnonzero((part == CHOOSE) & ~is_toxic).tolist()]
    harmless = ToxicModel(linear=linear, threshold=0.5, digest="").scores(chosen_on)
    model = ToxicModel(linear=linear, threshold=_threshold(harmless, false_positive_rate), digest="")
    say(
        f"threshold {model.threshold:g}: the lowest that strikes at most {false_positive_rate:.1%} of "
        f"{len(harmless):,} harmless rows that were not fitted on"
    )
    return model, harmless


def _write(out: Path, linear: LinearModel, about: dict[str, Any]) -> None:
    with atomic_folder(out) as folder:
        linear.save(folder / _MODEL)
        write_json(folder / _ABOUT, about)


def _judged(
    model: ToxicModel,
    texts: list[str],
    is_toxic: Flags,
    groups: tuple[Group, ...] | None,
    harmless: Floats,
) -> dict[str, Any]:
    """All figures of the third part; ``harmless`` are the scores that further thresholds are chosen on."""
    scores = model.scores(texts)
    thresholds = {share: _threshold(harmless, share) for share in SHARES}
    return {
        **figures(texts, scores, is_toxic, model.threshold, groups or read_groups()),
        "thresholds": [
            {"allowed": share, "threshold": value, **caught(scores, is_toxic, value)}
            for share, value in thresholds.items()
        ],
        "probe": None if groups else probe(model.scores, model.threshold),
        "swaps": swap_effects(texts[:_SWAPPED_ROWS], model.scores, threshold=model.threshold),
    }


def open_toxic(folder: Path) -> ToxicModel:
    """The model of a folder; opened once as long as its files do not change.

    Raises:
        InputError: a folder that is not such a model.
    """
    folder = Path(folder)
    missing = [name for name in (_MODEL, _ABOUT) if not (folder / name).is_file()]
    if missing:
        raise InputError(f"{folder}: no {' and no '.join(missing)} there; expected the folder of a toxicity model")
    return _opened(folder.resolve(), *((folder / name).stat().st_mtime_ns for name in (_MODEL, _ABOUT)))


@cache
def _opened(folder: Path, model_time: int, about_time: int) -> ToxicModel:  # noqa: ARG001 - the times are cache keys
    about = read_json(folder / _ABOUT)
    linear = LinearModel.open(folder / _MODEL)
    if about.get("format") != FORMAT or TOXIC not in linear.labels:
        raise FailedError(f'{folder}: holds {about.get("format", "something else")!r}; expected "{FORMAT}"')
    digest = file_hash(folder / _MODEL, 16)
    return ToxicModel(linear=linear, threshold=float(about["threshold"]), digest=digest)


def _flags(
    texts: Sequence[str], labels: Sequence[str], toxic: Collection[str], held_out: float, allowed: float
) -> Flags:
    problems = []
    if len(texts) != len(labels):
        problems.append(f"{len(texts):,} texts and {len(labels):,} labels; expected one label for each text")
    known = sorted(set(labels))
    problems += [
        f'no row has the label "{label}"; there are {_some(known)}' for label in sorted(set(toxic) - set(known))
    ]
    if not toxic or not set(known) - set(toxic):
        problems.append(
            f"of the labels {_some(known)} some must be toxic and some harmless; toxic: {_some(sorted(toxic))}"
        )
    if not 0 < held_out < 1 or not 0 < allowed < 1:
        problems.append(f"held_out {held_out} and false_positive_rate {allowed} must be over 0 and under 1")
    if problems:
        raise InputError(problems)
    return np.array([label in set(toxic) for label in labels], bool)


def _some(labels: Sequence[str]) -> str:
    return ", ".join(f'"{label}"' for label in labels[:10]) + (
        f" and {len(labels) - 10:,} more" if len(labels) > 10 else ""
    )


def part_of(texts: Sequence[str], held_out: float) -> Any:
    """(N,) the part of each text: :data:`FIT`, :data:`CHOOSE` (the threshold) or :data:`TEST` (the figures)."""
    place = np.array([position(fingerprint(text), "toxic") for text in texts])
    return np.where(place >= held_out, FIT, np.where(place >= held_out / 2, CHOOSE, TEST))


def _parted(texts: Sequence[str], is_toxic: Flags, held_out: float) -> Any:
    part = part_of(texts, held_out)
    problems = [
        f"{name}: {count:,} {kind} rows; at least {LEAST} are needed for a model worth having"
        for index, name in enumerate(("rows to fit", "rows for the threshold", "rows for the figures"))
        for kind, count in (
            ("toxic", int((is_toxic & (part == index)).sum())),
            ("harmless", int((~is_toxic & (part == index)).sum())),
        )
        if count < LEAST
    ]
    if problems:
        raise InputError(problems)
    return part


def _threshold(harmless: Floats, allowed: float) -> float:
    """The lowest threshold of few digits that at most a share ``allowed`` of the scores reaches."""
    order = np.sort(harmless)[::-1]
    may = int(allowed * len(order))
    return float((np.floor(order[may] * 10**_DIGITS) + 1) / 10**_DIGITS)
