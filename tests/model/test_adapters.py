"""Adapters of PEFT's become plain model folders: merged = attached, and a soft prompt is rows of the vocabulary."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import adapter_bases as made
import peft
import pytest

from hone.errors import FailedError, InputError
from hone.model import merging
from hone.model.adapters import REFUSED, adapted, base_of, is_adapter, read_adapter
from hone.model.base import open_base
from hone.model.folder import ModelFolder, read_tokenizer
from hone.model.merging import _probed_ids
from hone.model.weights import tensor_shapes
from hone.task.soft_prompt import MASKED_LOGIT, soft_prompt_of

pytestmark = pytest.mark.filterwarnings(*made.PEFT_SAYS)
IDS = [5, 17, 60, 101, 7, 250, 33, 2]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.base_folder(tmp_path_factory.mktemp("base") / "base")


@pytest.fixture(scope="module")
def untied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.base_folder(tmp_path_factory.mktemp("untied") / "base", tied=False, spare=3)


def plain(adapter: Path, out: Path) -> ModelFolder:
    found = read_adapter(adapter)
    reference, base = base_of(found)
    adapted(found, base, out, made.wrap, reference)
    return ModelFolder(out, made.wrap)


def lora(**more: Any) -> Any:
    return peft.LoraConfig(task_type="CAUSAL_LM", **{"r": 4, "target_modules": made.LINEAR, **more})


MERGED = {
    "LoRA": lora,
    "rsLoRA": lambda: lora(use_rslora=True, lora_alpha=3),
    "DoRA": lambda: lora(use_dora=True),
    "LoRA on the embedding, which is the output too": lambda: lora(target_modules=["embed_tokens", "q_proj"]),
    "LoRA with an output of its own": lambda: lora(modules_to_save=["lm_head"]),
    "LoRA with rows that are trained": lambda: lora(trainable_token_indices=[4, 9]),
    "IA3": lambda: peft.IA3Config(
        task_type="CAUSAL_LM", target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]
    ),
    "LoHa": lambda: peft.LoHaConfig(task_type="CAUSAL_LM", r=4, target_modules=made.LINEAR),
    "LoKr": lambda: peft.LoKrConfig(task_type="CAUSAL_LM", r=4, target_modules=made.LINEAR),
    "AdaLoRA": lambda: peft.AdaLoraConfig(task_type="CAUSAL_LM", target_modules=made.LINEAR, total_step=10),
    "RoAd": lambda: peft.RoadConfig(task_type="CAUSAL_LM", target_modules=["q_proj"], group_size=8),
    "norms": lambda: peft.LNTuningConfig(task_type="CAUSAL_LM", target_modules=["input_layernorm"]),
    "rows": lambda: peft.TrainableTokensConfig(task_type="CAUSAL_LM", token_indices=[4, 9]),
    "OFT": lambda: peft.OFTConfig(task_type="CAUSAL_LM", oft_block_size=8, r=0, target_modules=["q_proj"]),
    "VeRA": lambda: peft.VeraConfig(task_type="CAUSAL_LM", r=8, target_modules=["q_proj"]),
}


@pytest.mark.parametrize("name", MERGED)
def test_merged_is_attached_and_differs_from_the_base(base: Path, tmp_path: Path, name: str) -> None:
    adapter, attached = made.adapter_folder(tmp_path / "adapter", base, MERGED[name]())
    module = plain(adapter, tmp_path / "out").load()
    found, expected = made.logits_of(module, IDS), made.logits_of(attached, IDS)
    assert (found - expected).abs().max() <= 1e-4
    before = made.logits_of(ModelFolder(base, made.wrap).load(), IDS)
    assert (found - before).abs().max() > 1e-2


def test_the_plain_folder_needs_no_adapter_and_says_where_it_comes_from(base: Path, tmp_path: Path) -> None:
    adapter, _ = made.adapter_folder(tmp_path / "adapter", base, lora())
    folder = plain(adapter, tmp_path / "out")
    told, of_base = folder.hone, ModelFolder(base, made.wrap).hone
    assert not is_adapter(folder.path)
    assert sorted(file.name for file in folder.path.glob("*.safetensors")) == ["model.safetensors"]
    assert told["renderer"] == of_base["renderer"]
    assert told["examples"] == of_base["examples"]
    assert told["base"] == str(base)
    assert told["adapter"]["type"] == "LORA"
    assert (folder.path / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()
    # Data and recipe were those of the base's training, and say nothing of the adapter's.
    assert "recipe" not in told


@pytest.mark.parametrize("name", ["LoRA", "DoRA", "LoRA with rows that are trained"])
def test_what_was_one_matrix_is_one_where_the_adapter_left_both_alike(base: Path, tmp_path: Path, name: str) -> None:
    adapter, _ = made.adapter_folder(tmp_path / "adapter", base, MERGED[name]())
    folder = plain(adapter, tmp_path / "out")
    assert folder.config["tie_word_embeddings"] is True
    assert tensor_shapes(folder.path) == tensor_shapes(base)


@pytest.mark.parametrize("which", ["base", "untied"])
def test_an_output_of_its_own_stays_one(request: pytest.FixtureRequest, tmp_path: Path, which: str) -> None:
    base = request.getfixturevalue(which)
    config = lora(modules_to_save=["lm_head"]) if which == "base" else lora()
    adapter, _ = made.adapter_folder(tmp_path / "adapter", base, config)
    folder = plain(adapter, tmp_path / "out")
    assert folder.config["tie_word_embeddings"] is False
    assert "lm_head.weight" in tensor_shapes(folder.path)


def test_a_hone_json_of_the_adapters_own_is_kept(base: Path, tmp_path: Path) -> None:
    adapter, _ = made.adapter_folder(tmp_path / "adapter", base, lora())
    told = json.loads((base / "hone.json").read_text())
    (adapter / "hone.json").write_text(json.dumps({**told, "task": "of its own", "examples": told["examples"][:2]}))
    folder = plain(adapter, tmp_path / "out")
    assert (folder.hone["task"], len(folder.hone["examples"])) == ("of its own", 2)


def with_tokens(base: Path, adapter: Path, config: Any, *, trained: str) -> Any:
    """An adapter over a base that got two more tokens, saved with its tokenizer; tensors named so were trained."""
    import torch
    from transformers import AutoModelForCausalLM

    module = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    rust = read_tokenizer(base)
    rust.add_special_tokens(["<|mine|>", "<|yours|>"])
    module.resize_token_embeddings(rust.get_vocab_size(), mean_resizing=False)
    attached = peft.get_peft_model(module, config)
    with torch.no_grad():
        for name, param in attached.named_parameters():
            param.add_(torch.randn_like(param) * 0.1 if trained in name else 0.0)
    attached.eval().save_pretrained(adapter, save_embedding_layers=True)
    rust.save(str(adapter / "tokenizer.json"))
    made.named_base(adapter, str(base))
    return attached


def test_tokens_that_were_added_for_the_adapter_come_with_it(base: Path, tmp_path: Path) -> None:
    attached = with_tokens(base, tmp_path / "adapter", lora(target_modules=["q_proj"]), trained="lora")
    folder = plain(tmp_path / "adapter", tmp_path / "out")
    rust = read_tokenizer(folder.path)
    ids = [*IDS, rust.token_to_id("<|mine|>"), rust.token_to_id("<|yours|>")]
    assert (made.logits_of(folder.load(), ids) - made.logits_of(attached, ids)).abs().max() <= 1e-4
    assert folder.tokenizer().special_id("<|yours|>") == ids[-1]


def test_tokens_alone_are_nothing_that_was_trained_unless_their_rows_were(base: Path, tmp_path: Path) -> None:
    with_tokens(base, tmp_path / "tokens", lora(target_modules=["q_proj"]), trained="nothing")
    told = refused(tmp_path / "tokens", tmp_path / "out")
    assert "changes no weight of its base (rows of 2 new tokens aside): it was never trained" in told
    rows = int(ModelFolder(base, made.wrap).config["vocab_size"])
    for trained, takes in (("nothing", False), ("trainable_tokens", True)):
        config = lora(target_modules=["q_proj"], trainable_token_indices=[rows, rows + 1])
        attached = with_tokens(base, tmp_path / trained, config, trained=trained)
        if not takes:
            assert "rows of 2 new tokens aside" in refused(tmp_path / trained, tmp_path / "none")
            continue
        module, ids = plain(tmp_path / trained, tmp_path / "rows").load(), [*IDS, rows, rows + 1]
        assert (made.logits_of(module, ids) - made.logits_of(attached, ids)).abs().max() <= 1e-4


@pytest.mark.parametrize("trained", [[3], [5, 6, 7]])
def test_any_row_that_was_trained_is_a_change_and_is_compared(untied: Path, tmp_path: Path, trained: list[int]) -> None:
    config = peft.TrainableTokensConfig(task_type="CAUSAL_LM", token_indices=trained)
    adapter, attached = made.adapter_folder(tmp_path / "adapter", untied, config)
    found = read_adapter(adapter)
    assert "; 1 of 21 tensors" in adapted(found, untied, tmp_path / "out", made.wrap, "base")[0]
    module = ModelFolder(tmp_path / "out", made.wrap).load()
    assert (made.logits_of(module, trained) - made.logits_of(attached, trained)).abs().max() <= 1e-4
    assert set(trained) <= set(_probed_ids(adapter, 300, 300).flatten().tolist())


def test_rows_that_are_merged_wrongly_are_told(untied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: a merge that leaves one of the trained rows out, which no id spread over the vocabulary reads."""
    config = peft.TrainableTokensConfig(task_type="CAUSAL_LM", token_indices=[5, 6])
    adapter, _ = made.adapter_folder(tmp_path / "adapter", untied, config)
    merge = merging._merged

    def forgetful(attached: Any, folder: Path, kind: str, tied: bool) -> Any:
        import torch

        before = attached.get_base_model().get_input_embeddings().base_layer.weight[6].detach().clone()
        found: Any = merge(attached, folder, kind, tied)
        with torch.no_grad():
            found.get_input_embeddings().weight[6] = before
        return found

    monkeypatch.setattr(merging, "_merged", forgetful)
    with pytest.raises(FailedError, match="merged, its logits are off by"):
        plain(adapter, tmp_path / "out")


