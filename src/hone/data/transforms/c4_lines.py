"""Lines of pages that are no prose, by C4's line rules as FineWeb uses them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from hone.data.kernels.unspaced import longest_word, num_words
from hone.data.signals.c4 import CITATION, POLICY
from hone.errors import InputError

_BRACKET = re.compile(r"([\[\]])")
_SCRIPT = "javascript"


@dataclass(frozen=True, kw_only=True, slots=True)
class C4Lines:
    """C4's line rules without the one on end marks (Raffel et al. 2020, arXiv 1910.10683, 2.2; arXiv 2406.17557).

    Citations (``[12]``, ``[edit]``, ``[citation needed]``) go from the lines; then lines go that have fewer than
    ``min_words`` words, a word of more than ``max_word`` characters, ``javascript``, or a phrase of ``policy`` in any
    case. Empty lines have no words and go too, and lines lose the white space at their ends, as in C4's code. Words are
    those of ``str.split``, but each sign of a script without blanks (Chinese, Japanese, Thai) is one, so that no line
    goes because its language has no blanks.

    C4's code counts words before it takes citations away; here lines are judged as they will stand, else a second time
    would change more. A text that is one line of too few words is no page but a name or an answer, and stays.
    """

    min_words: int = 3
    max_word: int = 1000
    policy: Sequence[str] = POLICY
    javascript: bool = True
    citations: bool = True

    of_texts: ClassVar[bool] = True
    name: ClassVar[str] = "c4-lines"
    version: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        problems = [
            f"c4-lines: {name} is {value}, but must be {least} or more"
            for name, value, least in (("min_words", self.min_words, 0), ("max_word", self.max_word, 1))
            if value < least
        ]
        if isinstance(self.policy, str):
            problems.append(f'c4-lines: policy is the text "{self.policy}"; expected a list, such as [{self.policy}]')
        if problems:
            raise InputError(problems)
        object.__setattr__(self, "policy", tuple(phrase.lower() for phrase in self.policy))

    @property
    def params(self) -> Mapping[str, Any]:
        """The limits and phrases."""
        return {**asdict(self), "policy": list(self.policy)}

    def apply(self, text: str) -> str:
        """The lines that pass, without citations."""
        if self.citations and CITATION.search(text):
            text = _without_citations(text)
        lines = [line.strip() for line in text.split("\n")]
        if len(lines) == 1 and num_words(text) < self.min_words:
            return lines[0]
        whole = text.lower()
        phrases = [phrase for phrase in (*self.policy, *[_SCRIPT] * self.javascript) if phrase in whole]
        return "\n".join([line for line in lines if self._passes(line, phrases)]).strip()

    def _passes(self, line: str, phrases: Sequence[str]) -> bool:
        # What most lines are is asked first, and most cheaply.
        if len(line.split(None, self.min_words)) < self.min_words and num_words(line) < self.min_words:
            return False
        if len(line) > self.max_word and longest_word(line) > self.max_word:
            return False
        if not phrases:
            return True
        lowered = line.lower()
        return not any(phrase in lowered for phrase in phrases)


def _without_citations(text: str) -> str:
    """A text without citations, nor such as appear where one within went: ``[[1]2]``. One pass over its brackets."""
    kept: list[str] = []
    opened: list[int] = []  # where in ``kept`` each bracket stands that may still begin a citation
    for part in _BRACKET.split(text):
        kept.append(part)
        if part == "[":
            opened.append(len(kept) - 1)
        elif part == "]" and opened:
            start = opened.pop()
            if CITATION.fullmatch("".join(kept[start:])):
                del kept[start:]
            else:
                opened.clear()  # what is around this bracket will never be a citation either
    return "".join(kept)
