"""Sessions of all runtimes: law 4 for artifacts, and the same answers as the torch module."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hone.deploy.certificate.corpus import AWKWARD_TEXTS
from hone.deploy.certificate.original import torch_logprobs
from hone.deploy.rendering import example_problems, open_artifact, renderer_of
from hone.deploy.runtime import runtime, runtime_of
from hone.deploy.sampling import choose, draws
from hone.errors import FailedError, InputError
from hone.evaluate.generate import Sampling

pytest.importorskip("xllamacpp")
pytest.importorskip("onnxruntime")

# llama.cpp keeps keys and values in 16 bits.
TOLERANCE = {"f32": 0.02, "fp32": 1e-4}


@pytest.fixture(scope="module", params=list(TOLERANCE))
def weights(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def artifact(request, weights):
    return request.getfixturevalue("onnx_artifacts" if weights == "fp32" else "artifacts")[weights]


@pytest.fixture(scope="module")
def session(artifact):
    opened = open_artifact(artifact, context=128, parallel=4)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def single(artifact):
    opened = open_artifact(artifact)
    yield opened
    opened.close()


def prompts(built, count: int = 10) -> list[list[int]]:
    return [example.ids[: example.prompt_len].tolist() for example in built.examples[:count]]


@pytest.mark.parametrize("text", AWKWARD_TEXTS)
def test_ids_of_awkward_texts_are_those_of_training(built, session, text):
    assert session.tokenize(text) == built.tokenizer.encode(text)
    assert session.detokenize(session.tokenize(text)) == text


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=40))
def test_ids_of_any_text_are_those_of_training_and_never_special(built, session, text):
    ids = session.tokenize(text)
    assert ids == built.tokenizer.encode(text)
    assert not set(ids) & set(built.tokenizer.specials.values())


def test_half_a_surrogate_pair_is_refused(session):
    with pytest.raises(InputError, match="surrogate"):
        session.tokenize("a\ud800b")


def test_the_artifact_alone_renders_the_stored_examples(built, session):
    assert example_problems(session) == []
    renderer = renderer_of(session)
    assert renderer.to_json() == built.renderer.to_json()
    fields = {"text": "<|end|> play <|answer|>", "intent": "x"}
    assert renderer.example("r", fields).ids.tolist() == built.renderer.example("r", fields).ids.tolist()


def test_log_probabilities_are_those_of_the_module(built, session, weights):
    sequences = [example.ids.tolist() for example in built.examples[:6]]
    for ours, theirs in zip(torch_logprobs(built.module, sequences), session.logprobs(sequences), strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(theirs, ours, atol=TOLERANCE[weights])
    taken = session.token_logprobs(sequences[:1])[0]
    rows = session.logprobs(sequences[:1])[0]
    assert taken.tolist() == [float(rows[at, token]) for at, token in enumerate(sequences[0][1:])]
    np.testing.assert_allclose(np.exp(session.next_logprobs(sequences[0])).sum(), 1, atol=1e-4)


def test_greedy_answers_are_those_of_the_module(built, session):
    from hone.evaluate.torch_generate import TorchGenerate

    asked = {"max_new_tokens": 12, "end_id": built.renderer.end_id}
    assert session.generate(prompts(built), **asked) == TorchGenerate(built.module)(prompts(built), **asked)


def test_an_answer_does_not_depend_on_what_is_computed_beside_it(built, session, single):
    asked = {"max_new_tokens": 10, "end_id": built.renderer.end_id}
    many = prompts(built, 11)
    together = session.generate(many, **asked)
    assert together == [single.generate([ids], **asked)[0] for ids in many]
    assert together[::-1] == session.generate(many[::-1], **asked)
    assert list(single.stream(many[2], **asked)) == list(together[2].ids)


def test_sampled_answers_follow_the_seed_and_the_prompt_only(built, session):
    asked = {"max_new_tokens": 10, "end_id": built.renderer.end_id}
    hot = Sampling(temperature=1.0, top_k=50, top_p=0.95, seed=7)
    many = prompts(built, 5)
    together = session.generate(many, sampling=hot, **asked)
    assert together == [session.generate([ids], sampling=hot, **asked)[0] for ids in many]
    twice = session.generate([many[0], many[0]], sampling=hot, **asked)
    assert twice[0] == together[0] != twice[1]


def test_labels_are_columns_of_the_next_log_probabilities(built, session):
    labels = [5, 9, 40]
    found = session.label_logprobs(prompts(built, 6), labels)
    assert found.shape == (6, 3)
    for ids, row in zip(prompts(built, 6), found, strict=True):
        np.testing.assert_allclose(row, session.next_logprobs(ids)[labels], atol=1e-4)


def test_a_prompt_is_read_once_and_each_token_is_computed_once(built, session):
    prompt = prompts(built, 1)[0]
    before = session.timings()
    assert len(list(session.stream(prompt, max_new_tokens=6, end_id=-1))) == 6
    after = session.timings()
    assert after.prompt_tokens - before.prompt_tokens == len(prompt)
    assert after.generated_tokens - before.generated_tokens == 5


def test_ids_and_lengths_that_would_end_the_process_are_refused(built, session):
    wrong = [[], [built.tokenizer.vocab_size], [-1], [5] * 129]
    with pytest.raises(InputError) as caught:
        session.generate(wrong, max_new_tokens=1, end_id=3)
    assert len(caught.value.problems) == 4


def test_a_prompt_that_fills_the_context_gets_no_token(session):
    done = session.generate([[5] * 128, [5] * 127], max_new_tokens=5, end_id=3)
    assert [len(one.ids) + one.finished for one in done] == [0, 1]


def test_more_context_than_the_model_has_is_refused(artifact):
    with pytest.raises(InputError, match="context 129 is over the 128 tokens"):
        runtime_of(artifact).open(artifact, 1, 129)


def test_a_damaged_file_is_refused_with_the_runtimes_words(artifact, tmp_path):
    path = tmp_path / f"cut{artifact.suffix}"
    path.write_bytes(artifact.read_bytes()[:100_000])
    with pytest.raises(FailedError, match=r"corrupted or incomplete|Protobuf parsing failed"):
        open_artifact(path)


def test_an_unknown_runtime_is_refused_with_the_nearest():
    with pytest.raises(InputError, match='runtime "ggu" is not known; did you mean "gguf"'):
        runtime("ggu")


def test_choosing_keeps_to_top_k_and_top_p():
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], dtype=np.float32))
    random = draws([[1]], Sampling(temperature=1.0, seed=3))[0]
    assert choose(logits, Sampling(), None) == 0
    assert {choose(logits, Sampling(temperature=1.0, top_k=2), random) for _ in range(200)} == {0, 1}
    assert {choose(logits, Sampling(temperature=1.0, top_p=0.81), random) for _ in range(200)} == {0, 1, 2}
    counts = np.bincount([choose(logits, Sampling(temperature=1.0), random) for _ in range(4000)], minlength=4)
    np.testing.assert_allclose(counts / 4000, np.exp(logits), atol=0.03)