def test_an_encoder_is_merged_with_the_head_that_was_trained_with_it(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    base = made.encoder_folder(tmp_path / "base")
    module = AutoModelForSequenceClassification.from_pretrained(base, dtype=torch.float32)
    # It has biases, which decoders of this family do not.
    config = peft.LoraConfig(task_type="SEQ_CLS", r=4, target_modules=["query", "value"], bias="all")
    attached = peft.get_peft_model(module, config)
    torch.manual_seed(3)
    with torch.no_grad():
        for param in attached.parameters():
            if param.requires_grad:
                param.add_(torch.randn_like(param) * 0.1)
    attached.eval().save_pretrained(tmp_path / "adapter")
    module = plain(tmp_path / "adapter", tmp_path / "out").load()
    rows = torch.tensor([[1, 40, 41, 42, 3]])
    with torch.no_grad():
        found, expected = module(input_ids=rows).logits, attached(input_ids=rows).logits
        before = ModelFolder(base, made.wrap).load()(input_ids=rows).logits
    assert (found - expected).abs().max() <= 1e-4
    assert (found - before).abs().max() > 1e-2
    assert "0.attention.output.LayerNorm.bias" in " ".join(read_adapter(tmp_path / "adapter").tensors())
    vectors = peft.PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=5)
    soft, _ = made.adapter_folder(tmp_path / "soft", base, vectors, auto="SequenceClassification")
    assert "soft prompt of an encoder" in refused(soft, tmp_path / "soft-out")


