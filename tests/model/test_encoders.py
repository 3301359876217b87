"""Encoders from scratch: the formula counts what Transformers builds, published sizes are met, the seed decides.

Facts from outside: BERT-base has 110M parameters (J. Devlin et al. 2018, section 3), 109,482,240 with its pooler and
without a head, as Hugging Face's ``bert-base-uncased`` has.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from hone.errors import InputError
from hone.model.encoders import (
    ENCODER_PRESETS,
    HEADS,
    EncoderShape,
    Head,
    encoder_from_scratch,
    encoder_matrix_parameters,
    encoder_parameters,
    encoder_preset,
    encoder_shape_of,
)
from hone.model.presets import preset
from hone.task.recipe import Recipe

LABELS: dict[Head, int] = {"masked-tokens": 0, "classify-sequence": 7, "tag-tokens": 9}
MILLIONS = {"bert-1m": 1, "bert-2m": 2, "bert-5m": 5, "bert-15m": 15, "bert-30m": 30, "bert-110m": 110}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", list(ENCODER_PRESETS))
def test_the_formula_counts_the_parameters_of_each_preset_with_each_head(name: str, head: Head) -> None:
    shape = ENCODER_PRESETS[name]
    with torch.device("meta"):
        module = encoder_from_scratch(shape, 0, head, LABELS[head])
    assert encoder_parameters(shape, head, LABELS[head]) == sum(param.numel() for param in module.parameters())
    lookups = sum(param.numel() for name, param in module.named_parameters() if "embeddings." in name)
    vectors = sum(
        param.numel() for name, param in module.named_parameters() if "embeddings." not in name and param.ndim == 1
    )
    output = shape.vocab * shape.hidden if head == "masked-tokens" else 0  # tied: the embedding multiplies here
    matrices = encoder_parameters(shape, head, LABELS[head]) - lookups - vectors + output
    assert encoder_matrix_parameters(shape, head, LABELS[head]) == matrices


@pytest.mark.parametrize(("name", "millions"), MILLIONS.items())
def test_a_preset_has_about_as_many_parameters_as_its_name_says(name: str, millions: float) -> None:
    assert encoder_parameters(ENCODER_PRESETS[name]) / 1e6 == pytest.approx(millions, rel=0.12)


def test_bert_base_has_its_published_number_of_parameters() -> None:
    assert encoder_parameters(ENCODER_PRESETS["bert-110m"], "classify-sequence", 0) == 109_482_240


def test_the_seed_decides_the_weights_and_the_callers_generator_is_left_alone() -> None:
    shape = ENCODER_PRESETS["bert-tiny"]
    torch.manual_seed(7)
    expected = torch.rand(2)
    torch.manual_seed(7)
    one, same, other = (encoder_from_scratch(shape, seed, "tag-tokens", 3).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_deviation_dropout_and_padding_are_the_ones_asked_for() -> None:
    module = encoder_from_scratch(ENCODER_PRESETS["bert-1m"], 0, "masked-tokens", init_std=0.05, dropout=0.25, pad_id=2)
    table = module.get_parameter("bert.embeddings.word_embeddings.weight").detach()
    assert float(table[3:].std()) == pytest.approx(0.05, rel=0.02)
    assert not table[2].any()
    rates = {part.p for part in module.modules() if isinstance(part, torch.nn.Dropout)}
    assert rates == {0.25}


def test_a_recipe_says_preset_vocabulary_and_context() -> None:
    shape = encoder_shape_of(Recipe(base="scratch:bert-2m", context=96), 777)
    assert (shape.hidden, shape.vocab, shape.context) == (192, 777, 96)


def test_wrong_shapes_heads_and_names_are_sentences() -> None:
    with pytest.raises(InputError) as refusal:
        EncoderShape(hidden=100, layers=0, heads=3, ffn=50, vocab=10, context=8)
    assert len(refusal.value.problems) == 4
    with pytest.raises(InputError, match='preset "bert-1mm" is not known; did you mean "bert-1m"'):
        encoder_preset("bert-1mm")
    with pytest.raises(InputError, match="is an encoder: it cannot write text"):
        preset("bert-1m")
    with pytest.raises(InputError, match=r"objective next-token needs one, such as scratch:bert-1m"):
        encoder_shape_of(Recipe(base="scratch:1m"), 300)
    with pytest.raises(InputError, match="objective tag-tokens needs labels; the training rows have 0"):
        encoder_from_scratch(replace(ENCODER_PRESETS["bert-tiny"], vocab=300), 0, "tag-tokens")
