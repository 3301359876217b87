"""Labelled sentences with personal data, made from public specifications, and sentences that only look like it.

Nothing here is taken from the finder. Check digits are computed from their definitions; phone numbers are drawn from
numbering plans; keys from what their providers document. A number that its format alone cannot tell from an order
number (nine bare digits) stands in a sentence that names it, which a reader would need too; all others in any sentence.
"""

from __future__ import annotations

import random
import string
from dataclasses import dataclass
from datetime import date, timedelta

Rng = random.Random
DIGITS, UPPER, LOWER = string.digits, string.ascii_uppercase, string.ascii_lowercase
ALNUM = DIGITS + UPPER + LOWER


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A sentence. ``kind`` and ``value`` are None for one without personal data; ``what`` names the trap then."""

    text: str
    kind: str | None
    value: str | None
    what: str


def some(rng: Rng, alphabet: str, count: int) -> str:
    """So many characters of an alphabet."""
    return "".join(rng.choice(alphabet) for _ in range(count))


def grouped(text: str, *sizes: int, by: str = " ") -> str:
    """A string cut into groups of the sizes given."""
    ends = [sum(sizes[: index + 1]) for index in range(len(sizes))]
    return by.join(text[end - size : end] for size, end in zip(sizes, ends, strict=True))


# ------------------------------------------------------------------------------------------- check digits


def luhn_digit(body: str) -> str:
    """Every second digit from the right doubled, the sum filled up to a multiple of ten."""
    doubled = [int(d) * 2 if i % 2 == 0 else int(d) for i, d in enumerate(reversed(body))]
    return str(-sum(d // 10 + d % 10 for d in doubled) % 10)


def verhoeff_digit(body: str) -> str:
    """The dihedral group D5 multiplied out, with Verhoeff's permutation applied again and again."""

    def times(a: int, b: int) -> int:
        if a < 5:
            return (a + b) % 5 if b < 5 else 5 + (a + b - 5) % 5
        return 5 + (a - 5 - b) % 5 if b < 5 else (a - b) % 5

    def permuted(digit: int, often: int) -> int:
        for _ in range(often % 8):
            digit = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)[digit]
        return digit

    for last in range(10):
        state = 0
        for place, digit in enumerate(reversed(body + str(last))):
            state = times(state, permuted(int(digit), place))
        if state == 0:
            return str(last)
    raise AssertionError("the group has an inverse for each element")


def iban_of(country: str, account: str) -> str:
    """98 minus the number with 00 for its check digits, letters as 10 to 35, modulo 97."""
    spelled = "".join(str(ord(c) - 55) if c.isalpha() else c for c in account + country + "00")
    return f"{country}{98 - int(spelled) % 97:02d}{account}"


# ------------------------------------------------------------------------------------------- values by kind


def email(rng: Rng) -> str:
    """Local parts and hosts as people have them."""
    first = rng.choice(
        [
            "anna",
            "ben",
            "chloe",
            "dmitri",
            "elena",
            "farid",
            "grace",
            "hiro",
            "ines",
            "jonas",
            "kofi",
            "lena",
            "mateo",
            "nadia",
            "omar",
            "petra",
        ]
    )
    last = rng.choice(
        [
            "smith",
            "garcia",
            "müller",
            "tanaka",
            "okafor",
            "rossi",
            "novak",
            "dubois",
            "o'neil",
            "van-dijk",
            "lee",
            "silva",
        ]
    )
    last = last.replace("ü", "ue")
    local = rng.choice(
        ["{f}.{l}", "{f}_{l}", "{f}{n}", "{i}{l}", "{f}+{t}", "{l}-{f}", "{f}", "{F}.{L}", "{n}{f}"]
    ).format(
        f=first,
        l=last,
        i=first[0],
        n=rng.randrange(1, 2000),
        t=rng.choice(["news", "work", "shop1"]),
        F=first.title(),
        L=last.title(),
    )
    host = rng.choice(
        [
            "gmail.com",
            "mail.example.org",
            "uni-bonn.de",
            "bbc.co.uk",
            "acme.io",
            "my-shop.com.br",
            "x9.dev",
            "post.museum",
            "k12.wa.us",
            "firma24.at",
            "EXAMPLE.COM",
            "mx1.corp.internal.net",
        ]
    )
    return f"{local}@{host}"


