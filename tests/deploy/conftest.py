"""A small model folder with everything that an export needs, built once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hone.data.rows import Row
from hone.data.tokenizer import TextTokenizer, train_tokenizer
from hone.task.render import Example, Renderer
from hone.task.spec import Task

WORDS = (
    *("play", "the", "song", "weather", "in", "paris", "tomorrow", "rate"),
    *("a", "book", "table", "for", "two", "people", "find", "movie", "caf\u00e9"),
)


@dataclass(frozen=True, kw_only=True)
class Built:
    """A random Llama of width 64 with its tokenizer, renderer and rendered rows."""

    folder: Path
    module: Any
    tokenizer: TextTokenizer
    renderer: Renderer
    examples: tuple[Example, ...]


def sentence(number: int) -> str:
    return " ".join(WORDS[(number * step + step) % len(WORDS)] for step in range(1, 8))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from hone.model.folder import save_model_folder

    torch.set_num_threads(1)
    texts = [f' {sentence(number)} {{"intent":" play","n":"{number}"}}' for number in range(200)]
    tokenizer = train_tokenizer(texts, 400)
    renderer = Renderer(
        kind="extract", input_template="{text}", output_template={"intent": "{intent}"}, tokenizer=tokenizer
    )
    rows = [{"text": sentence(number), "intent": WORDS[number % len(WORDS)]} for number in range(40)]
    rows[3] = {"text": " leading <|end|> na\u00efve \U0001f600", "intent": "<|answer|>"}
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=192,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        initializer_range=0.08,
    )
    module = LlamaForCausalLM(config).eval()
    folder = tmp_path_factory.mktemp("model") / "model"
    stored = [renderer.stored_example(f"dev:{number}", row) for number, row in enumerate(rows[:8])]
    meta = {"task": "toy", "recipe": "0" * 12, "base": {"name": "scratch"}}
    save_model_folder(folder, module, tokenizer, renderer, stored, meta)
    examples = tuple(renderer.example(f"dev:{number}", row) for number, row in enumerate(rows))
    return Built(folder=folder, module=module, tokenizer=tokenizer, renderer=renderer, examples=examples)


@pytest.fixture(scope="session")
def artifacts(built: Built, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same model in each weight format that its rows of 64 and 192 weights can have."""
    from hone.deploy.gguf.writing import export

    folder = tmp_path_factory.mktemp("artifacts")
    names = ("f32", "f16", "q8_0", "q5_0", "q4_0")
    return {name: export(built.folder, name, folder / f"toy-{name}.gguf") for name in names}


