"""How far a certificate reaches: a model measured in a part of its context says so, on page, card and in JSON."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hone.deploy.artifact.card import card
from hone.deploy.artifact.making import export_certified
from hone.deploy.certificate.original import Original
from hone.deploy.certificate.page import page_of
from hone.deploy.certificate.reach import told_longest, told_reach
from hone.deploy.certificate.recertify import recertify
from hone.deploy.certificate.witness import Witness
from hone.deploy.gguf.writing import export
from hone.deploy.rendering import open_artifact
from hone.files import read_json
from hone.task.spec import Device


@pytest.fixture(scope="module")
def made(plain_model: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int]]:
    """An artifact of a model that takes 96 tokens, measured in 64; the lengths of the rows that were compared."""
    pytest.importorskip("xllamacpp")
    place = tmp_path_factory.mktemp("reach")
    folder, renderer = plain_model("extract")
    session = open_artifact(export(folder, "f32", place / "f32.gguf"), parallel=8)
    examples = [renderer.example(item["row"], item["fields"]) for item in read_json(folder / "hone.json")["examples"]]
    try:
        original = Original(logprobs=session.logprobs, generate=session.generate)
        witness = Witness(renderer=renderer, examples=examples, original=original, max_new_tokens=8)
        export_certified(folder, place / "toy", "f32", Device(context=64, prompt_tokens=16), witness)
    finally:
        session.close()
    return place / "toy", [len(one.ids) for one in examples]


def test_json_holds_both_contexts_and_the_longest_row(made: Any) -> None:
    folder, lengths = made
    found = read_json(folder / "certificate.json")["reach"]
    assert found == {"measured_context": 64, "model_context": 96, "longest_compared": max(lengths)}
    assert read_json(folder / "hone.json")["context"] == 96


def test_page_and_card_say_it_plainly(made: Any) -> None:
    folder, lengths = made
    said = "easured in a context of 64 tokens, of the 96 that the model takes"
    page = (folder / "certificate.html").read_text()
    assert said in page.partition("<section")[0], "in the box at the top"
    assert f"compared has {max(lengths)} tokens" in page
    told = (folder / "README.md").read_text()
    assert said in told
    assert f"compared has {max(lengths)} tokens" in told
    assert "texts of the task" not in page, "none was given"


def test_a_measurement_of_the_whole_context_claims_nothing_less(made: Any) -> None:
    folder, _ = made
    document = read_json(folder / "certificate.json")
    whole = {**document, "reach": {**document["reach"], "measured_context": 96}}
    assert told_reach(whole) == ""
    assert "of the 96" not in page_of(whole)
    older = {key: value for key, value in document.items() if key != "reach"}
    assert (told_reach(older), told_longest(older)) == ("", "")
    assert page_of(older)
    assert card("toy", read_json(folder / "hone.json"), older, folder / "model.gguf")


def test_measured_again_it_says_the_context_of_now_and_what_was_compared_then(made: Any, tmp_path: Path) -> None:
    folder = shutil.copytree(made[0], tmp_path / "toy")
    found = recertify(folder, device=Device(context=80, prompt_tokens=16), write=False).certificate
    assert found["reach"] == {"measured_context": 80, "model_context": 96, "longest_compared": max(made[1])}
    json.dumps(found, allow_nan=False)