def test_temperature_and_threshold_of_the_base_are_not_the_adapters(tmp_path: Path) -> None:
    base = made.encoder_folder(tmp_path / "base")
    file = base / "hone.json"
    told = json.loads(file.read_text())
    told["renderer"] |= {"temperature": 2.5, "threshold": 0.31}
    file.write_text(json.dumps(told))
    config = peft.LoraConfig(task_type="SEQ_CLS", r=4, target_modules=["query"])
    adapter, _ = made.adapter_folder(tmp_path / "adapter", base, config, auto="SequenceClassification")
    found = read_adapter(adapter)
    lines = adapted(found, base, tmp_path / "out", made.wrap, "base")
    assert "left out: temperature (now 1) and threshold (now 0.5), chosen for the base's own" in lines[1]
    renderer: Any = ModelFolder(tmp_path / "out", made.wrap).renderer()
    assert (renderer.temperature, renderer.threshold) == (1.0, 0.5)
    (adapter / "hone.json").write_text(json.dumps(told))
    assert len(adapted(found, base, tmp_path / "own", made.wrap, "base")) == 1
    renderer = ModelFolder(tmp_path / "own", made.wrap).renderer()
    assert (renderer.temperature, renderer.threshold) == (2.5, 0.31)


def test_a_hone_json_that_is_not_whole_is_refused_with_what_it_lacks(base: Path, tmp_path: Path) -> None:
    adapter, _ = made.adapter_folder(tmp_path / "adapter", base, lora())
    told = json.loads((base / "hone.json").read_text())
    for wrong, said in (
        ({"kind": "generate"}, "hone.json has no labels, renderer, examples;"),
        ([], "hone.json has no kind, labels, renderer, examples;"),
        ({**told, "renderer": {"kind": "generate"}}, "its renderer or its examples cannot be read (KeyError: "),
        ({**told, "examples": [{}]}, "its renderer or its examples cannot be read (KeyError: "),
    ):
        (adapter / "hone.json").write_text(json.dumps(wrong))
        assert said in refused(adapter, tmp_path / "out")


