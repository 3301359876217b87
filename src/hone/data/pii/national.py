"""National identity numbers: a table of formats, checks, and what must be said beside a weak one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hone.data.pii import checks
from hone.data.pii.words import LEFT, RIGHT, in_row, meaning, touches

_BEGIN, _END = rf"{LEFT}(?<!\+)(?<!\w[./\-])", rf"{RIGHT}(?![./\-]\w)"


@dataclass(frozen=True, kw_only=True, slots=True)
class NationalId:
    """One kind of number.

    ``strong`` is a form that says enough with its check; ``weak`` is one that a word beside it must name. ``check``
    takes the characters without separators.
    """

    name: str
    strong: re.Pattern[str] | None
    weak: re.Pattern[str] | None
    check: Callable[[str], bool]


def _kind(name: str, strong: str | None, weak: str | None, check: Callable[[str], bool]) -> NationalId:
    def whole(form: str | None) -> re.Pattern[str] | None:
        return None if form is None else re.compile(f"{_BEGIN}(?:{form}){_END}")

    return NationalId(name=name, strong=whole(strong), weak=whole(weak), check=check)


BY_DIGITS = (
    _kind("us_ssn", r"\d{3}-\d\d-\d{4}", r"\d{9}|\d{3}[ .]\d\d[ .]\d{4}", checks.us_ssn),
    _kind("es_dni", r"\d{8}[ \-]?[A-Z]|\d\d\.\d{3}\.\d{3}[ \-]?[A-Z]", None, checks.es_letter),
    _kind("es_nie", r"[XYZ][ \-]?\d{7}[ \-]?[A-Z]", None, checks.es_letter),
    _kind(
        "fr_nir",
        r"[1-478]\d{4}(?:\d\d|2[AB])\d{8}|[1-478]([ .\-])\d\d\1\d\d\1(?:\d\d|2[AB])\1\d{3}\1\d{3}[ .\-/]{1,3}\d\d",
        None,
        checks.fr_nir,
    ),
    _kind("de_tax", None, r"\d{11}|\d\d([ /.])\d{3}\1\d{3}\1\d{3}", checks.de_tax),
    _kind("nl_bsn", None, r"\d{9}|\d{3}[. \-]\d{3}[. \-]\d{3}|\d{4}[. \-]\d\d[. \-]\d{3}", checks.nl_bsn),
    _kind("br_cpf", r"\d{3}\.\d{3}\.\d{3}-\d\d", r"\d{9}-?\d\d|\d{3} \d{3} \d{3} \d\d", checks.br_cpf),
    _kind("in_aadhaar", r"\d{4}([ \-])\d{4}\1\d{4}", r"\d{12}", checks.in_aadhaar),
    _kind("ca_sin", None, r"\d{9}|\d{3}([ \-.])\d{3}\1\d{3}", checks.ca_sin),
    _kind("pl_pesel", None, r"\d{11}", checks.pl_pesel),
    _kind("be_national", r"\d\d\.\d\d\.\d\d-\d{3}[.\-]\d\d", r"\d{11}|\d{6}[ \-]\d{3}[ .\-]\d\d", checks.be_national),
    _kind("ch_ahv", r"756\.\d{4}\.\d{4}\.\d\d", r"756\d{10}|756 \d{4} \d{4} \d\d", checks.ch_ahv),
    _kind("cn_resident", r"[1-8]\d{16}[\dX]", None, checks.cn_resident),
)  # fmt: skip
"""Numbers that begin with a digit (NIE: with X, Y or Z)."""

NINO = re.compile(
    LEFT + r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]([ \-]?)\d\d\1\d\d\1\d\d\1[A-D]" + RIGHT
)
CODICE_FISCALE = re.compile(r"[A-Z]{3}([ ]?)[A-Z]{3}\1\d\d[A-EHLMPRST][0-7]\d\1[A-Z]\d{3}[A-Z]" + RIGHT)

_SEPARATORS = re.compile(r"[ .\-/]")


def numbers(text: str, low: int, high: int) -> Iterator[tuple[str, int, int]]:
    """National numbers in ``text[low:high]``, a stretch of digits and what stands between them."""
    for kind in BY_DIGITS:
        for form, weak in ((kind.strong, False), (kind.weak, True)):
            for found in () if form is None else form.finditer(text, low, high):
                code = _SEPARATORS.sub("", found.group())
                if (
                    kind.check(code)
                    and not in_row(text, *found.span())
                    and _said(meaning(text, *found.span()), kind.name, weak=weak)
                ):
                    yield f"national_id.{kind.name}", *found.span()


def _said(named: str | None, kind: str, *, weak: bool) -> bool:
    return named == kind if weak else named != "other"


def coded(text: str, start: int) -> tuple[str, int, int] | None:
    """A UK insurance number that begins at ``start``, or an Italian codice fiscale whose first digits follow there."""
    found = NINO.match(text, start)
    if found is not None and meaning(text, *found.span()) != "other":
        return "national_id.uk_nino", *found.span()
    for back in (4, 5):
        begin = start - back
        found = CODICE_FISCALE.match(text, begin) if begin >= 0 and not touches(text, begin - 1) else None
        if found is not None and checks.it_cf(found.group().replace(" ", "")):
            return "national_id.it_cf", *found.span()
    return None
