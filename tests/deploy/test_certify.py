"""Law 8: certified only when the artifact's own runtime, in a fresh process, matched the original."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hone.deploy.artifact.making import export_certified, formats_to_try
from hone.deploy.certificate import certify as certify_room
from hone.deploy.certificate.certify import Witness, certificate_path, certify, read_certificate
from hone.deploy.certificate.original import Original, original_of
from hone.deploy.certificate.parity import Case, compare
from hone.deploy.gguf import writing as writer
from hone.deploy.process import FreshProcess
from hone.deploy.weights import FORMATS
from hone.errors import FailedError
from hone.evaluate.generate import Generation
from hone.task.spec import Device

pytest.importorskip("xllamacpp")
DEVICE = Device(context=128, prompt_tokens=16, size_mb=5, ram_mb=150)


@pytest.fixture(scope="module")
def witness(built):
    original = original_of(built.module)
    return Witness(renderer=built.renderer, examples=built.examples, original=original, max_new_tokens=10)


def test_a_faithful_artifact_is_certified_and_the_certificate_lies_beside_it(built, witness, tmp_path):
    out = tmp_path / "artifacts" / "toy-gguf-q8_0"
    certificate = export_certified(built.folder, out, "q8_0", DEVICE, witness)
    assert certificate.status == "certified"
    assert certificate.failures == ()
    assert certificate.training_modules == ()
    assert certificate.within_budget is True
    assert certificate.examples_checked == 8
    assert certificate.parity.kld_mean <= certificate.bounds.kld_mean
    assert certificate.measured.interpreter_mb < certificate.measured.ram_mb < 150
    assert certificate.measured.ms_per_token > 0
    assert certificate.measured.runtime_ms_per_token > 0
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    assert certificate_path(out) == out / "certificate.json"
    assert read_certificate(out) == json.loads(json.dumps(certificate.to_json()))
    file = out / "model.gguf"
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(FailedError, match="another file"):
        read_certificate(out)


def test_over_the_budget_is_said_and_is_no_failure(built, witness, artifacts):
    tight = DEVICE.model_copy(update={"size_mb": 0.1, "ram_mb": 1.0})
    certificate = certify(artifacts["q8_0"], tight, witness)
    assert certificate.status == "certified"
    assert not certificate.within_budget
    assert len(certificate.over_budget()) == 2
    assert not any("which was not measured" in note for note in certificate.notes)
    told = "memory and times are this machine's, and the limits are for phone, which was not measured"
    assert told in certify(artifacts["q8_0"], DEVICE.model_copy(update={"device_class": "phone"}), witness).notes
    free = replace(certificate, budget=tuple(replace(figure, limit=None) for figure in certificate.budget))
    assert free.within_budget is None, "no limit is set, so none is kept"
    assert free.to_json()["within_budget"] is None
    assert [one.name for one in formats_to_try(built.folder, DEVICE)] == ["q8_0", "q5_0", "q4_0", "f16"]
    assert formats_to_try(built.folder, DEVICE.model_copy(update={"size_mb": 0.05})) == []


def test_without_an_original_it_is_only_contract_checked(witness, artifacts):
    certificate = certify(artifacts["f16"], DEVICE, replace(witness, original=None))
    assert certificate.status == "contract-checked"
    assert certificate.parity is None


def test_a_forgotten_rotary_permutation_is_not_certified_and_leaves_nothing(built, witness, tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "rotary_rows", lambda matrix, heads: matrix)
    out = tmp_path / "toy-gguf-f32"
    with pytest.raises(FailedError, match="does not match its original: the mean divergence of"):
        export_certified(built.folder, out, "f32", DEVICE, witness)
    assert list(tmp_path.iterdir()) == []


def test_slightly_wrong_weights_are_not_certified(built, witness, tmp_path, monkeypatch):
    read = writer.Tensors.read

    def noisy(self, name):
        values = read(self, name)
        return values + np.random.default_rng(0).normal(0, 0.02, values.shape).astype(np.float32)

    monkeypatch.setattr(writer.Tensors, "read", noisy)
    artifact = writer.export(built.folder, "f32", tmp_path / "noisy.gguf")
    certificate = certify(artifact, DEVICE, witness)
    assert certificate.status == "converted"
    assert any("divergence" in failure for failure in certificate.failures)


def test_another_tokenizer_in_the_artifact_is_not_certified(built, witness, tmp_path, monkeypatch):
    made = writer.gguf_tokenizer

    def other(folder: Path, rows: int):
        return replace(made(folder, rows), pre="llama-bpe")

    monkeypatch.setattr(writer, "gguf_tokenizer", other)
    artifact = writer.export(built.folder, "f32", tmp_path / "split.gguf")
    certificate = certify(artifact, DEVICE, witness)
    assert certificate.status == "converted"
    assert any("token ids differ" in failure for failure in certificate.failures)


def test_the_process_is_fresh_and_knows_nothing_of_training(built, artifacts):
    import torch

    assert torch.__name__ == "torch"  # loaded here, so that the other process could only have it by itself
    with FreshProcess(artifacts["q8_0"], threads=1, context=64, parallel=2) as process:
        done = process.generate([[5, 6], [7]], max_new_tokens=4, end_id=built.renderer.end_id)
        assert len(done) == 2
        assert process.next_logprobs([5, 6]).shape == (built.tokenizer.vocab_size,)
        assert process.timings().prompt_tokens > 0
        np.testing.assert_allclose(
            process.token_logprobs([[5, 6, 7]])[0],
            [process.next_logprobs([5])[6], process.next_logprobs([5, 6])[7]],
            atol=1e-3,
        )
        assert process.example_problems() == []
        facts = process.facts()
    assert facts["training_modules"] == []
    # This process holds torch, and its size must not be taken for the other's.
    assert facts["interpreter_bytes"] < facts["peak_bytes"] < 120e6


def test_a_process_that_dies_is_reported_not_waited_for(artifacts):
    import os
    import signal

    with FreshProcess(artifacts["q8_0"], threads=1, context=64) as process:
        os.kill(process.facts()["process"], signal.SIGKILL)
        with pytest.raises(FailedError, match="killed by signal 9"):
            process.tokenize("x")


class Carries:
    """An artifact of which only the stored examples are known; it renders all that it has as they are."""

    def __init__(self, stored: list[dict]) -> None:
        self.known = {"hone.renderer": "{}", "hone.examples": json.dumps(stored)}

    def metadata(self, key):
        return self.known.get(key, "")

    def example_problems(self):
        return []


def test_an_artifact_has_to_carry_the_stored_examples_of_its_model(built, witness):
    rows = [{"text": "play", "intent": "play"}, {"text": "rate", "intent": "rate"}]
    stored = [built.renderer.stored_example(f"dev:{number}", row) for number, row in enumerate(rows)]
    given = replace(witness, stored=stored)
    assert certify_room._examples_gate(Carries(stored), given).holds
    lost = certify_room._examples_gate(Carries(stored[:1]), given)
    assert not lost.holds
    assert lost.measured == "1 of 2"
    assert "dev:1 of the model's folder is not in the artifact" in lost.sentence
    assert not certify_room._examples_gate(Carries([]), given).holds
    none = certify_room._examples_gate(Carries([]), witness)
    assert not none.holds
    assert "carries no stored example" in none.sentence


class Table:
    """A made-up model: fixed log-probabilities whatever comes before."""

    def __init__(self, shares: list[float], answers: list[int]) -> None:
        self.row, self.answers, self.vocab_size = np.log(np.array(shares)).astype(np.float32), answers, len(shares)

    def logprobs(self, sequences):
        return [np.tile(self.row, (len(ids), 1)) for ids in sequences]

    def generate(self, prompts, *, max_new_tokens, end_id, sampling=None):
        return [Generation(tuple(self.answers), True) for _ in prompts]

    def tokenize(self, text):
        return [ord(letter) % 4 for letter in text]


def compared(ours: Table, theirs: Table, tie_nats: float = 0.01):
    original = Original(logprobs=ours.logprobs, generate=ours.generate)
    cases = [Case(ids=(0, 1, 2, 3), prompt_len=2)]
    bounds = replace(FORMATS["f32"].bounds, tie_nats=tie_nats)
    return compare(original, theirs, cases, end_id=3, max_new_tokens=4, bounds=bounds)


def test_parity_figures_are_those_of_their_definitions():
    p, q = [0.4, 0.3, 0.2, 0.1], [0.3, 0.4, 0.2, 0.1]
    found = compared(Table(p, [0, 0]), Table(q, [0, 1]))
    assert found.positions == 2
    assert found.kld_mean == pytest.approx(0.4 * np.log(4 / 3) + 0.3 * np.log(3 / 4), abs=1e-6)
    assert found.same_top == 0
    assert found.same_top_or_tie == 0
    assert not found.greedy_equal
    assert found.divergences[0].position == 1
    assert found.divergences[0].gap_nats == pytest.approx(np.log(4 / 3), abs=1e-6)
    assert found.greedy_agree_share == 0
    tied = compared(Table(p, [0, 0]), Table(q, [0, 1]), tie_nats=0.3)
    assert tied.same_top == 0
    assert tied.same_top_or_tie == 1
    assert tied.greedy_agree_share == 1
    same = compared(Table(p, [0, 0]), Table(p, [0, 0]))
    assert same.kld_mean == 0
    assert same.greedy_equal
    assert same.log_ratio_low == same.log_ratio_high == 0


def test_an_answer_that_stops_early_is_a_divergence():
    found = compared(Table([0.25] * 4, [0, 1]), Table([0.25] * 4, [0]))
    assert not found.greedy_equal
    assert found.divergences[0].artifact == 3


class Writes(Table):
    """A made-up model with a given answer to each prompt."""

    def __init__(self, answers: list[Generation]) -> None:
        super().__init__([0.25] * 4, [])
        self.written = answers

    def generate(self, prompts, *, max_new_tokens, end_id, sampling=None):
        return [
            Generation(one.ids[:max_new_tokens], one.finished and len(one.ids) < max_new_tokens)
            for one in self.written[: len(prompts)]
        ]


@pytest.mark.parametrize("written", [(), (0,), (0, 1)])
def test_an_answer_that_stops_without_an_end_while_there_is_room_is_no_tie(written):
    found = compared(Table([0.25] * 4, [0, 1]), Writes([Generation(written, False)]), tie_nats=5.0)
    assert found.greedy_equal_share == found.greedy_agree_share == 0
    assert found.divergences[0].position == len(written)
    assert found.divergences[0].artifact is None
    assert "the artifact nothing more" in found.divergences[0].sentence()


def test_each_prompt_is_compared_over_the_room_that_it_has_and_the_tokens_are_counted():
    ours = Writes([Generation((0, 1, 2, 0, 1), False)] * 2)
    theirs = Writes([Generation((0, 1, 2, 0, 2), False), Generation((0, 2), False)])
    cases = [Case(ids=(0, 1, 2), prompt_len=2), Case(ids=(1,) * 8, prompt_len=7)]
    original = Original(logprobs=ours.logprobs, generate=ours.generate)
    bounds = replace(FORMATS["f32"].bounds, tie_nats=0.0)
    found = compare(original, theirs, cases, end_id=3, max_new_tokens=64, bounds=bounds, context=8)
    # Rooms of 6 and 1: five tokens and one. The second answers are equal over the one.
    assert found.greedy_tokens == 6
    assert found.greedy_equal_share == 0.5
    assert [(one.prompt, one.position) for one in found.divergences] == [(0, 4)]


@pytest.mark.parametrize(("apart", "answered"), [(3, 16), (4, 64), (12, 16)])
def test_more_prompts_are_answered_where_few_may_agree_too_seldom_by_chance(apart, answered):
    """Of 16 prompts 13 are enough for 80 %; 12 are not, and by Wilson's interval it may be 90 %; 4 are at most 49 %."""

    class OneApart(Writes):
        def generate(self, prompts, *, max_new_tokens, end_id, sampling=None):
            return [Generation((1 if ids[0] < apart else 0,), True) for ids in prompts]

    ours, theirs = Table([0.25] * 4, [0]), OneApart([])
    original = Original(logprobs=ours.logprobs, generate=ours.generate)
    bounds = replace(FORMATS["q4_0"].bounds, tie_nats=-1.0)
    cases = [Case(ids=(at, 0, 1, 2), prompt_len=2) for at in range(100)]
    found = compare(original, theirs, cases, end_id=3, max_new_tokens=4, bounds=bounds, greedy_prompts=16)
    assert found.greedy_prompts == answered
    assert found.greedy_agree_share == pytest.approx(1 - apart / answered)
    assert [one.prompt for one in found.divergences] == list(range(min(apart, 5)))


def test_not_a_number_is_not_certified():
    from hone.deploy.certificate.gates import parity_gates

    theirs = Table([0.25] * 4, [0])
    theirs.row = np.full(4, np.nan, dtype=np.float32)
    gates = parity_gates(compared(Table([0.25] * 4, [0]), theirs), FORMATS["q4_0"].bounds)
    assert any("not finite" in gate.sentence for gate in gates if not gate.holds)