def phone_international(rng: Rng) -> str:
    """E.164 numbers of a dozen countries, spaced in their ways."""
    d = lambda n: some(rng, DIGITS, n)  # noqa: E731
    first = rng.choice("23456789")
    by = rng.choice([" ", "-", ".", " "])
    forms = [
        f"+1{by}{first}{d(2)}{by}{rng.choice('23456789')}{d(2)}{by}{d(4)}",
        f"+1 ({first}{d(2)}) {rng.choice('23456789')}{d(2)}-{d(4)}",
        f"+1{first}{d(2)}{rng.choice('23456789')}{d(6)}",
        f"+44 20 7{d(3)} {d(4)}",
        f"+44 (0)20 7{d(3)} {d(4)}",
        f"+44 7{d(3)} {d(6)}",
        f"+447{d(9)}",
        f"+49 30 {d(3)}{d(4)}",
        f"+49 (0) 171 {d(7)}",
        f"+49 89/{d(6)}",
        f"+49-151-{d(8)}",
        f"+33 6 {d(2)} {d(2)} {d(2)} {d(2)}",
        f"+33 (0)1 {d(2)} {d(2)} {d(2)} {d(2)}",
        f"+336{d(8)}",
        f"+34 6{d(2)} {d(3)} {d(3)}",
        f"+34 91 {d(3)} {d(2)} {d(2)}",
        f"+39 06 {d(4)} {d(4)}",
        f"+39 3{d(2)} {d(7)}",
        f"+31 6 {d(8)}",
        f"+31 20 {d(3)} {d(4)}",
        f"+48 5{d(2)} {d(3)} {d(3)}",
        f"+46 70 {d(3)} {d(2)} {d(2)}",
        f"+91 9{d(4)} {d(5)}",
        f"+91-9{d(9)}",
        f"+55 11 9{d(4)}-{d(4)}",
        f"+55 (21) 9{d(4)}-{d(4)}",
        f"+52 55 {d(4)} {d(4)}",
        f"+61 4{d(2)} {d(3)} {d(3)}",
        f"+61 2 9{d(3)} {d(4)}",
        f"+81 3-5{d(3)}-{d(4)}",
        f"+81 90 {d(4)} {d(4)}",
        f"+86 13{d(1)} {d(4)} {d(4)}",
        f"+7 9{d(2)} {d(3)}-{d(2)}-{d(2)}",
        f"+65 9{d(3)} {d(4)}",
        f"+353 1 {d(3)} {d(4)}",
        f"+41 44 {d(3)} {d(2)} {d(2)}",
        f"+972 54-{d(3)}-{d(4)}",
        f"+234 80{d(1)} {d(3)} {d(4)}",
        f"+45 {first}{d(1)} {d(2)} {d(2)} {d(2)}",
    ]
    return rng.choice(forms)


def phone_national(rng: Rng) -> str:
    """National forms that a reader knows for phone numbers without a word beside them."""
    d = lambda n: some(rng, DIGITS, n)  # noqa: E731
    area, exchange = rng.choice("23456789") + d(2), rng.choice("23456789") + d(2)
    forms = [
        f"({area}) {exchange}-{d(4)}",
        f"({area}){exchange}-{d(4)}",
        f"{area}-{exchange}-{d(4)}",
        f"{area}.{exchange}.{d(4)}",
        f"1-800-{exchange}-{d(4)}",
        f"{area}/{exchange}-{d(4)}",
        f"020 7{d(3)} {d(4)}",
        f"(020) 7{d(3)} {d(4)}",
        f"07{d(3)} {d(6)}",
        f"0161 {rng.choice('23456789')}{d(2)} {d(4)}",
        f"030 {rng.choice('23456789')}{d(6)}",
        f"0171/{d(7)}",
        f"089-{rng.choice('23456789')}{d(6)}",
        f"(0221) {d(6)}",
        f"06 {d(2)} {d(2)} {d(2)} {d(2)}",
        f"01.{d(2)}.{d(2)}.{d(2)}.{d(2)}",
        f"06-{d(8)}",
        f"020-{d(3)} {d(4)}",
        f"(11) 9{d(4)}-{d(4)}",
        f"(02) 9{d(3)} {d(4)}",
        f"0{rng.choice('45')}{d(2)} {d(3)} {d(3)}",
        f"03-5{d(3)}-{d(4)}",
        f"090-{d(4)}-{d(4)}",
    ]
    return rng.choice(forms)


def phone_bare(rng: Rng) -> str:
    """Digits that only a word beside them makes a phone number."""
    d = lambda n: some(rng, DIGITS, n)  # noqa: E731
    forms = [
        f"{rng.choice('23456789')}{d(2)}{rng.choice('23456789')}{d(6)}",
        f"9{d(4)} {d(5)}",
        f"6{d(2)} {d(2)} {d(2)} {d(2)}",
        f"5{d(2)} {d(3)} {d(3)}",
        f"07{d(9)}",
        f"138 {d(4)} {d(4)}",
        f"{rng.choice('23456789')}{d(2)}-{d(4)}",
        f"{rng.choice('23456789')}{d(2)} {rng.choice('23456789')}{d(2)} {d(4)}",
    ]
    return rng.choice(forms)


