"""Is a base a base? A checkpoint that somebody has tuned carries their behaviour into whatever is trained on it.

What speaks for and against is gathered from its name, its card, its config, its files, its tokenizer, and from what it
does; each sign is a sentence that a person can check. A strong sign says what only tuning leaves behind; a weak one is
also found on bases now and then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from hone.model.signs import Sign, parent_of, written_signs

if TYPE_CHECKING:
    from hone.model.base import Base

Verdict = Literal["base", "tuned", "unclear"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Canvas:
    """What was found on a base."""

    reference: str
    verdict: Verdict
    """``tuned`` with a strong sign or several weak ones, ``unclear`` with one weak sign, ``base`` without."""
    parent: str | None
    """The model that it was made from, where its card or config names one."""
    evidence: tuple[Sign, ...]
    """Signs of tuning first, strong ones before weak ones; then what speaks for a base."""

    def lines(self) -> list[str]:
        """The verdict, its evidence and what to do, for people."""
        shown = [f"  {sign.where}: {sign.sentence}" for sign in self.evidence]
        if self.verdict == "base":
            return [f"base {self.reference}: nothing speaks against a blank canvas", *shown]
        word = "was tuned" if self.verdict == "tuned" else "may have been tuned"
        head = f"warning: {self.reference} {word} for something: what you train on it starts from that behaviour"
        start = f"start from it instead: base: {self.parent}" if self.parent else "take the base that it was made from"
        named = f"its own base is {self.parent}" if self.parent else "it does not say which base it was made from"
        return [head, *shown, f"  {named}; to start from a blank canvas, {start}"]

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "reference": self.reference,
            "verdict": self.verdict,
            "parent": self.parent,
            "evidence": [asdict(sign) for sign in self.evidence],
        }


def inspect(base: Base, *, behaviour: bool = True) -> Canvas:
    """Gather the evidence on a base.

    Args:
        base: opened; its module is loaded for the behaviour.
        behaviour: whether to try the model out (some seconds), or to read its files alone.
    """
    signs = written_signs(base)
    if behaviour:
        from hone.model.probe import behaviour_signs

        signs += behaviour_signs(base)
    return judged(base.reference, parent_of(base), signs)


def judged(reference: str, parent: str | None, signs: Sequence[Sign]) -> Canvas:
    """The verdict over signs: what speaks for a base outweighs one weak sign, never a strong one."""
    strong = [sign for sign in signs if sign.speaks == "tuned" and sign.strong]
    weak = [sign for sign in signs if sign.speaks == "tuned" and not sign.strong]
    good = [sign for sign in signs if sign.speaks == "base"]
    verdict: Verdict = "base"
    if strong or len(weak) - len(good) >= 2:
        verdict = "tuned"
    elif len(weak) > len(good):
        verdict = "unclear"
    return Canvas(reference=reference, verdict=verdict, parent=parent, evidence=(*strong, *weak, *good))
