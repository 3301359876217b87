"""Write ``src/hone/data/kernels/scripts.py``: which letters belong to which script.

The standard library does not know the Unicode property Script; the package ``regex`` does. Only letters count
(marks and digits follow theirs), and what lies between two letters of one script is taken as that script's too, which
makes the table short and changes nothing for letters. Usage: python tools/make_scripts.py
"""

from __future__ import annotations

from pathlib import Path

import regex

TARGET = Path(__file__).resolve().parent.parent / "src" / "hone" / "data" / "kernels" / "scripts.py"
# The scripts recommended for identifiers and those of limited use (Unicode Standard Annex 31, tables 5 and 7).
NAMES = (
    "Latin", "Cyrillic", "Greek", "Han", "Hiragana", "Katakana", "Hangul", "Arabic", "Hebrew", "Devanagari",
    "Bengali", "Thai", "Armenian", "Georgian", "Gujarati", "Gurmukhi", "Tamil", "Telugu", "Kannada", "Malayalam",
    "Oriya", "Sinhala", "Lao", "Tibetan", "Myanmar", "Ethiopic", "Khmer", "Mongolian", "Bopomofo", "Thaana",
    "Cherokee", "Canadian_Aboriginal", "Syriac", "Yi", "Tifinagh", "Nko", "Javanese", "Balinese", "Sundanese",
    "Adlam", "Vai", "Tai_Le", "New_Tai_Lue", "Tai_Tham", "Cham", "Limbu", "Lisu", "Lepcha", "Batak", "Miao",
    "Meetei_Mayek", "Ol_Chiki", "Samaritan", "Mandaic", "Buginese", "Saurashtra", "Kayah_Li",
)  # fmt: skip
HEAD = '''"""Which letters belong to which script (Unicode's property Script). Written by ``tools/make_scripts.py``."""

from __future__ import annotations

# fmt: off
NAMES = (
{names}
)
"""The scripts that are known; the letters of others are ``Other``."""

RANGES = (
{rows}
)
"""First code point, last code point, index of the script; ascending, for letters alone."""
'''


def ranges() -> list[tuple[int, int, int]]:
    """Runs of letters of one script, ascending; letters of no or of several scripts (Common) are in none."""
    letters = [code for code in range(0x110000) if regex.match(r"\p{L}", chr(code))]
    text = "".join(map(chr, letters))
    known = {}
    for index, name in enumerate(NAMES):
        for run in regex.finditer(rf"\p{{Script={name}}}+", text):
            known.update(dict.fromkeys(letters[run.start() : run.end()], index))
    shared = {letters[at.start()] for at in regex.finditer(r"[\p{Script=Common}\p{Script=Inherited}]", text)}
    found: list[tuple[int, int, int]] = []
    for code in letters:
        index = -1 if code in shared else known.get(code, len(NAMES))
        if found and found[-1][2] == index:
            found[-1] = (found[-1][0], code, index)
        else:
            found.append((code, code, index))
    return [row for row in found if row[2] >= 0]


def _packed(cells: list[str]) -> str:
    lines = [""]
    for cell in cells:
        if len(lines[-1]) + len(cell) > 115:
            lines.append("")
        lines[-1] += f"{cell} "
    return "\n".join(f"    {line.rstrip()}" for line in lines)


if __name__ == "__main__":
    rows = [f"(0x{first:X}, 0x{last:X}, {index})," for first, last, index in ranges()]
    names = [f'"{name.replace("_", " ")}",' for name in (*NAMES, "Other")]
    TARGET.write_text(HEAD.format(names=_packed(names), rows=_packed(rows)), encoding="utf-8")
    print(f"written: {TARGET.name}, {len(rows)} runs of letters")
