"""Model folders: whole or absent, the same model again, and refused when anything in them changed (laws 4 and 10)."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from hone.data.tokenizer import TextTokenizer, train_tokenizer
from hone.errors import FailedError, InputError
from hone.model.base import open_base
from hone.model.folder import ModelFolder, save_model_folder, verify_examples
from hone.model.presets import PRESETS, from_scratch, shape_of
from hone.task.recipe import Recipe
from hone.task.render import SPECIALS, Renderer

TEXTS = ["play some jazz", "book a table for two", "Größe 😀 <|end|> stays text", "weather in New York"]
ROWS = [{"text": text, "intent": name} for text, name in zip(TEXTS, ("play", "book", "odd", "weather"), strict=True)]


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return train_tokenizer(TEXTS * 3, 300)


@pytest.fixture(scope="module")
def renderer(tokenizer: TextTokenizer) -> Renderer:
    return Renderer(
        kind="extract", input_template="{text}", output_template={"intent": "{intent}"}, tokenizer=tokenizer
    )


@pytest.fixture(scope="module")
def module(tokenizer: TextTokenizer) -> Any:
    return from_scratch(shape_of(Recipe(base="scratch:tiny"), tokenizer.vocab_size), 0)


@pytest.fixture(scope="module")
def made(module: Any, tokenizer: TextTokenizer, renderer: Renderer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    stored = [renderer.stored_example(f"t:{index}", row) for index, row in enumerate(ROWS)]
    path = tmp_path_factory.mktemp("models") / "model"
    return save_model_folder(path, module, tokenizer, renderer, stored, {"task": "t", "recipe": "r"})


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "model"))


def edit(path: Path, change: Any) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_the_folder_gives_the_same_model_tokenizer_and_renderer_again(folder: Path, module: Any) -> None:
    opened = ModelFolder(folder, TextTokenizer)
    loaded = opened.load()
    ids = torch.tensor([[1, 9, 20, 33, 2]])
    with torch.no_grad():
        assert torch.equal(loaded(input_ids=ids).logits, module.eval()(input_ids=ids).logits)
    renderer = opened.renderer()
    assert [renderer.example("x", row).ids.tolist() for row in ROWS] == [e["ids"] for e in opened.hone["examples"]]
    assert (opened.hone["task"], opened.hone["kind"], opened.config["model_type"]) == ("t", "extract", "qwen3")


def test_a_template_that_changed_is_refused_with_the_first_different_id(folder: Path) -> None:
    verify_examples(folder, TextTokenizer)
    edit(folder / "hone.json", lambda data: data["renderer"].update(input="{text}!"))
    with pytest.raises(FailedError, match=r"row t:0 renders differently.*id \d+ is \d+, stored \d+"):
        verify_examples(folder, TextTokenizer)


def test_a_tokenizer_that_changed_is_refused(folder: Path) -> None:
    other = train_tokenizer(["entirely other words in here"] * 3, 300)
    other.save(folder)
    with pytest.raises(FailedError, match=r"tokenizer.json has SHA-256"):
        ModelFolder(folder, TextTokenizer).load()
    with pytest.raises(FailedError, match="renders differently"):
        ModelFolder(folder, TextTokenizer).renderer()


def test_one_changed_bit_of_the_weights_is_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(FailedError, match=r"model.safetensors has SHA-256 .* was written"):
        ModelFolder(folder, TextTokenizer).load()


def test_a_stored_example_that_does_not_render_so_writes_nothing(
    module: Any, tokenizer: TextTokenizer, renderer: Renderer, tmp_path: Path
) -> None:
    wrong = renderer.stored_example("t:0", ROWS[0])
    wrong["ids"][0] += 1
    with pytest.raises(FailedError, match="t:0"):
        save_model_folder(tmp_path / "model", module, tokenizer, renderer, [wrong], {})
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 100 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
def test_a_write_that_fails_half_way_leaves_nothing(
    module: Any, tokenizer: TextTokenizer, renderer: Renderer, tmp_path: Path
) -> None:
    with pytest.raises(FailedError, match="could not write the"):
        save_model_folder(tmp_path / "model", module, tokenizer, renderer, [], {})
    assert list(tmp_path.iterdir()) == []


def test_meta_cannot_replace_what_the_folder_says_of_itself(
    module: Any, tokenizer: TextTokenizer, renderer: Renderer, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="format, hashes cannot be given"):
        save_model_folder(tmp_path / "m", module, tokenizer, renderer, [], {"hashes": {}, "format": 2, "task": "t"})


def test_a_pickle_is_refused_with_the_reason(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    for opener in (lambda: ModelFolder(folder, TextTokenizer), lambda: open_base(str(folder), TextTokenizer)):
        with pytest.raises(InputError, match=r"pytorch_model.bin.*opening a pickle runs the code inside it"):
            opener()


def test_a_model_that_brings_code_is_refused(folder: Path) -> None:
    edit(folder / "config.json", lambda data: data.update(auto_map={"AutoModelForCausalLM": "modeling_own.Own"}))
    with pytest.raises(InputError, match="runs no code that comes with a model"):
        open_base(str(folder), TextTokenizer)


def test_what_is_not_a_model_folder_says_what_is_missing(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        ModelFolder(tmp_path / "nowhere", TextTokenizer)
    (folder / "hone.json").unlink()
    with pytest.raises(InputError, match=r"has no hone.json"):
        ModelFolder(folder, TextTokenizer)
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match=r"has no config.json"):
        open_base(str(folder), TextTokenizer)


def test_a_base_without_a_tensor_is_refused_instead_of_filled_with_random_numbers(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        FailedError, match=r"lack 1 of the model's tensors, the first model.layers.1.mlp.up_proj.weight"
    ):
        _ = open_base(str(folder), TextTokenizer).module


def test_hones_own_folder_is_a_base_with_nothing_to_add(folder: Path, module: Any) -> None:
    base = open_base(str(folder), TextTokenizer)
    assert base.added_tokens == 0
    assert base.tokenizer.vocab_size == module.config.vocab_size
    for name, value in base.module.state_dict().items():
        assert torch.equal(value, module.state_dict()[name]), name


def test_a_foreign_base_gets_the_special_tokens_that_it_lacks(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    rust = Tokenizer(models.BPE())
    rust.pre_tokenizer, rust.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    rust.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=270, initial_alphabet=alphabet, show_progress=False))
    size = rust.get_vocab_size()
    shape = shape_of(Recipe(base="scratch:tiny"), size)
    module: Any = from_scratch(shape, 0)
    module.save_pretrained(tmp_path)
    rust.save(str(tmp_path / "tokenizer.json"))
    base = open_base(str(tmp_path), TextTokenizer, labels=("no", "yes"))
    assert base.added_tokens == len(SPECIALS) + 2
    assert [base.tokenizer.special_id(name) for name in (*SPECIALS, "<|label:yes|>")] == [
        *range(size, size + 4),
        size + 5,
    ]
    opened: Any = base.module
    embedding = opened.get_input_embeddings().weight
    assert embedding.shape[0] == opened.config.vocab_size == size + 6
    assert torch.equal(embedding[:size], module.get_input_embeddings().weight)
    assert torch.allclose(embedding[size], embedding[:size].mean(dim=0))
    assert base.tokenizer.encode("<|end|>") == rust.encode("<|end|>").ids  # text stays text


def test_without_a_network_an_unknown_base_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="is not a folder here, and the hub did not give it") as refusal:
        open_base("nobody/nothing", TextTokenizer)
    assert "\n" not in str(refusal.value)
    with pytest.raises(InputError, match="not a hub id"):
        open_base("./models/nothing", TextTokenizer)


def test_the_presets_can_be_opened_by_a_plain_transformers_user(folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.hidden_size == PRESETS["tiny"].hidden
    own = TextTokenizer.open(folder)
    theirs = AutoTokenizer.from_pretrained(folder)
    assert [theirs.encode(text, add_special_tokens=False) for text in TEXTS] == [own.encode(text) for text in TEXTS]
