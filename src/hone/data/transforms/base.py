"""What a transform is: text in, better text out, and the same again the second time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable


@runtime_checkable
class Transform(Protocol):
    """Changes text. Applying it to its own output changes nothing (a second clean is a no-op)."""

    @property
    def name(self) -> str:
        """Under which it is known; in hone.yaml and in counts."""
        ...

    @property
    def version(self) -> str:
        """Raised whenever the same text would come out otherwise: part of the cache key."""
        ...

    @property
    def params(self) -> Mapping[str, Any]:
        """JSON values that change the output: part of the cache key."""
        ...

    def apply(self, text: str) -> str:
        """The transformed text."""
        ...


@runtime_checkable
class OfTexts(Protocol):
    """A transform that fits the texts which are measured alone, and no title, date or address beside them."""

    of_texts: ClassVar[bool]
