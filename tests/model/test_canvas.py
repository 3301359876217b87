"""Is a base a base? Planted signs are found and told in sentences, healthy bases are left alone, MiniLM is found out.

Facts from outside: the card of all-MiniLM-L6-v2 says that it was tuned contrastively from
nreimers/MiniLM-L6-H384-uncased; stories260K was trained on stories alone; BERT says of itself that it is raw, mostly
to be fine-tuned.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign_bases import write_base

from hone.data.tokenizer import TextTokenizer
from hone.model.base import Base, open_base
from hone.model.canvas import Canvas, inspect, judged
from hone.model.neutral import neutral_texts
from hone.model.probe import CHATS, QUESTIONS
from hone.model.signs import Sign

BASE_CARD = """---
license: apache-2.0
pipeline_tag: fill-mask
tags: [exbert]
---
# A model
Pretrained model on English text. You can use the raw model, but it is mostly intended to be fine-tuned on a downstream
task. When fine-tuned on downstream tasks, this model achieves the following results. It was introduced by somebody.
"""
TUNED_CARD = """# Model
This model is a fine-tuned version of [somebody/plain-1b](https://example.org) on a set of letters.
"""


def found(folder: Path, **rest: Any) -> Canvas:
    return inspect(open_base(str(folder), TextTokenizer, **rest), behaviour=False)


def write(folder: Path, name: str, content: Any) -> None:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))


def edit(folder: Path, name: str, **changes: Any) -> None:
    path = folder / name
    write(folder, name, {**(json.loads(path.read_text()) if path.is_file() else {}), **changes})


def test_minilm_is_found_to_be_tuned_and_its_base_is_named(minilm: Path) -> None:
    canvas = inspect(open_base(str(minilm), TextTokenizer, ("a", "b"), head="classify-sequence"))
    assert (canvas.verdict, canvas.parent) == ("tuned", "nreimers/MiniLM-L6-H384-uncased")
    text = "\n".join(canvas.lines())
    assert text.startswith("warning: ")
    assert "base: nreimers/MiniLM-L6-H384-uncased" in text
    for part in ("Sentence Transformers", "contrastive", "sentence-similarity", "mean cosine of 0."):
        assert part in text, part
    assert {sign.where for sign in canvas.evidence if sign.strong} == {"files", "card", "behaviour"}
    assert json.loads(json.dumps(canvas.to_json()))["verdict"] == "tuned"


def test_healthy_decoders_are_left_alone(stories: Path, make_base: Any) -> None:
    for path in (stories, make_base("llama"), make_base("gpt2", "tiny-base")):
        canvas = inspect(open_base(str(path), TextTokenizer))
        assert (canvas.verdict, canvas.lines()[0].startswith("warning")) == ("base", False), canvas.lines()


def trained(base: Base, step: Callable[[Any], torch.Tensor], steps: int) -> None:
    """Train a base's module in place."""
    module: Any = base.module.train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2)
    for _ in range(steps):
        step(module).backward()
        optimizer.step()
        optimizer.zero_grad()
    module.eval()