SOFT = {
    "prompt tuning": lambda: peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5),
    "p-tuning": lambda: peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=5, encoder_hidden_size=16),
}


@pytest.mark.parametrize("name", SOFT)
@pytest.mark.parametrize("which", ["base", "untied"])
def test_rows_of_the_vocabulary_compute_what_the_vectors_did(
    request: pytest.FixtureRequest, tmp_path: Path, name: str, which: str
) -> None:
    base = request.getfixturevalue(which)
    adapter, attached = made.adapter_folder(tmp_path / "adapter", base, SOFT[name]())
    folder = plain(adapter, tmp_path / "out")
    soft = soft_prompt_of(folder.hone["renderer"])
    rows = int(ModelFolder(base, made.wrap).config["vocab_size"])
    assert soft == tuple(range(rows, rows + 5))
    found, expected = made.logits_of(folder.load(), [*soft, *IDS]), made.logits_of(attached, IDS)
    assert (found[:, :rows] - expected).abs().max() <= 1e-4
    before = made.logits_of(ModelFolder(base, made.wrap).load(), IDS)
    assert (found[5:, :rows] - before).abs().max() > 1e-2
    # No probability at all is left for the rows that were added, so that what is left is PEFT's own.
    assert (found[:, rows:] == MASKED_LOGIT).all()
    assert (found.log_softmax(-1)[:, :rows] - expected.log_softmax(-1)).abs().max() <= 1e-4
    assert (found.softmax(-1)[:, rows:] == 0).all()


def test_every_prompt_begins_with_the_soft_prompt_and_no_text_becomes_it(base: Path, tmp_path: Path) -> None:
    adapter, _ = made.adapter_folder(tmp_path / "adapter", base, SOFT["prompt tuning"]())
    folder = plain(adapter, tmp_path / "out")
    renderer, before = folder.renderer(), ModelFolder(base, made.wrap).renderer()
    soft, fields = list(renderer.soft_prompt), {"text": "<|prompt_0|> play", "intent": "play"}
    assert renderer.prompt_ids(fields) == [*soft, *before.prompt_ids(fields)]
    ours, theirs = renderer.example("1", fields), before.example("1", fields)
    assert ours.ids.tolist() == [*soft, *theirs.ids.tolist()]
    assert ours.supervised.tolist() == [False] * 5 + theirs.supervised.tolist()
    assert ours.prompt_len == theirs.prompt_len + 5
    assert renderer.tokenizer.decode(soft) == ""
    assert set(soft).isdisjoint(renderer.tokenizer.encode("<|prompt_0|><|prompt_4|>"))
    folder.verify()