def ipv4(rng: Rng) -> str:
    """Addresses of networks that are assigned to the public, first octets over 31."""
    first = rng.choice(
        [34, 35, 46, 52, 62, 77, 80, 81, 88, 93, 104, 109, 129, 141, 151, 160, 176, 185, 193, 195, 207, 213, 217]
    )
    return f"{first}.{rng.randrange(32, 64)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"


def ipv6(rng: Rng) -> str:
    """Global unicast of the registries' blocks, whole, shortened, upper case."""
    head = rng.choice(["2001:4860", "2a00:1450", "2606:4700", "2400:cb00", "2a02:26f0", "2804:14c", "2c0f:fb50"])
    group = lambda: f"{rng.randrange(1, 0xFFFF):x}"  # noqa: E731
    tail = rng.choice(
        [
            ":".join(group() for _ in range(6)),
            f"{group()}::{group()}",
            f":{group()}",
            f"{group()}:{group()}::{group()}:{group()}",
        ]
    )
    address = f"{head}:{tail}"
    return address.upper() if rng.random() < 0.2 else address


def card(rng: Rng) -> str:
    """Numbers of the schemes' ranges, with spaces, hyphens or nothing."""
    prefix, length = rng.choice(
        [
            ("4", 16),
            ("4", 16),
            ("4", 13),
            (f"5{rng.randrange(1, 6)}", 16),
            (str(rng.randrange(2221, 2721)), 16),
            ("34", 15),
            ("37", 15),
            ("6011", 16),
            (str(rng.randrange(644, 660)), 16),
            (str(rng.randrange(3528, 3590)), 16),
            (f"30{rng.randrange(6)}", 14),
            ("36", 14),
            ("62", 16),
            ("6759", 16),
        ]
    )
    body = prefix + some(rng, DIGITS, length - len(prefix) - 1)
    number = body + luhn_digit(body)
    by = rng.choice([" ", "-", "", ""])
    if by and length == 16:
        return grouped(number, 4, 4, 4, 4, by=by)
    if by and length in {14, 15}:
        return grouped(number, 4, 6, length - 10, by=by)
    return number


def iban(rng: Rng, either: str = UPPER + DIGITS) -> str:
    """Accounts by the registry's structures of twenty countries; ``either``: what stands where letters may."""
    structures = {
        "DE": "18n",
        "FR": "10n11c2n",
        "GB": "4a14n",
        "NL": "4a10n",
        "ES": "20n",
        "IT": "1a10n12c",
        "BE": "12n",
        "CH": "5n12c",
        "AT": "16n",
        "PL": "24n",
        "PT": "21n",
        "SE": "20n",
        "NO": "11n",
        "DK": "14n",
        "FI": "14n",
        "IE": "4a14n",
        "MT": "4a5n18c",
        "BR": "23n1a1c",
        "SA": "2n18c",
        "TR": "5n1n16c",
    }
    country = rng.choice(list(structures))
    account, count = "", ""
    for char in structures[country]:
        if char.isdigit():
            count += char
        else:
            account += some(rng, {"n": DIGITS, "a": UPPER, "c": either}[char], int(count))
            count = ""
    number = iban_of(country, account)
    if rng.random() < 0.5:
        return number
    return " ".join(number[i : i + 4] for i in range(0, len(number), 4))


def iban_small(rng: Rng) -> str:
    """Accounts as people type them into a chat: small letters, and digits wherever banks may have them."""
    return iban(rng, DIGITS).lower()


def wide(value: str) -> str:
    """Letters, digits and signs as Japanese and Chinese keyboards write them."""
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in value)


def phone_wide(rng: Rng) -> str:
    """International numbers in full-width digits."""
    return wide(phone_international(rng))


def small_codes(rng: Rng) -> str:
    """Hashes and identifiers in small letters that begin as an account of their length does, and no account."""
    country, length = rng.choice([("de", 22), ("be", 16), ("ee", 20), ("ba", 20), ("gb", 22), ("mt", 31), ("no", 15)])
    alphabet = "0123456789abcdef" if country in {"de", "be", "ee", "ba"} else DIGITS + UPPER.lower()
    code = f"{country}{some(rng, DIGITS, 2)}{some(rng, alphabet, length - 4)}"
    return rng.choice(["commit {}", "{}", "see {}.html", "object {} was not found", "no20 {} ways that work"]).format(
        code
    )


def day(rng: Rng) -> date:
    """A day of birth."""
    return date(1935, 1, 1) + timedelta(days=rng.randrange(75 * 365))
