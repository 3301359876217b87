"""All personal data of a text, and how to show it without showing it."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Iterator
from typing import NamedTuple

from hone.data.pii.addresses import addresses
from hone.data.pii.contacts import emails, phones
from hone.data.pii.keys import keys
from hone.data.pii.national import coded, numbers
from hone.data.pii.payment import cards, iban
from hone.data.pii.words import touches

KINDS = ("email", "phone", "ip", "card", "iban", "national_id", "key")
"""What is told apart in columns and markers. A span's kind may be finer: ``national_id.us_ssn``, ``key.aws``."""

# Six digits or more, with separators or capitals between them: what every number but an IP address has.
_STRETCH = re.compile(r"[0-9](?:[A-Z .\-/()\u00a0\u2010-\u2013]{0,7}[0-9]){5,}")
_DIGIT = re.compile("[0-9]")
_CODED = re.compile(r"[A-Z][A-Z][ \-]?[0-9][0-9]|[a-z][a-z][0-9][0-9]")
# What Japanese and Chinese keyboards write for ASCII letters, digits and the signs of numbers and addresses.
_WIDE = re.compile("[\uff08\uff09\uff0b\uff0d-\uff19\uff20-\uff3a\uff41-\uff5a]")
_NARROWED = {
    code: code - 0xFEE0
    for code in (0xFF08, 0xFF09, 0xFF0B, *range(0xFF0D, 0xFF1A), *range(0xFF20, 0xFF3B), *range(0xFF41, 0xFF5B))
}
_BY_DIGITS = (("phone", 7, phones), ("card", 13, cards), ("national_id", 7, numbers))
"""Kinds of numbers, the fewest digits of one, and who finds them."""
# Where two kinds claim the same characters, the one with more proof wins; then the longer.
_PROOF = {"key": 0, "email": 1, "iban": 2, "ip": 3, "card": 4, "national_id": 5, "phone": 6}


class Found(NamedTuple):
    """Personal data at ``text[start:end]``, in characters."""

    kind: str
    start: int
    end: int


def find(text: str, kinds: Collection[str] = KINDS) -> list[Found]:
    """Where a text holds personal data: spans that do not overlap, in order.

    Args:
        text: any text. Full-width letters, digits and signs are read as their ASCII forms, one for one; digits of
            other scripts (Arabic, Devanagari) are not.
        kinds: some of :data:`KINDS`.
    """
    if not text.isascii() and _WIDE.search(text):
        text = text.translate(_NARROWED)
    claims = [Found(*claim) for claim in _claims(text, kinds)]
    if len(claims) < 2:
        return claims
    claims.sort(key=lambda claim: (_PROOF[group(claim.kind)], claim.start - claim.end, claim.start))
    taken: list[Found] = []  # in order of their places
    for claim in claims:
        place = bisect_left(taken, claim.start, key=lambda other: other.start)
        after_one = place == 0 or taken[place - 1].end <= claim.start
        if after_one and (place == len(taken) or claim.end <= taken[place].start):
            taken.insert(place, claim)
    return taken


def _claims(text: str, kinds: Collection[str]) -> Iterator[tuple[str, int, int]]:
    if "email" in kinds and "@" in text:
        yield from emails(text)
    if "key" in kinds:
        yield from keys(text)
    if "ip" in kinds:
        yield from addresses(text)
    by_digits = [(least, by) for kind, least, by in _BY_DIGITS if kind in kinds]
    capitals = "iban" in kinds or "national_id" in kinds
    if by_digits or capitals:
        for stretch in _STRETCH.finditer(text):
            # A sign, a bracket or a letter before the first digit, and a letter after the last, belong to a number.
            low, high = max(0, stretch.start() - 3), min(len(text), stretch.end() + 3)
            digits = len(_DIGIT.findall(stretch.group()))
            for least, by in by_digits:
                if digits >= least:
                    yield from by(text, low, high)
            if capitals:
                yield from _after_capitals(text, max(0, low - 16), high, kinds)


def _after_capitals(text: str, low: int, high: int, kinds: Collection[str]) -> Iterator[tuple[str, int, int]]:
    for anchor in _CODED.finditer(text, low, high):
        start = anchor.start()
        if "iban" in kinds and not touches(text, start - 1) and (found := iban(text, start)):
            yield found
        if "national_id" in kinds and (found := coded(text, start)):
            yield found


def group(kind: str) -> str:
    """The member of :data:`KINDS` that a span's kind belongs to."""
    return kind.partition(".")[0]


def marker(kind: str) -> str:
    """What stands in a redacted text for data of a kind: ``<EMAIL>``, ``<NATIONAL_ID>``."""
    return f"<{group(kind).upper()}>"


def masked(kind: str, text: str) -> str:
    """Found data as it may be shown: kind, first and last character. Data of six characters or fewer shows neither."""
    seen = f"{text[0]}…{text[-1]}" if len(text) > 6 and not kind.startswith("key.private") else "…"
    return f"{kind} {seen} ({len(text)} characters)"