def refused(adapter: Path, out: Path) -> str:
    with pytest.raises(InputError) as told:
        plain(adapter, out)
    assert not out.exists()
    return str(told.value)


def test_prefix_tuning_is_refused_with_the_reason(base: Path, tmp_path: Path) -> None:
    config = peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
    adapter, _ = made.adapter_folder(tmp_path / "adapter", base, config)
    told = refused(adapter, tmp_path / "out")
    assert "PREFIX_TUNING: its keys and values of every layer cannot be written as tokens" in told
    assert "train prompt tuning or LoRA" in told


@pytest.mark.parametrize("kind", sorted(REFUSED))
def test_types_that_are_no_plain_model_are_refused_by_name(base: Path, tmp_path: Path, kind: str) -> None:
    adapter, _ = made.adapter_folder(tmp_path / "adapter", base, lora())
    made.named_base(adapter, str(base), peft_type=kind)
    assert f"of type {kind}: " in refused(adapter, tmp_path / "out")
    assert kind in {one.value for one in peft.PeftType}


def test_what_peft_does_not_know_or_cannot_merge_is_refused_by_name(base: Path, tmp_path: Path) -> None:
    adapter, _ = made.adapter_folder(tmp_path / "adapter", base, lora())
    made.named_base(adapter, str(base), peft_type="OF_NEXT_YEAR")
    assert 'peft_type "OF_NEXT_YEAR" is not known to PEFT' in refused(adapter, tmp_path / "out")
    lily = peft.LilyConfig(task_type="CAUSAL_LM", r=4, stride_A=1, num_B=2, target_modules=["q_proj"])
    other, _ = made.adapter_folder(tmp_path / "lily", base, lily)
    assert "cannot merge adapters of type LILY" in refused(other, tmp_path / "out")


def test_pickles_are_refused_with_how_to_convert_them(base: Path, tmp_path: Path) -> None:
    adapter, _ = made.adapter_folder(tmp_path / "adapter", base, lora())
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    told = refused(adapter, tmp_path / "out")
    assert "adapter_model.bin" in told
    assert "opening a pickle runs the code inside it" in told
    assert "save_pretrained writes safetensors" in told


def test_the_base_is_found_beside_the_adapter_and_named_where_it_is_not(base: Path, tmp_path: Path) -> None:
    adapter, _ = made.adapter_folder(tmp_path / "adapter", base, lora())
    (tmp_path / "here").symlink_to(base)
    assert base_of(read_adapter(made.named_base(adapter, "here")))[1].resolve() == base.resolve()
    assert "names no base (base_model_name_or_path)" in refused(made.named_base(adapter, None), tmp_path / "out")
    told = refused(made.named_base(adapter, "nobody/nothing"), tmp_path / "out")
    assert 'base "nobody/nothing" is not a folder here' in told
    told = refused(made.named_base(adapter, "nobody/nothing", revision="v2"), tmp_path / "out")
    assert 'revision "v2"' in told


