"""Payment card numbers and bank accounts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hone.data.pii.checks import luhn, mod_97
from hone.data.pii.words import LEFT, RIGHT, meaning, touches

CARD = re.compile(
    LEFT + r"(?<![.+])(?<!\d-)(?<!\d{4} )"
    r"(?:\d{13,19}|\d{4}([ \-])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{3})?|\d{4}([ \-])\d{6}\2\d{4,5})"
    r"(?![\-.]\d)(?! \d{4}(?!\d))" + RIGHT
)
# Issuer ranges: first digits and lengths (ISO/IEC 7812; the schemes' published ranges).
_ISSUERS = tuple(
    (re.compile(first), frozenset(lengths))
    for first, lengths in (
        (r"4", (13, 16, 19)),  # Visa
        (r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720", (16,)),  # Mastercard
        (r"3[47]", (15,)),  # American Express
        (r"6011|64[4-9]|65", (16, 17, 18, 19)),  # Discover
        (r"35(?:2[89]|[3-8])", (16, 17, 18, 19)),  # JCB
        (r"30[0-5]|3095|36|3[89]", (14, 16, 19)),  # Diners Club
        (r"62", (16, 17, 18, 19)),  # UnionPay
        (r"5018|5020|5038|5893|6304|6759|676[1-3]", (13, 14, 15, 16, 17, 18, 19)),  # Maestro
    )
)

IBAN = re.compile(
    r"[A-Z]{2}[0-9]{2}(?:([ \-\u00a0]?)[A-Z0-9]{4}(?:\1[A-Z0-9]{4}){1,7}(?:\1[A-Z0-9]{1,4})?)(?![A-Za-z0-9])"
)
_LOWER_IBAN = re.compile(IBAN.pattern.replace("A-Z]{2}", "a-z]{2}").replace("A-Z0-9]{", "a-z0-9]{"))
_HEX = re.compile("[0-9a-f]+")
# Characters of an account number by country (SWIFT IBAN registry).
_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE BI", 18: "DK FI FO GL NL FK SD", 19: "MK SI", 20: "AT BA EE KZ LT LU XK MN",
        21: "CH HR LI LV", 22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG LY YE",
        25: "PT ST", 26: "IS TR", 27: "FR GR IT MC MR SM DJ", 28: "AL AZ BY CY DO GT HU LB PL SV NI",
        29: "BR EG PS QA UA", 30: "JO KW MU", 31: "MT SC", 32: "LC", 33: "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip


# Countries whose accounts hold digits alone, and those with four letters (the bank) before them (the same registry).
_ALL_DIGITS = re.compile(
    "A[ET]|B[AE]|C[RZ]|D[EK]|E[ES]|F[IO]|GL|H[RU]|I[LS]|L[TY]|M[EN]|NO|P[LT]|RS|S[EIKO]|T[LN]|VA|XK"
)
_BANK_FIRST = re.compile("GB|IE|IQ|NL|VG")


def cards(text: str, low: int, high: int) -> Iterator[tuple[str, int, int]]:
    """Card numbers of a known issuer, of its lengths, with a right Luhn digit, and not called something else."""
    for found in CARD.finditer(text, low, high):
        digits = re.sub(r"\D", "", found.group())
        issued = any(first.match(digits) and len(digits) in lengths for first, lengths in _ISSUERS)
        if issued and luhn(digits) and len(set(digits)) > 1 and meaning(text, *found.span()) != "other":
            yield "card", *found.span()


def iban(text: str, start: int) -> tuple[str, int, int] | None:
    """The account number that begins at ``start``: its country's length, mod 97; spaced in fours or not at all.

    One in small letters has to look less like words and hashes, see :func:`_is_account`.
    """
    country = text[start : start + 2]
    length = _IBAN_LENGTHS.get(country.upper())
    found = (_LOWER_IBAN if country.islower() else IBAN).match(text, start) if length else None
    if found is None or length is None:
        return None
    end, held = start, 0
    while end < found.end() and held < length:  # what follows a spaced number may look like one more group of it
        held += text[end].isalnum()
        end += 1
    account = "".join(char for char in text[start:end] if char.isalnum())
    if account[2:4] in {"00", "01", "99"} or len(account) != length or touches(text, end):
        return None
    if country.islower() and not _is_account(account):
        return None
    return ("iban", start, end) if mod_97(account.upper()) else None


def _is_account(account: str) -> bool:
    """Digits where its country has digits, and elsewhere a quarter of them; no number in hexadecimal digits."""
    country, body = account[:2].upper(), account[4:]
    if _BANK_FIRST.match(country):
        return body[:4].isalpha() and body[4:].isdigit()
    if _ALL_DIGITS.match(country) or _HEX.fullmatch(account):
        return body.isdigit()
    return 4 * sum(map(str.isdigit, body)) >= len(body)