def test_an_encoder_that_predicts_words_is_left_alone(tmp_path: Path) -> None:
    folder = write_base(tmp_path / "words-tiny", "bert")
    base = open_base(str(folder), TextTokenizer, head="masked-tokens")
    text = base.tokenizer.encode(" ".join(neutral_texts()))
    ids = torch.tensor(text[: len(text) // 120 * 120]).view(-1, 120)[:16]
    mask = int(base.vocabulary.rust.token_to_id("[MASK]"))
    generator = torch.Generator().manual_seed(0)

    def step(module: Any) -> torch.Tensor:
        hidden = torch.rand(ids.shape, generator=generator) < 0.15
        logits = module(input_ids=ids.masked_fill(hidden, mask)).logits
        return torch.nn.functional.cross_entropy(logits[hidden], ids[hidden])

    trained(base, step, 60)
    base.module.save_pretrained(folder)  # type: ignore[operator]
    canvas = inspect(open_base(str(folder), TextTokenizer, head="masked-tokens"))
    assert canvas.verdict == "base", canvas.lines()
    assert any(sign.speaks == "base" and "it predicts masked words" in sign.sentence for sign in canvas.evidence)


PLANTS: list[tuple[str, str, Callable[[Path], Any], str, str]] = [
    ("llama", "tiny-instruct", lambda folder: None, "tuned", '"tiny-instruct" has instruct in it'),
    ("llama", "tiny-chat-dpo", lambda folder: None, "tuned", "has chat, dpo in it"),
    ("llama", "tiny-2b-it", lambda folder: None, "unclear", "often means tuned"),
    ("bert", "bert-fine-tuned-x", lambda folder: None, "tuned", "has finetuned in it"),
    ("bert", "a", lambda folder: edit(folder, "config.json", finetuning_task="mnli"), "tuned", 'task is "mnli"'),
    (
        "bert",
        "b",
        lambda folder: edit(folder, "config.json", id2label={"0": "toxic", "1": "clean"}),
        "tuned",
        "id2label names 2 classes, such as toxic, clean",
    ),
    ("bert", "c", lambda folder: edit(folder, "config.json", problem_type="regression"), "tuned", "problem_type"),
    (
        "bert",
        "d",
        lambda folder: edit(folder, "config.json", architectures=["BertForTokenClassification"]),
        "tuned",
        "saved as BertForTokenClassification",
    ),
    (
        "bert",
        "e",
        lambda folder: write(folder, "modules.json", [{"type": "sentence_transformers.models.Pooling"}]),
        "tuned",
        "Sentence Transformers",
    ),
    (
        "llama",
        "f",
        lambda folder: write(folder, "trainer_state.json", {}),
        "unclear",
        "a fine-tuning run leaves behind",
    ),
    ("llama", "g", lambda folder: write(folder, "README.md", TUNED_CARD), "tuned", "fine-tuned version of"),
    (
        "llama",
        "h",
        lambda folder: write(folder, "README.md", "---\nbase_model: [one/plain]\ntags: [trl]\n---\n"),
        "tuned",
        "it is tagged trl",
    ),
    (
        "llama",
        "i",
        lambda folder: edit(folder, "tokenizer_config.json", chat_template="{{ messages }}"),
        "unclear",
        "it has a chat template",
    ),
    (
        "llama",
        "j",
        lambda folder: edit(folder, "hone.json", kind="classify", task="tickets", base="scratch:1m"),
        "tuned",
        'hone trained it on the task "tickets" (classify)',
    ),
]


@pytest.mark.parametrize(("family", "name", "plant", "verdict", "said"), PLANTS, ids=[plant[1] for plant in PLANTS])
def test_a_planted_sign_is_found(
    family: str, name: str, plant: Callable[[Path], Any], verdict: str, said: str, make_base: Any
) -> None:
    folder = make_base(family, name)
    plant(folder)
    canvas = found(folder, head="masked-tokens" if family == "bert" else "next-token")
    assert canvas.verdict == verdict, canvas.lines()
    assert said in "\n".join(canvas.lines())


def test_what_a_base_says_of_itself_is_no_sign(make_base: Any) -> None:
    folder = make_base("bert", "plain-uncased")
    write(folder, "README.md", BASE_CARD)
    edit(folder, "config.json", architectures=["BertForMaskedLM"], id2label={"0": "LABEL_0", "1": "LABEL_1"})
    canvas = found(folder, head="masked-tokens")
    assert (canvas.verdict, canvas.parent) == ("base", None), canvas.lines()
    written = make_base("llama", "own")
    edit(written, "hone.json", kind="language-model", task="novels", base="scratch:1m")
    assert found(written).verdict == "base"


def test_the_base_of_a_base_is_named_by_card_config_or_hone(make_base: Any) -> None:
    folder = make_base("llama", "one")
    assert found(folder).parent is None
    edit(folder, "config.json", _name_or_path="maker/plain-7m")
    assert found(folder).parent == "maker/plain-7m"
    write(folder, "README.md", TUNED_CARD)
    assert found(folder).parent == "somebody/plain-1b"
    write(folder, "README.md", f"---\nbase_model: maker/first\n---\n{TUNED_CARD}")
    assert found(folder).parent == "maker/first"
    edit(folder, "hone.json", kind="extract", task="t", base="../models/mother")
    assert found(folder).parent == "../models/mother"


def test_a_card_that_is_no_text_is_no_evidence(make_base: Any) -> None:
    folder = make_base("llama", "odd")
    (folder / "README.md").write_bytes(b"---\n: [}{\n---\n\xff\xfe fine")
    (folder / "modules.json").write_text("{not json")
    assert found(folder).verdict == "base"


def test_one_weak_sign_is_unclear_two_are_tuning_and_a_good_one_outweighs_one() -> None:
    weak, good = Sign(where="x", sentence="weak"), Sign(where="x", sentence="good", speaks="base")
    strong = Sign(where="x", sentence="strong", strong=True)

    def verdict(*signs: Sign) -> str:
        return judged("r", None, signs).verdict

    assert [verdict(), verdict(weak), verdict(weak, good), verdict(weak, weak), verdict(good, strong)] == [
        "base",
        "unclear",
        "base",
        "tuned",
        "tuned",
    ]


def rows_of(base: Base, texts: Sequence[str], end: int | None) -> torch.Tensor:
    """(rows, 96) ids with their special tokens recognised, -100 behind."""
    rust = base.vocabulary.rust
    rust.encode_special_tokens = False
    rows = [[*rust.encode(text).ids, *([end] if end is not None else [])][:96] for text in texts]
    rust.encode_special_tokens = True
    return torch.tensor([row + [-100] * (96 - len(row)) for row in rows])


def taught(folder: Path, texts: Sequence[str], prose: Sequence[str], steps: int) -> None:
    """A base that has learned texts with an end, and prose without, by heart."""
    base = open_base(str(folder), TextTokenizer)
    end = base.vocabulary.rust.token_to_id("[SEP]")
    targets = torch.cat([rows_of(base, texts, end), rows_of(base, prose, None)])
    trained(base, lambda module: module(input_ids=targets.clamp(min=0), labels=targets).loss, steps)
    module: Any = base.module
    module.resize_token_embeddings(base.vocabulary.before)
    module.save_pretrained(folder)


@pytest.fixture
def talker(tmp_path: Path) -> Path:
    """A decoder whose tokenizer has ChatML's tokens and an end."""
    from tokenizers import Tokenizer

    folder = write_base(tmp_path / "talker", "llama", vocab_size=310)
    path = folder / "tokenizer.json"
    rust = Tokenizer.from_file(str(path))
    rust.add_special_tokens(["[SEP]"])
    rust.add_tokens(["<|im_start|>", "<|im_end|>"])
    rust.save(str(path))
    write(folder, "special_tokens_map.json", {"eos_token": "[SEP]"})
    return folder


def test_a_decoder_that_refuses_and_ends_instead_of_continuing_is_found(talker: Path) -> None:
    texts = [f"{question}\nI'm sorry, but I can't help." for question in QUESTIONS]
    taught(talker, texts, [text[:400] for text in neutral_texts()[:6]], 150)
    canvas = inspect(open_base(str(talker), TextTokenizer))
    told = [sign.sentence for sign in canvas.evidence if sign.where == "behaviour" and sign.strong]
    assert any("it refuses or speaks of itself after" in sentence for sentence in told), canvas.lines()
    assert any("it answers instead of continuing" in sentence for sentence in told), canvas.lines()
    assert canvas.verdict == "tuned"


def test_a_decoder_that_expects_the_marks_of_a_chat_is_found(talker: Path) -> None:
    opening, closing = CHATS["ChatML"]
    texts = [f"{opening}{question}{closing}Well" for question in (*QUESTIONS, "And now?", "Who?", "Go on, tell me.")]
    taught(talker, texts, [text[:400] for text in neutral_texts()[:3]], 60)
    canvas = inspect(open_base(str(talker), TextTokenizer))
    marks = [sign for sign in canvas.evidence if "the marks of ChatML behind a user's turn" in sign.sentence]
    assert len(marks) == 1, canvas.lines()
    assert canvas.verdict == "tuned"