def test_an_adapter_of_another_base_is_refused_with_a_tensor_that_has_no_place(base: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    adapter, _ = made.adapter_folder(tmp_path / "adapter", base, lora())
    file = adapter / "adapter_model.safetensors"
    tensors = load_file(file)
    name = next(one for one in tensors if "layers.1.self_attn.q_proj.lora_A" in one)
    save_file({**tensors, name.replace("layers.1", "layers.7"): tensors[name].clone()}, file)
    assert f"{name.replace('layers.1', 'layers.7')} has no place in this base" in refused(adapter, tmp_path / "out")
    save_file({one: tensor for one, tensor in tensors.items() if one != name}, file)
    assert f"has no {name}, which its configuration asks for" in refused(adapter, tmp_path / "out")
    save_file({**tensors, name: tensors[name][:, :-1].contiguous()}, file)
    assert "is no adapter of this base" in refused(adapter, tmp_path / "out")


def test_a_configuration_that_says_too_little_is_refused(base: Path, tmp_path: Path) -> None:
    adapter, _ = made.adapter_folder(tmp_path / "adapter", base, SOFT["prompt tuning"]())
    assert "num_virtual_tokens 'five'" in refused(
        made.named_base(adapter, str(base), num_virtual_tokens="five"), tmp_path / "out"
    )
    assert "names no peft_type" in refused(made.named_base(adapter, str(base), peft_type=None), tmp_path / "out")
    (adapter / "adapter_config.json").write_text("[]")
    assert "names no peft_type" in refused(adapter, tmp_path / "out")
    made.adapter_folder(tmp_path / "lora", base, lora())
    told = refused(made.named_base(tmp_path / "lora", str(base), megatron_config={}, megatron_core="x"), tmp_path / "o")
    assert "megatron" in told


@pytest.mark.parametrize("kind", ["LoRA", "DoRA", "IA3"])
def test_an_adapter_that_changes_nothing_is_refused(base: Path, tmp_path: Path, kind: str) -> None:
    from transformers import AutoModelForCausalLM

    module = AutoModelForCausalLM.from_pretrained(base)
    peft.get_peft_model(module, MERGED[kind]()).save_pretrained(tmp_path / "adapter")
    assert "changes no weight of its base: it was never trained" in refused(tmp_path / "adapter", tmp_path / "out")


def test_vectors_that_do_not_fit_are_refused_with_both_numbers(base: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    adapter, _ = made.adapter_folder(tmp_path / "adapter", base, SOFT["prompt tuning"]())
    file = adapter / "adapter_model.safetensors"
    save_file({"prompt_embeddings": torch.zeros(5, 48)}, file)
    assert "vectors have 48 numbers, the embedding of its base 32" in refused(adapter, tmp_path / "out")
    save_file({"prompt_embeddings": torch.zeros(4, 32)}, file)
    assert "PROMPT_TUNING of 5 virtual tokens has one tensor" in refused(adapter, tmp_path / "out")
    file.write_bytes(b"cut off")
    with pytest.raises(FailedError, match="not a whole file of weights"):
        plain(adapter, tmp_path / "out")
    made.named_base(adapter, str(base), num_virtual_tokens=63)
    save_file({"prompt_embeddings": torch.zeros(63, 32)}, file)
    assert "63 vectors leave no room for a prompt in a context of 64" in refused(adapter, tmp_path / "out")


def test_without_peft_the_sentence_says_how_to_get_it(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter, _ = made.adapter_folder(tmp_path / "adapter", base, lora())
    soft, _ = made.adapter_folder(tmp_path / "soft", base, SOFT["prompt tuning"]())
    monkeypatch.setitem(sys.modules, "peft", None)
    assert 'pip install "hone-lm[adapters]"' in refused(adapter, tmp_path / "out")
    plain(soft, tmp_path / "soft-out")


def test_a_model_with_a_soft_prompt_is_no_base_and_an_adapter_no_model(base: Path, tmp_path: Path) -> None:
    adapter, _ = made.adapter_folder(tmp_path / "adapter", base, SOFT["prompt tuning"]())
    folder = plain(adapter, tmp_path / "out")
    with pytest.raises(InputError, match="has a soft prompt of 5 tokens, which training would leave out"):
        open_base(str(folder.path), made.wrap)
    again, _ = made.adapter_folder(tmp_path / "again", base, SOFT["prompt tuning"]())
    assert "has a soft prompt of 5 vectors already" in refused(made.named_base(again, str(folder.path)), tmp_path / "o")
    with pytest.raises(InputError, match="is an adapter of type PROMPT_TUNING: hone export makes a model of it"):
        ModelFolder(adapter, made.wrap)
