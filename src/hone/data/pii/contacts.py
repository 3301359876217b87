"""E-mail addresses and phone numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hone.data.pii.words import LEFT, RIGHT, in_row, meaning

_LETTER = "A-Za-z\u00c0-\u024f"
"""Latin letters. Scripts that are written without spaces touch an address without being part of it."""
EMAIL = re.compile(
    rf"(?<![{_LETTER}0-9.+%'\-])(?<![{_LETTER}0-9]_)[{_LETTER}0-9](?:[{_LETTER}0-9_.+%'\-]{{0,62}}[{_LETTER}0-9_+\-])?"
    rf"@(?:[{_LETTER}0-9](?:[{_LETTER}0-9_\-]{{0,61}}[{_LETTER}0-9])?\.){{1,6}}(?:xn--[a-z0-9\-]{{2,}}|[{_LETTER}]{{2,24}})"
    rf"(?![{_LETTER}0-9@])(?!_[{_LETTER}0-9])"
)
_DOMAIN = re.compile(r"[^\W_][\w\-]{0,62}\.[^\W_]")
_NOT_DOMAINS = {
    "png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "js", "mjs", "ts", "css", "scss", "json", "html", "htm", "py",
    "yml", "yaml", "xml", "md", "txt", "jar", "so", "dll", "exe", "zip", "pdf", "local", "service", "target",
}  # fmt: skip
_IN_URL = re.compile(r"://[^\s/@\"'<>]*$")  # what follows is a user or a password, and no address

# National digits after the calling code (ITU-T E.164; national numbering plans). Others: 6 to 12.
_NATIONAL_DIGITS = {
    "1": (10, 10), "7": (10, 10), "20": (8, 10), "27": (9, 9), "30": (10, 10), "31": (9, 9), "32": (8, 9), "33": (9, 9),
    "34": (9, 9), "36": (8, 9), "39": (6, 11), "40": (9, 9), "41": (9, 9), "43": (7, 13), "44": (9, 10), "45": (8, 8),
    "46": (7, 10), "47": (8, 8), "48": (9, 9), "49": (6, 12), "52": (10, 11), "54": (10, 11), "55": (10, 11),
    "61": (9, 9), "64": (8, 10), "65": (8, 8), "66": (8, 9), "81": (9, 10), "82": (8, 10), "86": (9, 11),
    "90": (10, 10), "91": (10, 10), "351": (9, 9), "353": (7, 10), "358": (6, 11), "420": (9, 9), "421": (9, 9),
    "852": (8, 8), "971": (8, 9), "972": (8, 9),
}  # fmt: skip
_TWO_DIGIT_CODES = re.compile(r"2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]")
_THREE_DIGIT_CODES = re.compile(r"2[1-69]\d|3[578]\d|42[0-3]|5[09]\d|6[789]\d|8[058]\d|9[679]\d")

_GAP = r"[ \u00a0.\-\u2010-\u2013/]"
INTERNATIONAL = re.compile(
    rf"{LEFT}(?<!\+)\+[1-9]\d{{0,14}}(?:{_GAP}?\(\d{{1,5}}\){_GAP}?\d{{1,12}})?(?:{_GAP}\d{{1,12}}){{0,6}}{RIGHT}"
)
PREFIX_00 = re.compile(rf"{LEFT}(?<![.,\-])00[1-9]\d{{0,2}}(?:{_GAP}?\d{{1,8}}){{1,6}}{RIGHT}")
# Shapes that say "phone" by themselves: an area in brackets; 3-3-4 as in North America; a trunk 0 and groups.
_BEGIN, _END = rf"{LEFT}(?<![+.])(?<![\w.,][/\-])(?<!\d:)", rf"{RIGHT}(?!\()(?![./\-]\d)"
BRACKETS = re.compile(
    rf"{LEFT}(?<!\+)(?:1[ \-])?\((?:0[1-9]\d{{0,3}}|[1-9]\d{{1,4}})\){_GAP}?\d{{2,5}}(?:{_GAP}?\d{{2,5}}){{0,3}}{_END}"
)
AMERICAN = re.compile(rf"{_BEGIN}(?:1[\-. ])?[2-9]\d\d(?:([\-. ])[2-9]\d\d\1|/[2-9]\d\d-)\d{{4}}{_END}")
TRUNK = re.compile(rf"{_BEGIN}0[1-9]\d{{0,4}}(?:{_GAP}\d{{2,8}}){{1,5}}{_END}")
ANY = re.compile(rf"{_BEGIN}(?:\(\d+\){_GAP}?)?\d+(?:{_GAP}{{1,2}}\d+){{0,6}}{RIGHT}")
# What stands around numbers that are reckoned with, and before those that stand for a character.
_FORMULA_BEFORE = re.compile(r"(?:<<|[$€£#+]|\d ?[*\u00d7/+=] ?| [-+] )$")
_FORMULA_AFTER = re.compile(r" ?(?:[=%]|<<|[*\u00d7+] ?\d)")
# Days, spans of years and of hours, decimal numbers, and lists of short numbers.
_NO_PHONE = re.compile(
    r"\d{1,2}([./\- ])\d{1,2}\1(?:19|20)\d\d|(?:19|20)\d\d([./\- ])\d{1,2}\2\d{1,2}(?!\d)"
    r"|(?:1[0-9]|20)\d\d ?[\-\u2010-\u2013/] ?(?:1[0-9]|20)\d\d(?!\d)"
    r"|\d{1,2}[.:]\d\d ?[\-\u2010-\u2013] ?\d{1,2}[.:]\d\d"
    r"|\d+\.\d+$|\d(?: \d{1,4})+$"
)


def emails(text: str) -> Iterator[tuple[str, int, int]]:
    """Addresses of the form local@domain.tld; not ``name [at] domain``, nor a remote such as ``git@host:path``."""
    at, low = text.find("@"), 0
    while at >= 0:
        found = EMAIL.search(text, max(low, at - 64), min(len(text), at + 260)) if _DOMAIN.match(text, at + 1) else None
        if found is None or not found.start() < at < found.end():
            at = text.find("@", at + 1)
            continue
        start, low = found.span()
        address = found.group().lower()
        remote = address.startswith(("git@", "hg@", "svn@")) and text[low : low + 1] in {":", "/"}
        in_url = _IN_URL.search(text, max(0, start - 100), start) is not None
        if address.rpartition(".")[2] not in _NOT_DOMAINS and not remote and not in_url and ".." not in address:
            yield "email", start, low
        at = text.find("@", low)


def phones(text: str, low: int, high: int) -> Iterator[tuple[str, int, int]]:
    """Phone numbers in ``text[low:high]``, a stretch of digits and what stands between them.

    International ones (``+`` or ``00``) need an assigned calling code and a length that its plan allows. National ones
    need a telling shape, unless a word near them ("mobile", "Tel.") says what they are.
    """
    for found in INTERNATIONAL.finditer(text, low, high):
        if _calling_code(found.group()) and not _named_otherwise(text, *found.span()):
            yield "phone", *found.span()
    for found in PREFIX_00.finditer(text, low, high):
        if _calling_code(found.group()[2:]) and meaning(text, *found.span()) == "phone":
            yield "phone", *found.span()
    for pattern in (BRACKETS, AMERICAN, TRUNK):
        for found in pattern.finditer(text, low, high):
            said = _national(found.group(), pattern) and not _named_otherwise(text, *found.span())
            alone = pattern is BRACKETS or not in_row(text, *found.span())
            if said and alone and not _reckoned(text, *found.span()):
                yield "phone", *found.span()
    for found in ANY.finditer(text, low, high):
        number = found.group()
        digits = sum(char.isdigit() for char in number)
        said = 7 <= digits <= 13 and ("/" not in number or number[0] == "0") and not _NO_PHONE.match(number)
        if said and meaning(text, *found.span()) == "phone" and not _reckoned(text, *found.span()):
            yield "phone", *found.span()


def _calling_code(number: str) -> bool:
    digits = re.sub(r"\D", "", re.sub(r"\(0\)", "", number))
    for size in (1, 2, 3):
        code = digits[:size]
        assigned = (
            code in {"1", "7"} or bool(_TWO_DIGIT_CODES.fullmatch(code)) or bool(_THREE_DIGIT_CODES.fullmatch(code))
        )
        if assigned:
            low, high = _NATIONAL_DIGITS.get(code, (6, 12))
            trunk = digits[size : size + 1] == "0" and code != "39"
            national = len(digits) - size - trunk
            return low <= national <= high and (code != "1" or digits[1] in "23456789")
    return False


def _national(number: str, pattern: re.Pattern[str]) -> bool:
    digits = re.sub(r"\D", "", number)
    if pattern is AMERICAN:
        return True
    year = pattern is BRACKETS and re.match(r"\((?:19|20)\d\d\)", number) is not None
    postal = re.fullmatch(r"\d{5}-\d{4}", number) is not None  # the United States' ZIP+4
    return 9 <= len(digits) <= 11 and number.count("/") < 2 and not year and not postal and not _NO_PHONE.match(number)


def _reckoned(text: str, start: int, end: int) -> bool:
    return bool(_FORMULA_BEFORE.search(text, max(0, start - 4), start) or _FORMULA_AFTER.match(text, end))


def _named_otherwise(text: str, start: int, end: int) -> bool:
    return meaning(text, start, end) not in {None, "phone", "ip", "card", "version"}
