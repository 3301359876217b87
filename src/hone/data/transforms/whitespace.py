"""White space at the ends of lines and between paragraphs; the indentation of code stays."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from hone.errors import InputError

_LINE_ENDS = ("\r\n", "\r", "\u2028", "\u2029", "\x85")
_NO_BREAK = ("\u00a0", "\u202f", "\u2007")


@dataclass(frozen=True, kw_only=True, slots=True)
class Whitespace:
    """Line feeds alone end lines; no-break spaces become spaces; trailing spaces and long runs of empty lines go.

    Runs of spaces inside a line and at its beginning stay (tables, code); so does the ideographic space. Two trailing
    spaces, a line break in Markdown, go with the others.
    """

    blank_lines: int = 2
    """At most so many empty lines in a row; two is what separates functions in Python code."""

    name: ClassVar[str] = "whitespace"
    version: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        if self.blank_lines < 0:
            raise InputError(f"whitespace: blank_lines is {self.blank_lines}, but must be 0 or more")

    @property
    def params(self) -> Mapping[str, Any]:
        """How many empty lines may follow each other."""
        return {"blank_lines": self.blank_lines}

    def apply(self, text: str) -> str:
        """The text with its white space in order, without empty lines at its ends; a last line feed stays."""
        for end in _LINE_ENDS:
            text = text.replace(end, "\n")
        for space in _NO_BREAK:
            text = text.replace(space, " ")
        text = "\n".join([line.rstrip(" \t\f\v") for line in text.replace("\ufeff", "").split("\n")])
        last = "\n" if text.endswith("\n") else ""
        most = self.blank_lines + 1
        text = re.sub(rf"\n{{{most + 1},}}", "\n" * most, text.strip("\n"))
        return text + last if text else ""
