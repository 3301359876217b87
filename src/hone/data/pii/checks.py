"""Check digits, by their public definitions. Each takes a string of digits (letters where said), separators removed."""

from __future__ import annotations

from datetime import date

_VERHOEFF_TIMES = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_VERHOEFF_MOVED = (
    "0123456789", "1576283094", "5803796142", "8916043527",
    "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip

_CF_ODD_LETTERS = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
_CF_ODD = dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", _CF_ODD_LETTERS, strict=True)) | dict(
    zip("0123456789", _CF_ODD_LETTERS[:10], strict=True)
)


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1 annex B, right for cards and Canadian insurance numbers."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0


def verhoeff(digits: str) -> bool:
    """J. Verhoeff, Error Detecting Decimal Codes (1969), for Indian Aadhaar numbers."""
    state = 0
    for place, digit in enumerate(reversed(digits)):
        state = int(_VERHOEFF_TIMES[state][int(_VERHOEFF_MOVED[place % 8][int(digit)])])
    return state == 0


def mod_97(iban: str) -> bool:
    """ISO 7064 mod 97-10 of an IBAN (capitals and digits), the first four moved to the end (ISO 13616)."""
    return int("".join(str(int(char, 36)) for char in iban[4:] + iban[:4])) % 97 == 1


def mod_11_10(digits: str) -> bool:
    """ISO 7064 mod 11,10, of the German tax number."""
    product = 10
    for digit in digits[:-1]:
        product = (int(digit) + product) % 10 or 10
        product = product * 2 % 11
    return (11 - product) % 10 == int(digits[-1])


def mod_11_2(code: str) -> bool:
    """ISO 7064 mod 11-2 of 17 digits and a digit or X: the Chinese resident number (GB 11643)."""
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(code[:17]))
    return "10X98765432"[total % 11] == code[17]


def weighted_mod_11(digits: str, weights: tuple[int, ...]) -> int:
    """The sum of digits times weights, modulo 11."""
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True)) % 11


def is_day(year: int, month: int, day: int) -> bool:
    """True for a day of the calendar."""
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def us_ssn(digits: str) -> bool:
    """No area 000, 666 or 900 and above, no group 00, no serial 0000 (US Social Security Administration)."""
    return digits[:3] not in {"000", "666"} and digits[0] != "9" and digits[3:5] != "00" and digits[5:] != "0000"


def es_letter(code: str) -> bool:
    """Spanish DNI (8 digits and a letter) and NIE (X, Y or Z for the first digit): the letter is the number mod 23."""
    number = code[:-1].translate(str.maketrans("XYZ", "012"))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == code[-1]


def it_cf(code: str) -> bool:
    """Italian codice fiscale, 16 characters: the last is a checksum of the others (D.M. 23/12/1976)."""
    total = sum(
        _CF_ODD[char] if place % 2 == 0 else int(char, 36) - 10 * char.isalpha() for place, char in enumerate(code[:15])
    )
    return chr(ord("A") + total % 26) == code[15]


def fr_nir(code: str) -> bool:
    """French social security number, 13 characters (2A, 2B: Corsica) and a key of two digits: 97 - number mod 97."""
    month = int(code[3:5])
    number = (
        int(code[:13].replace("2A", "19", 1).replace("2B", "18", 1)) if "A" in code or "B" in code else int(code[:13])
    )
    return (1 <= month <= 12 or 20 <= month <= 42 or month >= 50) and 97 - number % 97 == int(code[13:])


def de_tax(digits: str) -> bool:
    """German tax identification number: one digit twice or thrice among the first ten, then mod 11,10 (BZSt)."""
    most = sorted((digits[:10].count(digit) for digit in set(digits[:10])), reverse=True)
    return digits[0] != "0" and most[0] in {2, 3} and most[1] == 1 and mod_11_10(digits)


def nl_bsn(digits: str) -> bool:
    """Dutch citizen service number: the eleven test with weight -1 for the last digit."""
    return digits != "0" * 9 and weighted_mod_11(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) == 0


def br_cpf(digits: str) -> bool:
    """Brazilian CPF: two check digits modulo 11; eleven equal digits are not given out."""
    first = weighted_mod_11(digits[:9], tuple(range(1, 10))) % 10
    second = weighted_mod_11(digits[:10], tuple(range(10))) % 10
    return len(set(digits)) > 1 and digits[9:] == f"{first}{second}"


def in_aadhaar(digits: str) -> bool:
    """Indian Aadhaar: the first digit is 2 to 9, the last a Verhoeff digit (UIDAI)."""
    return digits[0] in "23456789" and digits != digits[::-1] and verhoeff(digits)


def ca_sin(digits: str) -> bool:
    """Canadian social insurance number: Luhn; 8 does not begin one (0 begins those of examples and forms)."""
    return digits[0] != "8" and luhn(digits)


def cn_resident(code: str) -> bool:
    """Chinese resident number: province, a day of birth, mod 11-2 (GB 11643-1999)."""
    born = is_day(int(code[6:10]), int(code[10:12]), int(code[12:14]))
    return code[0] in "12345678" and "1850" < code[6:10] < "2100" and born and mod_11_2(code)


def pl_pesel(digits: str) -> bool:
    """Polish PESEL: a day of birth with the century in the month, weights 1 3 7 9."""
    century = {0: 1900, 2: 2000, 4: 2100, 6: 2200, 8: 1800}[int(digits[2]) // 2 * 2]
    born = is_day(century + int(digits[:2]), int(digits[2:4]) % 20, int(digits[4:6]))
    weights = (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)
    return born and sum(int(d) * w for d, w in zip(digits, weights, strict=True)) % 10 == 0


def be_national(digits: str) -> bool:
    """Belgian national register number: 97 - number mod 97, a 2 before it for who was born from 2000 on."""
    check, number = int(digits[9:]), digits[:9]
    return int(digits[2:4]) % 20 <= 12 and check in {97 - int(number) % 97, 97 - int("2" + number) % 97}


def ch_ahv(digits: str) -> bool:
    """Swiss AHV number: 756, nine digits and the check digit of EAN-13."""
    total = sum(int(digit) * (1, 3)[place % 2] for place, digit in enumerate(digits))
    return digits.startswith("756") and total % 10 == 0
