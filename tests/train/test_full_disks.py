"""Law 10 on a disk that is really full: a sentence, nothing lost, and the same weights when there is room again."""

from __future__ import annotations

from typing import Any

import pytest
from full_disks import PLACES, each_place
from small_runs import apart

from hone.errors import FailedError


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two"])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What runs say on a full disk by place."""
    places = PLACES if request.param == 1 else ("the tensors of a state", "the log")
    found = apart(each_place, str(tmp_path_factory.mktemp("disk")), request.param, places)
    if isinstance(found, str):
        pytest.skip(found)
    return found


def test_a_full_disk_is_a_sentence_and_loses_nothing(told: dict[str, Any]) -> None:
    whole = told.pop("whole")
    files = {
        "the start": " MB free, and ",
        "the tensors of a state": "could not write step-00000010 (",
        "the head of a state": "state.json (",
        "the best": "could not write best-00000005 (",
        "the record": "evaluations.json (",
        "the log": "metrics.jsonl: ",
        "the seconds at the end": "seconds.json (",
    }
    for place, found in told.items():
        assert isinstance(found["said"], str), place
        assert files[place] in found["said"], found["said"]
        assert "FailedError" in found["said"]
        begun = place != "the start"
        assert ("No space left on device" in found["said"]) == begun
        assert found["states"][:1] == ["step-00000005"] * begun, place
        assert found["record"] == ["evaluations.json"] * begun
        assert found["torn"] == ()
        assert found["again"] == whole, place
    assert FailedError("").exit_code == 3
