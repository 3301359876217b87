"""Which formats a solve tries and in which order, and that nothing that was made is lost on the way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import hone.solving.artifact as making
from hone.errors import FailedError
from hone.solving.artifact import formats_of_solve, work_each
from hone.task.spec import Device

WIDTH_32 = ["q8_0", "q5_0", "q4_0", "f16"]
"""What rows of 64 weights can have: blocks of 256 do not divide them."""


class Trier:
    """A bench whose formats come out as told: ``within``, ``over`` the budget, or ``apart`` from the original."""

    def __init__(self, folder: Path, outcomes: Mapping[str, str]) -> None:
        self.folder, self.outcomes = folder, outcomes
        self.tried: list[str] = []
        self.said: list[str] = []

    def make(self, name: str) -> tuple[Path, Any]:
        self.tried.append(name)
        outcome = self.outcomes[name]
        if outcome == "apart":
            raise FailedError("it does not match its original")
        (self.folder / name).mkdir()
        over = ["ram_mb: 70, at most 60"] if outcome == "over" else []
        return self.folder / name, SimpleNamespace(within_budget=not over, over_budget=lambda: over)

    def say(self, line: str) -> None:
        self.said.append(line)


def kept_of(trier: Trier) -> str:
    return making._first_within(trier, WIDTH_32)[0].name  # type: ignore[arg-type]


def test_over_the_budget_fewer_bits_follow_and_never_more(tmp_path: Path) -> None:
    trier = Trier(tmp_path, {"q8_0": "over", "q5_0": "over", "q4_0": "within"})
    assert kept_of(trier) == "q4_0"
    assert trier.tried == ["q8_0", "q5_0", "q4_0"]
    assert [path.name for path in tmp_path.iterdir()] == ["q4_0"]
    hopeless = Trier(tmp_path / "hopeless", dict.fromkeys(WIDTH_32, "over"))
    hopeless.folder.mkdir()
    assert kept_of(hopeless) == "q8_0"
    assert hopeless.tried == ["q8_0", "q5_0", "q4_0"]
    assert any("f16 with more bits are not tried" in line for line in hopeless.said)


def test_a_model_that_8_bits_harm_is_tried_in_more_bits_before_fewer(tmp_path: Path) -> None:
    trier = Trier(tmp_path, {"q8_0": "apart", "f16": "within"})
    assert kept_of(trier) == "f16"
    assert trier.tried == ["q8_0", "f16"]


def test_where_no_format_fits_the_smallest_that_can_store_the_model_is_tried(tmp_path: Path) -> None:
    def folder(width: int) -> Path:
        place = tmp_path / str(width)
        place.mkdir()
        shapes = {"model.embed_tokens.weight": (64, width), "model.norm.weight": (width,)}
        save_file({name: np.ones(shape, np.float32) for name, shape in shapes.items()}, place / "model.safetensors")
        return place

    device = Device(size_mb=0.001)
    assert formats_of_solve(folder(64), device) == ["q4_0"]
    assert formats_of_solve(folder(40), device) == ["f16"]
    assert formats_of_solve(tmp_path / "64", Device()) == WIDTH_32


def test_what_was_made_before_an_unexpected_end_is_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __init__(self, *_: Any) -> None: ...

        def make(self, name: str) -> tuple[Path, Any]:
            if name == "q4_0":
                raise RuntimeError("the disk went away")
            return tmp_path / name, SimpleNamespace(to_json=lambda: {"weights": name})

    monkeypatch.setattr(making, "Bench", Broken)
    kept: dict[str, Any] = {}
    with pytest.raises(RuntimeError, match="the disk went away"):
        work_each(
            SimpleNamespace(),  # type: ignore[arg-type]
            {"size": "quick", "formats": ["q8_0", "q4_0", "f16"]},
            lambda path, certificate: kept.update({path.name: certificate}),
        )
    assert kept == {"q8_0": {"weights": "q8_0"}}


def test_an_artifact_that_takes_the_name_of_an_older_one_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(model: Path, out: Path, *rest: Any, **named: Any) -> Any:
        out.mkdir(exist_ok=True)
        return SimpleNamespace(within_budget=None, over_budget=list)

    monkeypatch.setattr("hone.deploy.artifact.making.export_certified", export)
    monkeypatch.setattr("hone.solving.calibrating.prepared_for", lambda *given: None)
    said: list[str] = []
    bench = making.Bench.__new__(making.Bench)
    vars(bench).update(
        {"model": SimpleNamespace(path=tmp_path), "order": {"name": "voice"}, "out": tmp_path, "size": "quick"},
        device=Device(), _witness=None, _origin=None,
        _channel=SimpleNamespace(send=lambda message: said.append(message["line"])),
    )  # fmt: skip
    bench.make("q8_0")
    bench.make("q8_0")
    assert [line for line in said if "certified, " in line] == [
        "artifact q8_0: certified, and no budget is set",
        "artifact q8_0: certified, and no budget is set; voice-gguf-q8_0 of before is replaced",
    ]
