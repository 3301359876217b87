"""A group of forks: the first one speaks, all come to an end together, whatever happens to one of them."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from hone.attempts.launching import launch
from hone.errors import FailedError, HoneError, InputError
from hone.processes import Channel


def told(channel: Channel, order: dict[str, Any]) -> tuple[str, str, int]:
    channel.send({"kind": "line", "line": os.environ["RANK"]})
    return os.environ["RANK"], os.environ["WORLD_SIZE"], order["value"]


def one_dies(channel: Channel, order: dict[str, Any]) -> None:
    del channel, order
    if os.environ["RANK"] == "1":
        os._exit(9)
    time.sleep(60)


def one_is_refused(channel: Channel, order: dict[str, Any]) -> None:
    del channel, order
    if os.environ["RANK"] == "1":
        raise InputError("no such thing")
    raise RuntimeError("Connection closed by peer")


def until_asked(channel: Channel, order: dict[str, Any]) -> str:
    del order
    while not channel.should_stop():
        time.sleep(0.01)
    return "saved"


def test_the_first_of_a_group_speaks_and_answers() -> None:
    events: list[dict[str, Any]] = []
    assert launch("group", told, {"value": 7}, 2, on_event=events.append) == ("0", "2", 7)
    assert events == [{"kind": "line", "line": "0"}]


def test_a_process_that_died_takes_the_others_down_with_a_sentence() -> None:
    with pytest.raises(FailedError, match=r"process 1 of 2: .* before it had a result; the others were ended"):
        launch("group", one_dies, {}, 2)


def test_wrong_input_is_told_before_a_lost_neighbour() -> None:
    with pytest.raises(HoneError, match="no such thing") as caught:
        launch("group", one_is_refused, {}, 2)
    assert caught.value.exit_code == 2


def test_a_group_is_asked_to_save_and_end() -> None:
    assert launch("group", until_asked, {}, 2, should_stop=lambda: True) == "saved"
    with pytest.raises(KeyboardInterrupt):
        launch("group", until_asked, {}, 2, should_stop=lambda: True, patient=False)
