"""Bases: new tokens, heads and rates of dropout as asked for; what does not belong together is refused with numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign_bases import TEXTS, write_tokenizer

from hone.data.tokenizer import TextTokenizer
from hone.errors import FailedError, InputError
from hone.model.base import is_encoder_base, open_base
from hone.model.folder import ModelFolder, save_model_folder
from hone.model.probe import strange_text
from hone.task.recipe import Recipe
from hone.task.render import Renderer


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_text_becomes_one_id_whose_row_starts_as_the_mean_of_its_pieces(family: str, make_base: Any) -> None:
    folder = make_base(family)
    plain: Any = open_base(str(folder), TextTokenizer)
    pieces = plain.tokenizer.encode("chargeback")
    base = open_base(str(folder), TextTokenizer, add_tokens=("chargeback", "IBAN "))
    new = base.tokenizer.encode("chargeback")
    assert (len(pieces) > 1, len(new)) == (True, 1)
    assert base.tokenizer.decode(base.tokenizer.encode("a chargeback, IBAN 7")) == "a chargeback, IBAN 7"
    assert new[0] in base.tokenizer.encode("no chargebacks")
    opened, old = base.module, plain.module
    for name in ("get_input_embeddings", "get_output_embeddings"):
        rows, before = (getattr(module, name)().weight for module in (opened, old))
        assert rows.shape[0] == opened.config.vocab_size == base.tokenizer.vocab_size
        torch.testing.assert_close(rows[new[0]], before[pieces].mean(0))
        assert torch.equal(rows[: plain.vocabulary.before], before[: plain.vocabulary.before])


def test_new_rows_are_trained_saved_and_found_again(make_base: Any, tmp_path: Path) -> None:
    base = open_base(str(make_base("llama")), TextTokenizer, add_tokens=("chargeback",))
    tokenizer: Any = base.tokenizer
    module: Any = base.module.train()
    ids = torch.tensor([tokenizer.encode("a chargeback now")])
    (new,) = tokenizer.encode("chargeback")
    before = module.get_input_embeddings().weight.detach().clone()
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
    module(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    trained = module.get_input_embeddings().weight.detach()
    assert not torch.equal(trained[new], before[new])
    renderer = Renderer(kind="generate", input_template="{x}", output_template="{y}", tokenizer=tokenizer)
    example = renderer.stored_example("t:0", {"x": "chargeback", "y": "yes"})
    path = save_model_folder(tmp_path / "model", module, tokenizer, renderer, [example], {"base": base.reference})
    folder = ModelFolder(path, TextTokenizer)
    assert folder.tokenizer().encode("chargeback") == [new]
    loaded: Any = folder.load()
    assert torch.equal(loaded.get_input_embeddings().weight, trained)
    assert folder.hone["tokenizer"] == {"hash": tokenizer.hash, "size": tokenizer.vocab_size}


def test_texts_that_cannot_be_added_are_all_told_at_once(make_base: Any) -> None:
    base = open_base(str(make_base("llama")), TextTokenizer, add_tokens=("a", " ", "Rhine", "Rhine"))
    with pytest.raises(InputError) as refusal:
        _ = base.vocabulary
    assert len(refusal.value.problems) == 3
    assert any('"a" is one token already (id' in problem for problem in refusal.value.problems)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_an_encoder_keeps_its_trunk_and_gets_the_head_that_is_asked_for(family: str, make_base: Any) -> None:
    folder = make_base(family)
    words = open_base(str(folder), TextTokenizer, head="masked-tokens")
    assert (words.fresh, words.added_tokens) == ((), 0)
    assert words.roles == {"pad": "[PAD]", "begin": "[CLS]", "end": "[SEP]", "mask": "[MASK]"}
    base = open_base(str(folder), TextTokenizer, ("no", "yes"), head="classify-sequence", seed=3)
    same, other = (
        open_base(str(folder), TextTokenizer, ("no", "yes"), head="classify-sequence", seed=seed) for seed in (3, 4)
    )
    module: Any = base.module
    assert module.config.id2label == {0: "no", 1: "yes"}
    trunk = dict(words.module.named_parameters())
    kept = [name for name, param in module.named_parameters() if name in trunk and torch.equal(param, trunk[name])]
    fresh = [name for name, _ in module.named_parameters() if name not in kept]
    assert len(kept) > 20
    assert set(fresh) <= set(base.fresh)
    assert all(not name.startswith(module.base_model_prefix + ".") or ".pooler." in name for name in fresh)
    weights = [
        dict(one.module.named_parameters())[
            "classifier.weight" if family != "roberta" else "classifier.out_proj.weight"
        ]
        for one in (base, same, other)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_somebody_elses_classes_are_not_taken_for_ours(make_base: Any, tmp_path: Path) -> None:
    folder = make_base("bert")
    theirs: Any = open_base(str(folder), TextTokenizer, ("good", "bad"), head="classify-sequence", seed=1)
    theirs.module.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "special_tokens_map.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    own = open_base(str(tmp_path), TextTokenizer, ("good", "bad"), head="classify-sequence")
    assert own.fresh == ()
    other: Any = open_base(str(tmp_path), TextTokenizer, ("spam", "ham"), head="classify-sequence")
    assert set(other.fresh) >= {"classifier.weight", "classifier.bias"}
    assert not torch.equal(other.module.classifier.weight, theirs.module.classifier.weight)
    pooler = "bert.pooler.dense.weight"
    assert torch.equal(other.module.get_parameter(pooler), theirs.module.get_parameter(pooler))
    more = open_base(str(tmp_path), TextTokenizer, ("a", "b", "c"), head="tag-tokens")
    assert more.module.get_parameter("classifier.weight").shape[0] == 3


def test_the_rate_of_dropout_replaces_all_of_the_configs(make_base: Any) -> None:
    folder = str(make_base("bert", hidden_dropout_prob=0.1))
    kept, none, more = (
        open_base(folder, TextTokenizer, head="masked-tokens", dropout=rate).module for rate in (None, 0.0, 0.3)
    )
    rates = [
        {part.p for part in module.modules() if isinstance(part, torch.nn.Dropout)} for module in (kept, none, more)
    ]
    assert rates == [{0.1}, {0.0}, {0.3}]


def test_wrong_bases_are_refused_in_a_sentence(make_base: Any) -> None:
    bert, llama = str(make_base("bert")), str(make_base("llama"))
    assert [is_encoder_base(name) for name in (bert, llama, "scratch:bert-1m", "scratch:1m", "scratch")] == [
        True,
        False,
        True,
        False,
        False,
    ]
    with pytest.raises(InputError, match=r'is an encoder \(model_type "bert"\).*cannot write text'):
        open_base(bert, TextTokenizer)
    with pytest.raises(InputError, match='model_type "llama", which is no encoder'):
        open_base(llama, TextTokenizer, head="tag-tokens", labels=("x",))
    with pytest.raises(InputError, match="objective tag-tokens needs labels; the training rows have 0"):
        open_base(bert, TextTokenizer, head="tag-tokens")


ADDED = {"content": "<far>"} | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)


def test_a_tokenizer_that_is_another_models_is_refused_with_numbers(make_base: Any) -> None:
    longer = make_base("llama", "longer")
    rows = json.loads((longer / "config.json").read_text())["vocab_size"]
    ids = write_tokenizer(longer, size=rows + 40, texts=[*TEXTS, "many other words stand in here as well " * 3])
    with pytest.raises(
        InputError, match=rf"has {ids} ids and the embedding {rows} rows, so ids {rows} to {ids - 1} have"
    ):
        _ = open_base(str(longer), TextTokenizer).tokenizer
    gapped = make_base("llama", "gapped")
    file = gapped / "tokenizer.json"
    edit(file, added_tokens=[{**ADDED, "id": 40_000}])
    with pytest.raises(InputError, match=rf"the added token <far> the id 40,000, .* would become {rows}"):
        _ = open_base(str(gapped), TextTokenizer).tokenizer
    model = json.loads(file.read_text())["model"]
    edit(file, added_tokens=[], model={**model, "vocab": {**model["vocab"], "<far>": 40_000}})
    with pytest.raises(InputError, match=rf"has {rows + 1} ids and the embedding {rows} rows, so id 40,000 has none"):
        _ = open_base(str(gapped), TextTokenizer).tokenizer
    wrong = make_base("llama", "wrong")
    edit(wrong / "config.json", vocab_size=rows + 1)
    with pytest.raises(InputError, match=rf"config.json says vocab_size {rows + 1}, and the embedding has {rows} rows"):
        _ = open_base(str(wrong), TextTokenizer).tokenizer
    shorter = make_base("llama", "shorter", vocab_size=400)
    base = open_base(str(shorter), TextTokenizer)
    assert base.tokenizer.vocab_size == rows + 4
    assert any(f"has {rows} ids for 400 rows" in line for line in base.lines())
    named = make_base("bert", "named")
    edit(named / "special_tokens_map.json", mask_token="<mask>")
    with pytest.raises(InputError, match=r"special_tokens_map.json names <mask>, and the tokenizer does not have it"):
        _ = open_base(str(named), TextTokenizer, head="masked-tokens").tokenizer


def test_a_tokenizer_put_in_the_place_of_the_one_trained_with_is_refused(
    make_base: Any, tmp_path: Path, capsys: Any
) -> None:
    base = open_base(str(make_base("llama")), TextTokenizer)
    tokenizer: Any = base.tokenizer
    renderer = Renderer(kind="generate", input_template="{x}", output_template="{y}", tokenizer=tokenizer)
    capsys.readouterr()
    save_model_folder(tmp_path / "m", base.module, tokenizer, renderer, [], {})
    assert "Writing" not in capsys.readouterr().err  # no bar of Transformers'
    open_base(str(tmp_path / "m"), TextTokenizer)
    write_tokenizer(tmp_path / "m", texts=["entirely other text"], size=290)
    with pytest.raises(
        InputError, match=r"tokenizer.json has SHA-256 .* is not the tokenizer that the model was trained"
    ):
        open_base(str(tmp_path / "m"), TextTokenizer)


def test_a_tokenizer_of_the_same_size_is_found_by_what_plain_text_costs(stories: Path, tmp_path: Path) -> None:
    from hone.model.converting import convert

    convert(stories, tmp_path / "right")
    assert strange_text(open_base(str(tmp_path / "right"), TextTokenizer)) == []
    path = tmp_path / "right" / "tokenizer.json"
    data = json.loads(path.read_text())
    vocab = data["model"]["vocab"]
    ids = [one for one in vocab.values() if one >= 259]
    moved = dict(zip(ids, [*ids[97:], *ids[:97]], strict=True))
    data["model"]["vocab"] = {text: moved.get(one, one) for text, one in vocab.items()}
    path.write_text(json.dumps(data))
    (line,) = strange_text(open_base(str(tmp_path / "right"), TextTokenizer))
    assert "nats per token on plain text, and ln V of its 512 ids is 6.24: guessing is better" in line


def test_a_base_that_changes_under_a_run_is_told(make_base: Any) -> None:
    folder = make_base("llama")
    base = open_base(str(folder), TextTokenizer)
    first = base.id
    base.check_unchanged()
    edit(folder / "config.json", rms_norm_eps=1e-4)
    with pytest.raises(FailedError, match=r"has changed on disk while it was used \(config\)"):
        base.check_unchanged()
    assert open_base(str(folder), TextTokenizer).id != first


def test_a_module_that_is_released_is_loaded_again_as_it_was(make_base: Any) -> None:
    base = open_base(str(make_base("llama")), TextTokenizer)
    first: Any = base.module
    before = first.lm_head.weight.detach().clone()
    with torch.no_grad():
        first.lm_head.weight.add_(1)
    base.release()
    again: Any = base.module
    assert again is not first
    assert torch.equal(again.lm_head.weight, before)


def test_padding_and_cutting_that_a_folder_asks_for_are_left_out(minilm: Path) -> None:
    base = open_base(str(minilm), TextTokenizer, head="masked-tokens")
    words = "the quick brown fox jumps over the lazy dog "
    assert len(base.tokenizer.encode(words * 50)) == 450
    assert base.vocabulary.size == 30_522


def test_a_recipe_from_scratch_has_its_rate_of_dropout_too() -> None:
    from hone.model.presets import from_scratch, shape_of

    module: Any = from_scratch(shape_of(Recipe(base="scratch:tiny"), 300), 0, dropout=0.2)
    assert module.config.attention_dropout == 0.2
