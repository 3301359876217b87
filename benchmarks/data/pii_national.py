"""National identity numbers by their published definitions; see ``pii_cases.py``."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date

from pii_cases import DIGITS, UPPER, day, grouped, luhn_digit, some, verhoeff_digit

Rng = random.Random


def us_ssn(rng: Rng) -> str:
    """Area 001-899 without 666, group 01-99, serial 0001-9999 (SSA, randomised since 2011)."""
    area = rng.choice([n for n in range(1, 900) if n != 666])
    return f"{area:03d}-{rng.randrange(1, 100):02d}-{rng.randrange(1, 10000):04d}"


def uk_nino(rng: Rng) -> str:
    """Two letters, six digits, A to D (HMRC manual NIM39110)."""
    while True:
        first, second = rng.choice("ABCEGHJKLMNOPRSTWXYZ"), rng.choice("ABCEGHJKLMNPRSTWXYZ")
        if first + second not in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}:
            break
    number = first + second + some(rng, DIGITS, 6) + rng.choice("ABCD")
    return rng.choice([number, grouped(number, 2, 2, 2, 2, 1), number])


def es_dni(rng: Rng) -> str:
    """Eight digits; their remainder modulo 23 picks the letter (Ministerio del Interior)."""
    number = some(rng, DIGITS, 8)
    return f"{number}{rng.choice(['', '-', ''])}{'TRWAGMYFPDXBNJZSQVHLCKE'[int(number) % 23]}"


def es_nie(rng: Rng) -> str:
    """As DNI, with X, Y, Z standing for a first digit of 0, 1, 2."""
    first, number = rng.randrange(3), some(rng, DIGITS, 7)
    letter = "TRWAGMYFPDXBNJZSQVHLCKE"[int(f"{first}{number}") % 23]
    by = rng.choice(["", "-", ""])
    return f"{'XYZ'[first]}{by}{number}{by}{letter}"


def it_cf(rng: Rng) -> str:
    """Six letters of the name, year, month letter, day (women: 40 more), place, check letter (D.M. 23/12/1976)."""
    born = day(rng)
    consonants = "BCDFGLMNPRSTVZ"
    body = (
        some(rng, consonants, 6)
        + f"{born.year % 100:02d}{'ABCDEHLMPRST'[born.month - 1]}{born.day + 40 * rng.randrange(2):02d}"
        + rng.choice("ABCDEFGHILMZ")
        + f"{rng.randrange(1, 1000):03d}"
    )
    odd = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23]
    total = 0
    for place, char in enumerate(body, start=1):
        value = int(char) if char.isdigit() else ord(char) - ord("A")
        total += odd[value] if place % 2 else value
    return body + UPPER[total % 26]


def fr_nir(rng: Rng) -> str:
    """Sex, year, month, department, commune, order, and 97 minus the number modulo 97 (INSEE)."""
    born = day(rng)
    department = rng.choice([f"{n:02d}" for n in range(1, 96) if n != 20] + ["2A", "2B", "99"])
    born_where = f"{born.year % 100:02d}{born.month:02d}{department}{rng.randrange(1, 991):03d}"
    body = f"{rng.choice('12')}{born_where}{rng.randrange(1, 1000):03d}"
    # The number counts Corsica's departments as 19 and 18 (2A: minus one million, 2B: minus two, of those with 0).
    numeric = int(body[:5] + {"2A": "19", "2B": "18"}.get(department, department) + body[7:])
    number = f"{body}{97 - numeric % 97:02d}"
    return rng.choice([number, grouped(number, 1, 2, 2, 2, 3, 3, 2)])


def de_tax(rng: Rng) -> str:
    """Ten digits of which one occurs twice and one is missing, then ISO 7064 mod 11,10 (BZSt)."""
    while True:
        digits = rng.sample(DIGITS, 9)
        digits.insert(rng.randrange(10), rng.choice(digits))
        body = "".join(digits)
        if body[0] != "0":
            break
    product = 10
    for digit in body:
        total = (int(digit) + product) % 10
        product = (2 * (total or 10)) % 11
    check = 11 - product
    number = body + str(0 if check == 10 else check)
    return rng.choice([number, grouped(number, 2, 3, 3, 3)])


def nl_bsn(rng: Rng) -> str:
    """9 a + 8 b + ... + 2 h - i divisible by eleven (Rijksdienst voor Identiteitsgegevens)."""
    while True:
        digits = [rng.randrange(1, 10), *(rng.randrange(10) for _ in range(7))]
        check = sum((9 - i) * digit for i, digit in enumerate(digits)) % 11
        if check < 10:
            return "".join(map(str, digits)) + str(check)


def br_cpf(rng: Rng) -> str:
    """Nine digits and two remainders modulo eleven (Receita Federal)."""
    digits = [rng.randrange(10) for _ in range(9)]
    for size in (10, 11):
        total = sum(digit * (size - i) for i, digit in enumerate(digits))
        rest = total * 10 % 11
        digits.append(0 if rest == 10 else rest)
    number = "".join(map(str, digits))
    return f"{number[:3]}.{number[3:6]}.{number[6:9]}-{number[9:]}"


def in_aadhaar(rng: Rng) -> str:
    """Twelve digits, the first 2 to 9, the last by Verhoeff (UIDAI)."""
    body = rng.choice("23456789") + some(rng, DIGITS, 10)
    return grouped(body + verhoeff_digit(body), 4, 4, 4, by=rng.choice([" ", " ", "-"]))


def ca_sin(rng: Rng) -> str:
    """Nine digits by Luhn, the first of a province (Service Canada)."""
    body = rng.choice("1234567") + some(rng, DIGITS, 7)
    number = body + luhn_digit(body)
    return rng.choice([number, grouped(number, 3, 3, 3), grouped(number, 3, 3, 3, by="-")])


def pl_pesel(rng: Rng) -> str:
    """Day of birth with the century in the month, serial, weights 1 3 7 9 (Ministerstwo Cyfryzacji)."""
    born: date = day(rng)
    body = f"{born.year % 100:02d}{born.month + 20 * (born.year >= 2000):02d}{born.day:02d}{some(rng, DIGITS, 4)}"
    total = sum(int(digit) * (1, 3, 7, 9)[i % 4] for i, digit in enumerate(body))
    return body + str(-total % 10)


def be_national(rng: Rng) -> str:
    """yy.mm.dd-serial.check, 97 minus the rest of nine digits, with 2 before them from 2000 on (Rijksregister)."""
    born = day(rng)
    serial = f"{rng.randrange(1, 998):03d}"
    body = f"{born.year % 100:02d}{born.month:02d}{born.day:02d}{serial}"
    check = 97 - int(("2" if born.year >= 2000 else "") + body) % 97
    return f"{body[:2]}.{body[2:4]}.{body[4:6]}-{serial}.{check:02d}"


def ch_ahv(rng: Rng) -> str:
    """756, nine digits, EAN-13 check digit (ZAS)."""
    body = "756" + some(rng, DIGITS, 9)
    total = sum(int(digit) * (3 if i % 2 else 1) for i, digit in enumerate(body))
    return grouped(body + str(-total % 10), 3, 4, 4, 2, by=".")


def cn_resident(rng: Rng) -> str:
    """Region, day of birth, order, ISO 7064 mod 11-2 (GB 11643-1999)."""
    region = rng.choice(["110101", "310115", "440305", "510104", "330106", "420106"])
    body = f"{region}{day(rng):%Y%m%d}{rng.randrange(1, 1000):03d}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True)) % 11]


NATIONAL: dict[str, Callable[[Rng], str]] = {
    f"national_id.{make.__name__}": make
    for make in (
        us_ssn,
        uk_nino,
        es_dni,
        es_nie,
        it_cf,
        fr_nir,
        de_tax,
        nl_bsn,
        br_cpf,
        in_aadhaar,
        ca_sin,
        pl_pesel,
        be_national,
        ch_ahv,
        cn_resident,
    )
}

# Names by which a person would say what a bare number is.
SPOKEN = {
    "national_id.de_tax": ["Steuer-ID", "steuerliche Identifikationsnummer", "IdNr.", "German tax ID", "Steuer-IdNr"],
    "national_id.nl_bsn": ["BSN", "burgerservicenummer", "citizen service number", "bsn-nummer"],
    "national_id.ca_sin": ["SIN", "social insurance number", "NAS", "Social Insurance No."],
    "national_id.pl_pesel": ["PESEL", "numer PESEL"],
}
