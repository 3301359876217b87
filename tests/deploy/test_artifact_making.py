"""An artifact is a folder that appears whole or not at all, and is opened only while it is unchanged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

import hone
from hone.cli import main
from hone.deploy import rendering
from hone.deploy.artifact import making
from hone.deploy.artifact.card import add_test, card, write_card
from hone.deploy.artifact.describing import About, Origin, base_name, description, licence_of
from hone.deploy.artifact.folder import check_whole, is_artifact, model_file, whole_model_file
from hone.deploy.artifact.golden import _sure, golden_problems
from hone.deploy.artifact.making import export_certified
from hone.deploy.certificate.original import Original
from hone.deploy.certificate.recertify import recertify
from hone.deploy.certificate.witness import Witness
from hone.deploy.gguf.writing import export
from hone.deploy.process import FreshProcess
from hone.deploy.rendering import open_artifact
from hone.deploy.runtime import runtime
from hone.deploy.tensors import Tensors
from hone.errors import FailedError, InputError
from hone.evaluate.generate import Generation
from hone.files import file_hash, part_folder, write_json
from hone.serve.server import run_server
from hone.task.scores import Score
from hone.task.spec import Device

pytest.importorskip("xllamacpp")
DEVICE = Device(context=96, prompt_tokens=16)
FILES = ["Modelfile", "README.md", "certificate.html", "certificate.json", "golden.json", "hone.json", "model.gguf"]
RUNNERS = ["check.mjs", "check.py", "run.mjs", "run.py", "tokenizer.mjs"]


@pytest.fixture(scope="module")
def model(plain_model):
    return plain_model("extract")


@pytest.fixture(scope="module")
def witness(model, tmp_path_factory):
    """The original is the same model in 32 bits: what an artifact in 8 is compared with, without torch."""
    folder, renderer = model
    session = open_artifact(export(folder, "f32", tmp_path_factory.mktemp("original") / "f32.gguf"), parallel=8)
    stored = json.loads((folder / "hone.json").read_text())["examples"]
    yield Witness(
        renderer=renderer,
        examples=[renderer.example(item["row"], item["fields"]) for item in stored],
        original=Original(logprobs=session.logprobs, generate=session.generate),
        max_new_tokens=12,
    )
    session.close()


@pytest.fixture(scope="module")
def made(model, witness, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("artifacts") / "toy-gguf-f32"
    origin = Origin(run="0007-wider", data_licences={"cc-by-4.0": 8}, schema={"type": "object"})
    assert export_certified(model[0], out, "f32", DEVICE, witness, origin=origin).status == "certified"
    return out


@pytest.fixture
def copied(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / made.name))


def test_the_folder_holds_what_an_application_needs_and_nothing_beside_it(made):
    assert sorted(path.name for path in made.iterdir()) == sorted([*FILES, *RUNNERS, "tokenizer.json"])
    assert [path.name for path in made.parent.iterdir()] == [made.name]


def test_hone_json_says_what_the_model_is_and_hashes_every_file(made, model):
    said = json.loads((made / "hone.json").read_text())
    assert (said["runtime"], said["weights"], said["kind"], said["task"]) == ("gguf", "f32", "extract", "toy")
    assert said["renderer"] == model[1].to_json()
    assert said["stop_ids"] == [model[1].end_id]
    assert said["context"] == 96
    assert said["vocab_size"] == model[1].tokenizer.vocab_size
    assert said["schema"] == {"type": "object"}
    assert said["lineage"]["run"] == "0007-wider"
    assert said["hashes"]["model"] == file_hash(made / "model.gguf")
    hashed = {path.name for path in made.iterdir()} - {"hone.json", "README.md", "certificate.json", "certificate.html"}
    assert said["files"] == {name: file_hash(made / name) for name in hashed}
    assert (made / "tokenizer.json").read_bytes() == (model[0] / "tokenizer.json").read_bytes()


def test_the_card_names_licences_lineage_figures_and_commands(made):
    card = (made / "README.md").read_text()
    for part in (
        "cc-by-4.0 (8 rows)",
        "0007-wider",
        "f" * 12,
        "certified",
        "first token, ms",
        "run.py",
        "ollama create",
    ):
        assert part in card


def head_of(card: str) -> dict[str, object]:
    return yaml.safe_load(card.split("---")[1])


@pytest.mark.parametrize(
    ("base", "head"),
    [
        ({"name": "owner/model", "licence": "apache-2.0"}, {"license": "apache-2.0"}),
        ({"name": "owner/model", "licence": "Own: terms"}, {"license": "other", "license_name": "Own: terms"}),
        ({"name": "owner/model"}, {}),
        ({"name": "scratch:1m"}, {}),
    ],
)
def test_a_card_states_the_licence_that_the_base_states_and_no_other(made, base, head):
    """A model that was trained from nothing is its maker's, who states one or none; so its card names none."""
    said = json.loads((made / "hone.json").read_text()) | {"base": base, "licence": licence_of(base)}
    text = card("toy", said, None, made / "model.gguf")
    assert {key: value for key, value in head_of(text).items() if key.startswith("license")} == head
    assert licence_of(base) in text


