"""Several processes give what one gives, in order."""

from __future__ import annotations

import numpy as np
import pytest

from hone.deploy.pool import FreshPool
from hone.deploy.process import FreshProcess
from hone.deploy.rendering import renderer_of
from hone.errors import FailedError, InputError
from hone.evaluate.generate import Sampling

pytest.importorskip("xllamacpp")


def test_a_pool_answers_as_one_process_does(built, artifacts):
    prompts = [example.ids[: example.prompt_len].tolist() for example in built.examples[:9]]
    prompts = [*prompts, prompts[2], prompts[2]]
    asked = {"max_new_tokens": 8, "end_id": built.renderer.end_id}
    hot = Sampling(temperature=1.0, seed=4)
    path = artifacts["q8_0"]
    with (
        FreshProcess(path, threads=1, context=128, parallel=4) as one,
        FreshPool(path, processes=2, context=128, parallel=4) as pool,
    ):
        assert pool.generate(prompts, **asked) == one.generate(prompts, **asked)
        assert pool.generate(prompts, sampling=hot, **asked) == one.generate(prompts, sampling=hot, **asked)
        labels = pool.label_logprobs(prompts, [5, 6])
        np.testing.assert_allclose(labels, one.label_logprobs(prompts, [5, 6]), atol=1e-3)
        for ours, theirs in zip(pool.token_logprobs(prompts), one.token_logprobs(prompts), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-3)
        assert pool.generate([], **asked) == []
        assert renderer_of(pool).to_json() == built.renderer.to_json()
        with pytest.raises(InputError, match="this session takes 1 to 128"):
            pool.generate([[5] * 200], **asked)


def test_a_pool_that_cannot_open_says_why_and_leaves_no_process(tmp_path):
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"GGUF but not really")
    with pytest.raises(FailedError, match=r"llama\.cpp cannot load it"):
        FreshPool(path, processes=2, context=64)
