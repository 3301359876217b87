"""Personal data replaced by markers that measure clean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from hone.data.pii.find import KINDS, find, marker
from hone.errors import InputError, nearest


@dataclass(frozen=True, kw_only=True, slots=True)
class Redact:
    """``jane@example.org`` becomes ``<EMAIL>``, and so on for each kind; see :mod:`hone.data.pii`."""

    kinds: Sequence[str] = KINDS
    """Which kinds are replaced, of email, phone, ip, card, iban, national_id and key."""

    name: ClassVar[str] = "redact"
    version: ClassVar[str] = "2"

    def __post_init__(self) -> None:
        if isinstance(self.kinds, str):
            raise InputError(f'redact: kinds is the text "{self.kinds}"; expected a list, such as [{self.kinds}]')
        object.__setattr__(self, "kinds", tuple(self.kinds))
        wrong = [f'redact: unknown kind "{kind}"; {nearest(kind, KINDS)}' for kind in self.kinds if kind not in KINDS]
        if wrong:
            raise InputError(wrong)

    @property
    def params(self) -> Mapping[str, Any]:
        """The kinds that are replaced."""
        return {"kinds": list(self.kinds)}

    def apply(self, text: str) -> str:
        """The text with markers in place of personal data."""
        return self.counted(text)[0]

    def counted(self, text: str) -> tuple[str, int]:
        """The text with markers, and how many spans they stand for."""
        replaced = 0
        # A marker changes what stands beside it, and so what else is found; each round leaves less to find.
        while spans := find(text, self.kinds):
            pieces, last = [], 0
            for kind, start, end in spans:
                pieces += [text[last:start], marker(kind)]
                last = end
            text = "".join(pieces) + text[last:]
            replaced += len(spans)
        return text, replaced
