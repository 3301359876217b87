"""Sessions over llama.cpp: 32 bits where the weights have them, prompts of every length, refusals past the context."""

from __future__ import annotations

import numpy as np
import pytest

from hone.deploy.certificate.original import torch_logprobs
from hone.deploy.llama.library import ContextParams, open_library
from hone.deploy.llama.precision import check_widened, widen
from hone.deploy.runtime import runtime
from hone.errors import FailedError, InputError

pytest.importorskip("xllamacpp")


def test_32_bit_weights_have_32_bit_keys_values_and_attention(built, artifacts):
    rows = [example.ids.tolist() for example in built.examples[:8]]
    session = runtime("gguf").open(artifacts["f32"], 1, 128, 4)
    for ours, theirs in zip(session.logprobs(rows), torch_logprobs(built.module, rows), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    session.close()


def test_a_layout_that_is_not_known_is_refused_and_so_is_another_answer():
    with pytest.raises(FailedError, match="no fields for 32-bit keys and values where they were"):
        widen(ContextParams())
    library = open_library()
    library._told.append("llama_context: flash_attn            = auto")
    with pytest.raises(FailedError, match='says "llama_context: flash_attn            = auto"'):
        check_widened(library, cached=False)


@pytest.mark.parametrize("name", ["f32", "q8_0"])
def test_prompts_of_one_seventeen_and_all_but_one_token(built, artifacts, name):
    session = runtime("gguf").open(artifacts[name], 1, 128, 3)
    random = np.random.default_rng(0)
    prompts = [random.integers(4, built.tokenizer.vocab_size, length).tolist() for length in (1, 17, 127)]
    done = session.generate(prompts, max_new_tokens=5, end_id=-1)
    assert [len(one.ids) for one in done] == [5, 5, 1]
    # Read together or one by one, whole or as a prompt and its continuation: the same next token.
    for prompt, one in zip(prompts, done, strict=True):
        assert one.ids[0] == session.next_logprobs(prompt).argmax()
        assert session.generate([prompt], max_new_tokens=5, end_id=-1)[0] == one
    with pytest.raises(InputError, match="prompt 0: 129 tokens; this session takes 1 to 128"):
        session.generate([[5] * 129], max_new_tokens=1, end_id=-1)
    session.close()


def test_what_llama_cpp_does_is_heard_also_behind_its_own_server(artifacts):
    """The server takes the one callback of the process, so that an older context's words would be read again."""
    runtime("gguf").open(artifacts["q8_0"], 1, 128, 1).close()
    runtime("gguf").own_timings(artifacts["q8_0"], 1, 128, [5, 6, 7], 2)
    session = runtime("gguf").open(artifacts["f32"], 1, 128, 1)
    assert "K (f32)" in open_library().heard("K (")
    session.close()