@pytest.mark.parametrize("name", ["my: model", "owner/#1", "one\nlicense: mit", "- [x", '"'])
def test_a_bases_name_is_one_value_of_the_cards_head_whatever_is_in_it(made, name):
    base = {"name": name, "licence": "apache-2.0"}
    said = json.loads((made / "hone.json").read_text()) | {"base": base, "licence": licence_of(base)}
    head = head_of(card("toy", said, None, made / "model.gguf"))
    assert (head["base_model"], head["license"]) == (name, "apache-2.0")


def test_the_sealed_tests_score_stands_in_the_card_and_stays_there(copied):
    test = {
        "score": Score(name="accuracy", mean=0.5, low=0.1, high=0.9, n=2).to_json(),
        "readings": 2,
        "artifact": copied.name,
    }
    add_test(copied, test)
    said = "by this artifact itself on the sealed test, which nothing was chosen on; that test was read 2 times"
    assert said in (copied / "README.md").read_text()
    assert recertify(copied, write=True).certificate["test"] == test
    write_card(copied)
    assert said in (copied / "README.md").read_text()
    check_whole(copied)


def test_golden_vectors_are_answered_by_the_artifact_itself(made, witness):
    golden = json.loads((made / "golden.json").read_text())
    assert [item["row"] for item in golden["vectors"]] == [f"dev:{number}" for number in range(8)]
    assert {item["by"] for item in golden["vectors"] if item["sure"]} == {"original"}
    with FreshProcess(made, threads=1, context=96) as session:
        assert golden_problems(session, golden) == []
        golden["vectors"][0]["ids"][0] += 1
        golden["vectors"][0]["sure"] = 1
        golden["texts"][2]["ids"] += [0]
        problems = golden_problems(session, golden)
    assert len(problems) == 2
    assert "the text 'plain words' has the ids" in problems[0]
    assert problems[1].startswith("row dev:0: the answer begins with")


def test_an_answer_that_ties_at_its_first_token_is_one_of_those_that_tie():
    """What a session reads in rows of four words: two of them tie, then one stands clear."""
    rows = np.log(np.array([[0.01, 0.49, 0.49, 0.01], [0.97, 0.01, 0.01, 0.01]]))
    session = SimpleNamespace(logprobs=lambda ids: [rows[: len(ids[0])]])
    assert _sure(session, [3], [1, 0], 0.1) == (0, [1, 2])
    assert _sure(session, [3], [1], 0.1) == (0, [1, 2])
    item = {"row": "dev:0", "prompt_ids": [3], "ids": [1, 0], "sure": 0, "tied": [1, 2]}
    golden = {"texts": [], "vectors": [item], "max_new_tokens": 2, "end_id": 0}
    for answered, is_right in (([1], True), ([2, 3], True), ([3, 1], False), ([], False)):
        done = Generation(ids=tuple(answered), finished=len(answered) < 2)
        session = SimpleNamespace(generate=lambda prompts, done=done, **asked: [done])
        assert (golden_problems(session, golden) == []) is is_right


@pytest.mark.parametrize("opening", ["folder", "file"])
def test_folder_and_model_file_open_alike(made, opening):
    with FreshProcess(made if opening == "folder" else made / "model.gguf", threads=1, context=96) as session:
        assert session.metadata("hone.task") == "toy"


def test_a_flipped_byte_is_a_sentence_and_not_an_answer(copied):
    file = copied / "model.gguf"
    data = bytearray(file.read_bytes())
    data[-100] ^= 1
    file.write_bytes(data)
    for opened in (copied, file):
        with pytest.raises(FailedError, match=r"model\.gguf has SHA-256 .* was certified: it has changed"):
            open_artifact(opened)
        with pytest.raises(FailedError, match="it has changed or was not copied whole"):
            FreshProcess(opened, threads=1, context=96)


def test_changed_and_missing_files_are_all_named(copied):
    check_whole(copied)
    (copied / "run.py").write_text("print('hello')\n")
    (copied / "golden.json").unlink()
    with pytest.raises(FailedError, match=r"golden\.json is missing.*run\.py has SHA-256"):
        check_whole(copied)
    assert whole_model_file(copied).name == "model.gguf"


def test_what_is_no_artifact_is_refused(tmp_path):
    assert not is_artifact(tmp_path)
    with pytest.raises(InputError, match=r"holds one of model\.gguf, model\.onnx; found neither"):
        model_file(tmp_path)
    with pytest.raises(InputError, match="there is no such artifact"):
        model_file(tmp_path / "none")
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(FailedError, match=r"has no hone\.json"):
        whole_model_file(tmp_path)


