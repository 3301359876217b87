"""Presets: transforms, signals and rules that fit a kind of data, each threshold with its source.

``task`` is made for rows of a task (a request of nine words is no web page), ``web`` for raw pages. A preset is a
start: every threshold can be changed in ``hone.yaml`` and seen in the report.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hone.data import ledger
from hone.data.rules import Rule
from hone.errors import InputError, nearest

Step = tuple[str, dict[str, Any]]
"""A name of a registry, and parameters."""

GOPHER = "Gopher (arXiv 2112.11446, A1)"
C4 = "C4 (arXiv 1910.10683)"
FINEWEB = "FineWeb (arXiv 2406.17557)"
FOLDING = "folded text: lower case, runs of non-word characters as one space"


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """``transforms`` in their order, ``rules``, and further ``signals`` that are measured for looking only."""

    name: str
    transforms: tuple[Step, ...] = ()
    rules: tuple[Rule, ...] = ()
    signals: tuple[Step, ...] = ()


_TRAIN_AND_DEV = ("train", "dev")

EMPTY = Rule(
    name=ledger.EMPTY,
    column="content.missing",
    absent=True,
    splits=_TRAIN_AND_DEV,
    source="without text or answer there is nothing to learn from",
)
DUPLICATE = Rule(name=ledger.DUPLICATE, column="exact.survivor", absent=True, source=FOLDING, evidence=("exact.size",))
IN_TEST = Rule(
    name=ledger.IN_TEST,
    column="leak.test",
    absent=True,
    splits=_TRAIN_AND_DEV,
    source=f"a score on rows that were trained on says nothing; {FOLDING}",
)
IN_DEV = Rule(
    name=ledger.IN_DEV,
    column="leak.dev",
    absent=True,
    source=f"dev chooses, so it must not be trained on; {FOLDING}",
)
CONTAMINATED = Rule(
    name="contaminated",
    column="contamination.ngrams",
    high=0,
    source="a run of 13 words shared with a test or benchmark text (GPT-3, arXiv 2005.14165, C)",
    evidence=("contamination.against", "contamination.spans"),
)
BENCHMARK = Rule(
    name="equals-benchmark-row",
    column="contamination.whole",
    high=0,
    source=f"the row of a test or benchmark, whole; {FOLDING}",
    evidence=("contamination.against",),
)
NEAR = Rule(
    name="near-duplicate",
    column="near.survivor",
    absent=True,
    source="Jaccard of word 5-grams with a kept row at or over the threshold, verified exactly",
    evidence=("near.similarity",),
)
DISCLAIMER = Rule(
    name="disclaimer",
    column="disclaimer.count",
    high=0,
    source="an assistant that speaks of being one teaches the phrase, not the task",
    evidence=("disclaimer.spans",),
)
REFUSAL = Rule(
    name="refusal",
    column="disclaimer.refusals",
    high=0,
    source="an assistant that refuses; in no preset, for a refusal can be the answer that the task teaches",
    evidence=("disclaimer.spans",),
)


def _gopher() -> tuple[Rule, ...]:
    def rule(name: str, column: str, low: float | None = None, high: float | None = None) -> Rule:
        return Rule(name=f"gopher-{name}", column=column, low=low, high=high, source=GOPHER)

    quality = (
        rule("words", "quality.words", 50, 100_000),
        rule("word-length", "quality.mean_word_length", 3, 10),
        rule("hashes", "quality.hash_ratio", high=0.1),
        rule("ellipses", "quality.ellipsis_ratio", high=0.1),
        rule("bullets", "quality.bullet_lines", high=0.9),
        rule("ellipsis-lines", "quality.ellipsis_lines", high=0.3),
        rule("alphabetic", "quality.alphabetic_words", low=0.8),
        rule("stop-words", "quality.stop_words", low=2),
    )
    repetition = (
        rule("dup-lines", "repetition.dup_lines", high=0.30),
        rule("dup-paragraphs", "repetition.dup_paragraphs", high=0.30),
        rule("dup-line-chars", "repetition.dup_line_chars", high=0.20),
        rule("dup-paragraph-chars", "repetition.dup_paragraph_chars", high=0.20),
        *(rule(f"top-{n}gram", f"repetition.top_{n}gram", high=high) for n, high in ((2, 0.20), (3, 0.18), (4, 0.16))),
        *(
            rule(f"dup-{n}gram", f"repetition.dup_{n}gram", high=high)
            for n, high in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))
        ),
    )
    return repetition + quality


_C4 = (
    Rule(name="c4-curly-braces", column="c4.curly_braces", high=0, source=C4),
    Rule(name="c4-lorem-ipsum", column="c4.lorem_ipsum", high=0, source=C4),
    Rule(name="c4-sentences", column="c4.sentences", low=5, source=f"{C4}; lines need no end mark, as {FINEWEB}"),
)
_FINEWEB = (
    Rule(name="fineweb-terminal-lines", column="fineweb.terminal_lines", low=0.12, source=FINEWEB),
    Rule(name="fineweb-short-lines", column="fineweb.short_lines", high=0.67, source=FINEWEB),
    Rule(
        name="fineweb-dup-line-chars", column="fineweb.dup_line_chars", high=0.1, source=f"{FINEWEB}; its code has 0.01"
    ),
    Rule(name="fineweb-newlines", column="fineweb.newline_ratio", high=0.3, source=FINEWEB),
)
_LANGUAGE = Rule(name="language", column="language.probability", low=0.65, source=FINEWEB, evidence=("language.code",))

CONVERSATION = "conversation"
_ALWAYS: tuple[Step, ...] = (
    ("length", {}), ("language", {}), ("script", {}), ("disclaimer", {}), ("pii", {}), ("toxicity", {}), ("bias", {}),
    ("exact", {}), ("near", {}), ("boilerplate", {}), ("labels", {}),
)  # fmt: skip
"""What a look measures beside the columns that rules need."""

PRESETS: dict[str, Preset] = {
    "none": Preset(name="none", rules=(IN_TEST, IN_DEV, EMPTY), signals=_ALWAYS),
    "task": Preset(name="task", rules=(IN_TEST, IN_DEV, EMPTY, DUPLICATE), signals=_ALWAYS),
    "web": Preset(
        name="web",
        transforms=(
            ("html", {}),
            ("unicode", {}),
            ("whitespace", {}),
            ("c4-lines", {}),
            ("redact", {"kinds": ["email", "ip"]}),
        ),
        rules=(
            EMPTY,
            _LANGUAGE,
            *_gopher(),
            *_C4,
            *_FINEWEB,
            DUPLICATE,
            NEAR,
            IN_TEST,
            IN_DEV,
            BENCHMARK,
            CONTAMINATED,
        ),
        signals=(*_ALWAYS, ("c4", {"terminal_rule": False})),
    ),
}
"""What each preset of ``clean:`` stands for."""


_FURTHER = (
    Rule(
        name="label-suspect",
        column="labels.suspect",
        high=0,
        source="confident learning (arXiv 1911.00068): another label is likelier, out of fold",
        evidence=("labels.suggested", "labels.probability"),
    ),
    Rule(
        name="label-conflict",
        column="labels.conflict",
        high=0,
        source="the same text carries different labels",
        evidence=("labels.others",),
    ),
    Rule(
        name="toxic-words",
        column="toxicity.words",
        high=0,
        source="strong words of a list",
        evidence=("toxicity.spans",),
    ),
    Rule(name="personal-data", column="pii.count", high=0, source="personal data found", evidence=("pii.spans",)),
    Rule(name="chance-10", column="chance.value", low=0.1, source="a tenth of the rows by chance: a control"),
)
OPTIONAL: dict[str, Rule] = {
    rule.name: rule
    for rule in (*(one for found in PRESETS.values() for one in found.rules), DISCLAIMER, REFUSAL, BENCHMARK, *_FURTHER)
}
"""Every rule that ``clean: {rules: {NAME: true}}`` can add to a preset, by its name."""


def preset(name: str, kind: str | None = None) -> Preset:
    """The preset of a name, for a kind of task; :data:`CONVERSATION` stands for tasks of conversations.

    For ``generate`` the task preset also leaves out answers in which an assistant speaks of being one. Conversations
    and refusals stay: of 300 conversations with tools 27 would leave for a turn such as "as an AI, I don't have the
    capability to book flights; my function is ...", which is what such data teach, and their other turns with it.

    Raises:
        InputError: an unknown name, with the nearest.
    """
    if name not in PRESETS:
        raise InputError(f'clean.preset: "{name}" is not known; {nearest(name, list(PRESETS))}')
    found = PRESETS[name]
    if name == "task" and kind == "generate":
        return Preset(name=name, rules=(*found.rules, DISCLAIMER), signals=found.signals)
    return found
