"""Which encoders a solve can end with: what no GGUF file will hold is refused before anything is trained."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hone.deploy.runtime import check_can_be_exported
from hone.errors import InputError
from hone.model.encoders import encoder_preset, encoder_shape_of
from hone.solving.defaults import default_recipe
from hone.solving.propose import NARROWER, WIDER, proposals
from hone.task.recipe import Recipe
from hone.task.spec import Task

VALUES = {"task": "toy", "data": {"train": "x"}, "input": "{text}", "output": "{answer}", "target": 0.5}


def task_of(kind: str, base: str) -> Task:
    if kind == "language-model":
        return Task.model_validate(
            {"task": "toy", "kind": kind, "data": {"train": "x"}, "output": "{text}", "target": 0.5, "base": base}
        )
    return Task.model_validate({**VALUES, "kind": kind, "base": base})


def base_of(folder: Path, **config: object) -> str:
    """A base's folder as far as it is read before its weights are."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    words = {word: at for at, word in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b"))}
    rust = Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    rust.normalizer, rust.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    rust.save(str(folder / "tokenizer.json"))
    plain = {"model_type": "bert", "architectures": ["BertModel"], "vocab_size": 7, "hidden_act": "gelu"}
    (folder / "config.json").write_text(json.dumps({**plain, **config}))
    (folder / "model.safetensors").write_bytes(b"")
    return str(folder)


@pytest.mark.parametrize("kind", ["classify", "multi-label", "tag"])
def test_encoders_of_berts_shape_are_solved_from_scratch_and_from_a_base(kind: str, tmp_path: Path) -> None:
    assert check_can_be_exported(task_of(kind, "scratch:bert-1m")) is None
    assert check_can_be_exported(task_of(kind, base_of(tmp_path))) is None
    assert check_can_be_exported(task_of(kind, base_of(tmp_path, architectures=["BertForMaskedLM"]))) is None


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "distilbert"}, 'model_type "distilbert" is not exported to GGUF; of encoders bert is'),
        ({"hidden_act": "relu"}, 'hidden_act "relu"; gelu is exported'),
        ({"position_embedding_type": "relative_key"}, 'position_embedding_type "relative_key"; absolute is exported'),
        ({"vocab_size": 5}, "the embedding only 5 rows"),
    ],
)
def test_what_no_file_will_hold_is_said_before_the_training(
    tmp_path: Path, config: dict[str, object], said: str
) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        check_can_be_exported(task_of("classify", base_of(tmp_path, **config)))


def test_masked_words_and_written_answers_are_not_solved_by_an_encoder() -> None:
    with pytest.raises(InputError, match="predicts masked words, which llama"):
        check_can_be_exported(task_of("language-model", "scratch:bert-1m"))
    with pytest.raises(InputError, match="a task of kind generate needs a model that writes"):
        check_can_be_exported(task_of("generate", "scratch:bert-1m"))
    check_can_be_exported(task_of("generate", "scratch"))


@pytest.mark.parametrize("kind", ["multi-label", "tag"])
def test_a_search_moves_between_encoders_and_proposes_nothing_that_would_be_refused(kind: str) -> None:
    from hone.attempts.checking import problems_of

    task = task_of(kind, "scratch")
    parent = default_recipe(task, None, seed=0, threads=1)
    report = type("Report", (), {"dev_loss": 1.0, "train_loss": 1.0})()
    found = {one.name: one.recipe(parent) for one in proposals(task, parent, report, over_budget=True)}
    assert found["wider"].base == "scratch:bert-2m"
    for name, recipe in found.items():
        assert problems_of(recipe, task) == [], name


def test_wider_is_wider() -> None:
    for narrower, wider in WIDER.items():
        assert NARROWER[wider] == narrower
    encoders = [base.partition(":")[2] for base in WIDER if ":bert-" in base]
    for name in encoders:
        wider = WIDER[f"scratch:{name}"]
        assert encoder_shape_of(Recipe(base=wider), 1000).hidden > encoder_preset(name).hidden
