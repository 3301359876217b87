"""Unicode repair: text that was decoded wrongly, broken surrogates, control characters, line ends, NFC."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, ClassVar

_ROUNDS = 8
_REMEMBERED_CHARS, _REMEMBERED_LINES = 4_000, 1_000
# What is fine as it is: printable ASCII, tabs, line feeds. Most lines of most texts.
_PLAIN = re.compile(r"[\t\n\x20-\x7e]*+")

_CONFIG: dict[str, Any] = {
    "unescape_html": False,  # an entity in a text about HTML is meant
    "remove_terminal_escapes": True,
    "fix_encoding": True,  # the mojibake that ftfy is for
    "restore_byte_a0": True,
    "replace_lossy_sequences": True,
    "decode_inconsistent_utf8": True,
    "fix_c1_controls": True,
    "fix_latin_ligatures": False,  # NFC keeps them, and so do we
    "fix_character_width": False,  # full-width letters are how Japanese and Chinese write
    "uncurl_quotes": False,  # a curled quote is meant
    "fix_line_breaks": True,
    "fix_surrogates": True,
    "remove_control_chars": True,
    "normalization": "NFC",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Unicode:
    """ftfy with every option pinned, until nothing changes (R. Speer, ftfy, Zenodo 2591652).

    Emoji, quotes, ligatures, full-width letters and entities stay; text that was UTF-8 and read as something else is
    read anew; every line ends in a line feed; control characters other than tab go; the form is NFC.
    """

    name: ClassVar[str] = "unicode"
    version: ClassVar[str] = "1"

    @property
    def params(self) -> Mapping[str, Any]:
        """The options of ftfy, and its version, since its heuristics move with it."""
        import ftfy

        return {**_CONFIG, "ftfy": ftfy.__version__, "unicode": unicodedata.unidata_version}

    def apply(self, text: str) -> str:
        """The repaired text. Lines are repaired one by one, as ftfy does, and most need no look."""
        if _PLAIN.fullmatch(text):
            return text
        text = text.replace("\r\n", "\n")
        return "\n".join([line if _PLAIN.fullmatch(line) else _line(line) for line in text.split("\n")])


def _line(line: str) -> str:
    return _remembered(line) if len(line) <= _REMEMBERED_CHARS else _repaired(line)


@lru_cache(maxsize=_REMEMBERED_LINES)
def _remembered(line: str) -> str:
    # A page goes through the transforms again when a later one changed it, with nearly the same lines.
    return _repaired(line)


def _repaired(line: str) -> str:
    import ftfy

    for _ in range(_ROUNDS):  # a repair may uncover another one
        fixed = ftfy.fix_text(line, _config())
        if fixed == line:
            return line
        line = fixed
    return unicodedata.normalize("NFC", line)


@cache
def _config() -> Any:
    import ftfy

    return ftfy.TextFixerConfig(**_CONFIG, explain=False)
