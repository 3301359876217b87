"""Counts in sentences, and the threads that the environment asks for."""

from __future__ import annotations

import pytest

from hone.hardware import threads_to_use, usable_cores
from hone.wording import counted, every


def test_one_is_singular_and_none_is_not() -> None:
    assert [counted(count, "step") for count in (0, 1, 2, 1200)] == ["0 steps", "1 step", "2 steps", "1,200 steps"]
    assert counted(1, "row is", "rows are") == "1 row is"
    assert (every(1, "step"), every(400, "step")) == ("every step", "every 400 steps")


def test_threads_are_the_cores_or_fewer_where_the_environment_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = usable_cores()
    for asked, threads in (("1", 1), ("1,2", 1), (str(cores + 5), cores), ("0", cores), ("many", cores), ("", cores)):
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
        assert threads_to_use() == threads, asked
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert threads_to_use() == cores
