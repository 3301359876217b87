"""Markers in place of personal data."""

from __future__ import annotations

import pytest

from hone.data.pii.find import KINDS, find, marker
from hone.data.transforms.redact import Redact
from hone.errors import InputError


def test_each_kind_has_its_marker() -> None:
    text = (
        "Write to jane@example.org or call +44 20 7946 0958 from 8.8.8.8; card 4111 1111 1111 1111, account "
        "DE89 3704 0044 0532 0130 00, SSN 123-45-6789, key AKIAIOSFODNN7EXAMPLE."
    )
    expected = "Write to <EMAIL> or call <PHONE> from <IP>; card <CARD>, account <IBAN>, SSN <NATIONAL_ID>, key <KEY>."
    assert Redact().counted(text) == (expected, 7)


@pytest.mark.parametrize("kind", KINDS)
def test_markers_measure_clean(kind: str) -> None:
    assert find(f"phone {marker(kind)}, api_key = {marker(kind)}, ip {marker(kind)}@{marker(kind)}.") == []


def test_only_the_kinds_asked_for_are_replaced() -> None:
    assert Redact(kinds=("email",)).apply("a@example.org 8.8.8.8") == "<EMAIL> 8.8.8.8"


def test_an_unknown_kind_is_named_with_the_nearest() -> None:
    with pytest.raises(InputError, match='unknown kind "emial"; did you mean "email"'):
        Redact(kinds=("emial",))