def test_a_failed_export_leaves_nothing_and_an_older_artifact_stays(model, witness, copied, monkeypatch):
    before = {path.name: path.read_bytes() for path in copied.iterdir()}
    read, swapped = Tensors.read, {f"model.layers.{at}.mlp.gate_proj.weight": f"model.layers.{1 - at}" for at in (0, 1)}

    def swap(self, name):
        return read(self, f"{swapped[name]}.mlp.gate_proj.weight" if name in swapped else name)

    monkeypatch.setattr(Tensors, "read", swap)
    for out in (copied, copied.with_name("other")):
        with pytest.raises(FailedError, match=r"does not match its original: .*divergence"):
            export_certified(model[0], out, "f32", DEVICE, witness)
    assert {path.name: path.read_bytes() for path in copied.iterdir()} == before
    assert [path.name for path in copied.parent.iterdir()] == [copied.name]


def test_an_error_in_the_last_file_leaves_nothing(model, witness, tmp_path, monkeypatch):
    def full(folder):
        raise FailedError("the disk is full")

    monkeypatch.setattr(making, "write_card", full)
    with pytest.raises(FailedError, match="the disk is full"):
        export_certified(model[0], tmp_path / "toy", "f32", DEVICE, witness)
    assert list(tmp_path.iterdir()) == []


def test_a_base_is_named_without_this_machines_folders(tmp_path):
    assert base_name(str(tmp_path / "smollm")) == "smollm"
    assert base_name("owner/model") == "owner/model"
    assert base_name("scratch:1m") == "scratch:1m"


@pytest.mark.parametrize(("name", "weights"), [("gguf", "f32"), ("onnx", "fp32")])
def test_no_file_of_an_artifact_names_a_folder_of_this_machine(model, tmp_path, name, weights):
    hone = json.loads((model[0] / "hone.json").read_text()) | {"base": str(tmp_path / "clients" / "smollm")}
    folder = Path(shutil.copytree(model[0], tmp_path / "model"))
    write_json(folder / "hone.json", hone)
    out = tmp_path / "artifact"
    out.mkdir()
    file = runtime(name).export(folder, weights, out / "model.gguf" if name == "gguf" else out)
    assert b"smollm" in file.read_bytes()
    for written in out.iterdir():
        assert str(tmp_path).encode() not in written.read_bytes()


def test_an_export_clears_what_a_killed_one_left_and_leaves_a_running_one_alone(model, witness, tmp_path):
    (tmp_path / ".part-toy-abc" / "toy").mkdir(parents=True)
    with part_folder(tmp_path / "other") as running:
        export_certified(model[0], tmp_path / "toy", "f32", DEVICE, witness)
        assert sorted(tmp_path.iterdir()) == [running, tmp_path / "toy"]


@pytest.fixture(scope="module")
def beside(model, tmp_path_factory) -> Path:
    """An ONNX artifact, whose ids come from the tokenizer beside its model; without a certificate."""
    out = tmp_path_factory.mktemp("onnx") / "toy-onnx-fp32"
    out.mkdir()
    runtime("onnx").export(model[0], "fp32", out)
    about = About(runtime="onnx", weights="fp32", how="", origin=Origin())
    write_json(out / "hone.json", description(model[0], out, about))
    return out


def test_a_changed_tokenizer_is_refused_wherever_an_artifact_is_opened(beside, tmp_path):
    copied = Path(shutil.copytree(beside, tmp_path / "copied"))
    tokenizer = json.loads((copied / "tokenizer.json").read_text())
    words = tokenizer["model"]["vocab"]
    words["y"], words["4"] = words["4"], words["y"]
    write_json(copied / "tokenizer.json", tokenizer)
    for ask in (open_artifact, hone.load, lambda path: FreshProcess(path, threads=1, context=96), run_server):
        with pytest.raises(FailedError, match=r"tokenizer\.json has SHA-256 .* it has changed"):
            ask(copied)


def test_a_server_refuses_stored_examples_that_render_differently(beside, tmp_path, monkeypatch):
    monkeypatch.setattr(rendering, "example_problems", lambda session: ["row dev:1: id 0 is 3, stored 4"])
    with pytest.raises(FailedError, match="does not render as its model was trained: row dev:1"):
        run_server(beside)


def test_whoever_asks_an_artifact_that_is_not_certified_is_told_so(made, copied, beside, capsys):
    lines = []
    hone.load(made, say=lines.append).close()
    assert lines == []
    hone.load(beside, say=lines.append).close()
    certificate = json.loads((copied / "certificate.json").read_text())
    write_json(copied / "certificate.json", certificate | {"status": "converted", "failures": ["too slow", "too big"]})
    hone.load(copied, say=lines.append).close()
    assert lines == [
        "toy-onnx-fp32 has no certificate: nothing says that it answers as its original does",
        "toy-gguf-f32 is converted, not certified: too slow",
    ]
    with pytest.warns(UserWarning, match="not certified: too slow"):
        hone.load(copied).close()
    assert main(["prompt", str(copied), "play", "--max-tokens", "2"]) == 0
    assert lines[1] in capsys.readouterr().err