@pytest.fixture(scope="session")
def onnx_artifacts(built: Built, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same model as ``model.onnx`` in each weight format that its rows of 64 and 192 weights can have."""
    from hone.deploy.onnx.writing import export
    from hone.deploy.weights import formats_of

    folder = tmp_path_factory.mktemp("onnx")
    fitting = [one.name for one in formats_of("onnx") if 64 % one.block == 192 % one.block == 0]
    return {name: export(built.folder, name, folder / name) for name in fitting}


ROWS = tuple(
    {
        "text": f"play {sentence(number)} <|end|> caf\u00e9",
        "place": "paris",
        "intent": "play" if number % 2 else "rate",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": f"a song {number}"},
            {"role": "assistant", "content": "which one?"},
            {"role": "user", "content": "any <|end|>"},
            {"role": "assistant", "content": "gladly"},
        ],
    }
    for number in range(8)
)
CONVERSATION = {"conversation": "{messages}", "supervise": ["assistant"], "longest": 40}


@pytest.fixture(scope="session")
def plain_model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Makes a random Llama of width 64 for a kind of task, without torch: its model folder and its renderer."""

    def make(kind: str, template: Any = "{text}", labels: tuple[str, ...] = ()) -> tuple[Path, Renderer]:
        import json

        import numpy as np
        from safetensors.numpy import save_file

        from hone.deploy.decoders import decoder_shape
        from hone.task.conversation import MARKS, form_of
        from hone.task.render import SPECIALS

        marks = tuple(MARKS.values()) if form_of(template) is not None else ()
        texts = [f' {sentence(number)} {{"intent":" play"}} caf\u00e9' for number in range(50)]
        tokenizer = train_tokenizer(texts, 320, labels, specials=(*SPECIALS, *marks))
        renderer = Renderer(
            kind=kind,
            input_template=template,
            output_template={"intent": "{intent}"} if kind == "extract" else "{intent}",
            tokenizer=tokenizer,
            labels=labels,
            longest_answer=12,
        )
        config = {"model_type": "llama", "vocab_size": tokenizer.vocab_size, "hidden_size": 64}
        config |= {"intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
        config |= {"num_key_value_heads": 2, "max_position_embeddings": 96, "rms_norm_eps": 1e-6}
        config |= {"tie_word_embeddings": True}
        sizes = {"embed_tokens": (tokenizer.vocab_size, 64), "gate_proj": (128, 64), "up_proj": (128, 64)}
        sizes |= {"down_proj": (64, 128), "k_proj": (32, 64), "v_proj": (32, 64)}
        random = np.random.default_rng(0)
        weights = {
            name: np.ones(64, dtype=np.float32)
            if "norm" in name
            else random.normal(0, 0.15, next((s for part, s in sizes.items() if part in name), (64, 64)))
            for name in decoder_shape(config).tensors()
        }
        folder = tmp_path_factory.mktemp(kind) / "model"
        folder.mkdir()
        save_file({name: value.astype(np.float32) for name, value in weights.items()}, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(config))
        stored = [renderer.stored_example(f"dev:{number}", row) for number, row in enumerate(ROWS)]
        hone = {"format": 1, "kind": kind, "labels": list(labels), "task": "toy", "renderer": renderer.to_json()}
        hone |= {"examples": stored, "hashes": {}, "base": "scratch", "recipe": "0" * 12, "data": "f" * 12}
        (folder / "hone.json").write_text(json.dumps(hone))
        tokenizer.save(folder)
        return folder, renderer

    return make


@pytest.fixture(scope="session")
def plain_encoder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Makes a random BERT of width 64, without torch: its model folder and its renderer.

    Kinds: ``classify``, ``multi-label``, ``tag``, ``embed``. A head over rows reads BERT's pooler, or with ``mean`` the
    mean of all states; vectors are pooled by ``mean`` or ``cls`` and divided by their lengths, or not.
    """

    def make(kind: str, pooling: str = "cls", normalised: bool = False) -> tuple[Path, Any]:
        import json

        import numpy as np
        from safetensors.numpy import save_file

        from hone.data.tokenizer import ENCODER_SPECIALS
        from hone.deploy.encoders import encoder_shape
        from hone.task.embedding import EmbeddingRenderer
        from hone.task.encoding import EncoderRenderer

        tokenizer = train_tokenizer([sentence(number) for number in range(50)], 320, specials=ENCODER_SPECIALS)
        renderer: EncoderRenderer
        if kind == "embed":
            marks = tokenizer.encoder_marks
            renderer = EmbeddingRenderer(tokenizer=tokenizer, marks=marks, pooling=pooling, normalised=normalised)
        else:
            renderer = EncoderRenderer(
                kind=kind,
                input_template="{text}",
                output_template="{answer}",
                tokenizer=tokenizer,
                marks=tokenizer.encoder_marks,
                labels=("city",) if kind == "tag" else ("play", "rate", "none"),
                subtokens="all",  # so that golden vectors say a tag for every token
                temperature=0.8,
                threshold=0.4,
            )
        heads = {"tag": "BertForTokenClassification", "embed": "BertModel"}
        config = {"model_type": "bert", "architectures": [heads.get(kind, "BertForSequenceClassification")]}
        config |= {"vocab_size": tokenizer.vocab_size, "hidden_size": 64, "intermediate_size": 128}
        config |= {"num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 96}
        config |= {"classifier_pooling": "mean"} if pooling == "mean" and kind != "embed" else {}
        shape = encoder_shape(config, ["bert.embeddings"] if kind != "embed" else [])
        rows = {"word_embeddings": shape.vocab, "position_embeddings": shape.context, "token_type_embeddings": 2}
        rows |= {"intermediate": 128, "classifier": len(renderer.outputs)}
        random = np.random.default_rng(0)

        def values(name: str) -> Any:
            count = next((count for part, count in rows.items() if part in name), 64)
            if "LayerNorm" in name:
                return np.ones(64) if name.endswith("weight") else np.zeros(64)
            inner = name.endswith("output.dense.weight") and "attention" not in name
            wanted = (count,) if name.endswith("bias") else (count, 128 if inner else 64)
            # Words decide: their rows are far larger than what all rows of text share.
            spread = {"word_embeddings": 1.0, "classifier.weight": 0.5}
            return random.normal(0, next((one for part, one in spread.items() if part in name), 0.1), wanted)

        folder = tmp_path_factory.mktemp(kind) / "model"
        folder.mkdir()
        weights = {name: values(name).astype(np.float32) for name in shape.tensors()}
        save_file(weights, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(config))
        answers = {"multi-label": ["play"], "tag": []}
        fields = [{"text": row["text"], "answer": answers.get(kind, "play")} for row in ROWS]
        stored = [renderer.stored_example(f"dev:{number}", row) for number, row in enumerate(fields)]
        hone = {"format": 1, "kind": kind, "labels": list(renderer.labels), "renderer": renderer.to_json()}
        hone |= {"task": "toy", "examples": stored, "hashes": {}, "base": "scratch", "recipe": "0" * 12, "data": ""}
        (folder / "hone.json").write_text(json.dumps(hone))
        tokenizer.save(folder)
        return folder, renderer

    return make


class Taken:
    """Stands for a certificate: what an application does with an artifact does not depend on it."""

    status = "certified"

    def write(self, folder: Path) -> None:
        pass


@pytest.fixture(scope="session")
def uncertified(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Makes an artifact of a model folder for a context of 96, without a certificate, which other tests are about."""
    from hone.deploy.artifact import making
    from hone.task.spec import Device

    def make(folder: Path, name: str, weights: str, witness: Any) -> Path:
        out = tmp_path_factory.mktemp("made") / name
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(making, "certify", lambda *_: Taken())
            making.export_certified(folder, out, weights, Device(context=96, prompt_tokens=16), witness)
        return out

    return make


STORIES = Path(__file__).parents[1] / "model" / "data" / "stories260K" / "stories260K.bin"


@pytest.fixture(scope="session")
def story_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published file of llama2.c as a model folder: what ``hone convert`` writes, without torch."""
    import json

    from safetensors.numpy import save_file

    from hone.model.llama2c import Llama2cFile, read_tensors

    folder, file = tmp_path_factory.mktemp("stories"), Llama2cFile(STORIES)
    save_file(read_tensors(STORIES), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(file.config))
    file.rust().save(str(folder / "tokenizer.json"))
    return folder


@dataclass(frozen=True, kw_only=True)
class Toy:
    """A random Llama of width 64 as a model folder, with its task and rows of it."""

    folder: Path
    renderer: Renderer
    rows: list[Row]
    task: Task


@pytest.fixture(scope="session")
def toy(plain_model: Any) -> Toy:
    folder, renderer = plain_model("extract")
    values = {"task": "toy", "kind": "extract", "data": {"train": "x"}, "input": "{text}", "target": 0.5}
    device = {"context": 96, "prompt_tokens": 16}
    task = Task.model_validate({**values, "output": {"intent": "{intent}"}, "metric": "field_f1", "device": device})
    rows = [Row(f"dev:{number}", {"text": sentence(number), "intent": "play"}) for number in range(40)]
    return Toy(folder=folder, renderer=renderer, rows=rows, task=task)


@pytest.fixture(scope="session")
def toy_witness(toy, tmp_path_factory):
    """The unspoiled model in 32 bits, by llama.cpp in this process: what is planted elsewhere is not in it."""
    pytest.importorskip("xllamacpp")
    from hone.deploy.certificate.original import Original
    from hone.deploy.certificate.witness import Witness
    from hone.deploy.runtime import runtime

    file = runtime("gguf").export(toy.folder, "f32", tmp_path_factory.mktemp("witness") / "toy.gguf")
    session = runtime("gguf").open(file, 1, toy.task.device.context, 8)
    yield Witness(
        renderer=toy.renderer,
        examples=[toy.renderer.example(row.id, row.fields) for row in toy.rows],
        original=Original(logprobs=session.logprobs, generate=session.generate),
        max_new_tokens=8,
        task=toy.task,
        rows=toy.rows,
    )
    session.close()
