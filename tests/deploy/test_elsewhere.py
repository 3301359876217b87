"""Limits for devices of another class: a file's size decides, and of memory and times nothing is claimed from here."""

from __future__ import annotations

import pytest

from hone.deploy.artifact.side_by_side import _frontier
from hone.deploy.certificate.certify import certify
from hone.deploy.certificate.page import page_of
from hone.deploy.certificate.witness import Witness
from hone.deploy.elsewhere import blueprint_of_folder, planned_elsewhere, planned_line
from hone.deploy.measure import Figure, all_within
from hone.model.footprint import blueprint
from hone.model.presets import Shape
from hone.task.spec import Device

LIMITS = {"size_mb": 5.0, "ram_mb": 60.0, "first_token_ms": 50.0, "ms_per_token": 5.0}


@pytest.fixture(scope="module")
def certificate(built, artifacts):
    """Of an artifact that is small and quick here, for a phone on which it could not be less."""
    device = Device.model_validate({"class": "phone", "context": 64, "threads": 1, "prompt_tokens": 16, **LIMITS})
    return certify(artifacts["q8_0"], device, Witness(renderer=built.renderer, examples=built.examples, original=None))


def test_a_limit_is_kept_broken_or_not_known_and_only_what_is_known_decides():
    kept = Figure(name="size_mb", measured=1.0, limit=2.0)
    over = Figure(name="size_mb", measured=3.0, limit=2.0)
    unknown = Figure(name="ram_mb", measured=1.0, limit=2.0, elsewhere=True)
    free = Figure(name="ms_per_token", measured=1.0, limit=None, elsewhere=True)
    assert [one.within for one in (kept, over, unknown, free)] == [True, False, None, True]
    assert all_within([kept, free]) is True
    assert all_within([kept, unknown]) is None, "one limit is not known to be kept"
    assert all_within([over, unknown]) is False, "one limit is known to be broken, whatever the other is"
    assert all_within([free]) is None


def test_memory_and_times_of_this_machine_decide_nothing_for_a_phone(certificate):
    document = certificate.to_json()
    within = {one["name"]: one["within"] for one in document["budget"]}
    assert within == {"size_mb": True, "ram_mb": None, "first_token_ms": None, "ms_per_token": None}
    assert certificate.within_budget is None
    assert document["within_budget"] is None
    assert certificate.over_budget() == []


def test_the_page_says_that_only_such_a_device_can_tell(certificate):
    page = page_of({**certificate.to_json(), "status": "certified"})
    told = "phone&#x27;s limits of peak memory and first token and time per token, only such a device can tell"
    assert told in page
    assert page.count("not known: measured here") == 3
    assert "keeps the device" not in page
    assert 'class="limit"' not in page, "no line of a phone's limit among times of this machine"


def test_the_frontier_of_times_has_no_box_of_another_classs_limits(certificate, tmp_path):
    score = {"name": "accuracy", "mean": 0.9, "low": 0.8, "high": 0.95, "n": 100, "higher_is_better": True}
    by_size, by_time, _ = _frontier([("toy", tmp_path, {**certificate.to_json(), "score": score})]).split("</svg>")[-3:]
    assert "budget 5 MB" in by_size
    assert "budget" not in by_time
    assert 'class="box"' not in by_time


def test_a_size_over_the_limit_is_over_on_every_device(certificate):
    tight = tuple(
        Figure(name=one.name, measured=one.measured, limit=0.01, elsewhere=one.elsewhere) for one in certificate.budget
    )
    assert all_within(tight) is False


def test_a_model_folder_is_planned_as_its_shape_is(built):
    config = built.module.config
    shape = Shape(hidden=64, layers=2, heads=4, kv_heads=2, ffn=192, vocab=config.vocab_size, context=128, arch="llama")
    found, same = blueprint_of_folder(built.folder, 4096), blueprint(shape)
    assert dict(found.tensors) == dict(same.tensors)
    for name in ("layers", "hidden", "ffn", "heads", "kv_heads", "head_size", "vocab", "context", "tied", "writes"):
        assert getattr(found, name) == getattr(same, name), name


def test_the_plan_of_the_class_stands_beside_what_was_measured(built):
    device = Device.model_validate({"class": "phone", **LIMITS, "ram_mb": None})
    planned = planned_elsewhere(built.folder, "q8_0", device)
    assert planned is not None
    assert planned["class"] == "phone"
    assert planned["figures"].keys() == {"ram_mb", "first_token_ms", "ms_per_token"}, "the size is measured"
    assert planned["figures"]["ram_mb"]["limit"] is None
    time = planned["figures"]["ms_per_token"]
    assert (time["error_known"], time["high"]) == (False, None), "the published models are thousands of times as large"
    line = planned_line(planned)
    assert line.startswith("planned for phone, from published figures: first token ")
    assert "error not known beyond 100%" in line
    assert "memory" not in line, "it has no limit"
    assert planned_elsewhere(built.folder, "q8_0", Device(**LIMITS)) is None


def test_what_was_not_published_is_not_known(built):
    device = Device.model_validate({"class": "iphone-17-pro", "ram_mb": 60})
    planned = planned_elsewhere(built.folder, "int8", device)
    assert planned is not None
    assert planned["not_known"] == ["ram_mb"]
    assert "memory not known" in planned_line(planned)
