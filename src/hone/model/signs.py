"""Signs of tuning that are written down: in a model's name, card, config, files and tokenizer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hone.errors import FailedError
from hone.files import read_json

if TYPE_CHECKING:
    from hone.model.base import Base

CARD = "README.md"
TUNED_NAMES = frozenset(
    {
        *("instruct", "instruction", "chat", "sft", "dpo", "rlhf", "orpo", "kto"),
        *("grpo", "ppo", "reward", "assistant", "finetuned", "finetune", "tuned", "squad"),
        *("squad2", "sst2", "mnli", "snli", "qqp", "sentiment", "emotion", "ner"),
        *("paraphrase", "zeroshot", "reranker", "retriever", "embedding", "embeddings", "simcse", "toxicity"),
        "summarization",
    }
)
"""Words of a model's name that tell what it was tuned for."""
MAYBE_NAMES = frozenset(["it", "aligned", "distill", "merged", "reasoning", "thinking", "qa", "rm"])
"""Words that may mean it: ``it`` is instruction-tuned or Italian."""
TUNED_TASKS = frozenset(
    {
        *("sentence-similarity", "text-classification", "token-classification", "question-answering"),
        *("text-ranking", "zero-shot-classification", "summarization", "translation"),
        *("conversational", "text2text-generation"),
    }
)
TUNED_TAGS = frozenset(
    [
        "sentence-transformers",
        "sft",
        "dpo",
        "rlhf",
        "trl",
        "conversational",
        "chat",
        "instruct",
        "generated_from_trainer",
    ]
)
TUNED_HEADS = ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice")
CHAT_TOKENS = (
    "<|im_start|>",
    "<|assistant|>",
    "<start_of_turn>",
    "<|start_header_id|>",
    "[INST]",
    "<|user|>",
    "<|eot_id|>",
)
STATED_TUNED = re.compile(
    r"(fine-?tuned\s+(version|variant)\s+of"
    r"|(was|is|been|model)\s+(further\s+)?(instruction-?|fine-?)\s?tuned\s+(on|using|with|for|from)"
    r"|we\s+(have\s+)?(then\s+)?fine-?tuned?\b|instruction[- ]tuned|and\s+fine-?tuned\s+(it|in|on)\b"
    r"|contrastive\s+(learning\s+)?objective|reinforcement learning from human|\bRLHF\b|preference optimi[sz]ation)",
    re.IGNORECASE,
)
"""Statements that the model itself was tuned; "is intended to be fine-tuned" is none."""
STATED_BASE = re.compile(
    r"(\braw model\b|\bpretrained (only|model on)\b|\bbase (language )?model (that|which) (has|was) not\b"
    r"|not (been )?(instruction-?|fine-?)tuned|is a base model)",
    re.IGNORECASE,
)
MODEL_ID = r"[\[`\"(]*([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*\w)"
STATED_PARENT = re.compile(
    r"(?:fine-?tuned (?:version|variant) of|fine-?tuned from|pre-?trained|based on|initiali[sz]ed (?:from|with)"
    r"|on top of)(?: the)?(?: model)?\s+" + MODEL_ID,
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sign:
    """One piece of evidence."""

    where: str
    """name, card, config, files, tokenizer or behaviour."""
    sentence: str
    speaks: Literal["tuned", "base"] = "tuned"
    strong: bool = False
    """Whether tuning alone leaves it behind."""


def written_signs(base: Base) -> list[Sign]:
    """Everything that the base's files say; nothing is loaded."""
    folder, config = base.folder, base.config
    card = Card(folder)
    tokenizer = _json(folder / "tokenizer_config.json")
    return [
        *_of_name(base.reference),
        *_of_config(config, base.reference),
        *_of_files(folder),
        *card.signs(),
        *_of_tokenizer(folder, tokenizer, base.vocabulary.rust),
    ]


def parent_of(base: Base) -> str | None:
    """The model that a base was made from, as its card, its config or hone says; None where nothing does."""
    hone = _json(base.folder / "hone.json").get("base")
    if isinstance(hone, str) and hone and not hone.startswith("scratch"):
        return hone
    named = Card(base.folder).parent
    path = base.config.get("_name_or_path")
    if named is None and isinstance(path, str) and re.fullmatch(MODEL_ID, path) and not _same(path, base.reference):
        return path
    return named


class Card:
    """A model card: front matter and text."""

    def __init__(self, folder: Path) -> None:
        path = folder / CARD
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        found = re.match(r"\A\ufeff?---\s*\n(.*?)\n---\s*\n", text, re.DOTALL)
        self.front = _yaml(found.group(1)) if found else {}
        self.text = text[found.end() :] if found else text

    @property
    def parent(self) -> str | None:
        """The base that the card names: in its front matter, else in its text."""
        named = self.front.get("base_model")
        first = named[0] if isinstance(named, list) and named else named
        if isinstance(first, str) and first.strip():
            return first.strip()
        found = STATED_PARENT.search(self.text)
        return found.group(1) if found else None

    def signs(self) -> Iterator[Sign]:
        """What the card says of tuning."""
        relation = self.front.get("base_model_relation")
        if self.front.get("base_model") and relation != "quantized":
            yield Sign(where="card", sentence=f'it names a base model of its own, "{self.parent}"', strong=True)
        task = self.front.get("pipeline_tag")
        if task in TUNED_TASKS:
            yield Sign(where="card", sentence=f'its task is "{task}", which a base is not made for', strong=True)
        tags = self.front.get("tags")
        found = sorted(TUNED_TAGS & set(map(str, tags))) if isinstance(tags, list) else []
        if found:
            yield Sign(where="card", sentence=f"it is tagged {', '.join(found)}", strong=True)
        if stated := STATED_TUNED.search(self.text):
            yield Sign(where="card", sentence=f'it says "{_sentence(self.text, stated.start())}"', strong=True)
        if stated := STATED_BASE.search(self.text):
            sentence = f'it says "{_sentence(self.text, stated.start())}"'
            yield Sign(where="card", sentence=sentence, speaks="base")


def _sentence(text: str, at: int) -> str:
    """The sentence around a place, on one line and not longer than 160 characters."""
    start = max(text.rfind(". ", 0, at), text.rfind("\n\n", 0, at), text.rfind("\n#", 0, at)) + 1
    ends = [end for mark in (". ", ".\n", "\n\n") if (end := text.find(mark, at)) >= 0]
    sentence = " ".join(text[start : min(ends, default=len(text))].split())
    return sentence if len(sentence) <= 160 else sentence[:157] + "..."


def _of_name(reference: str) -> Iterator[Sign]:
    name = reference.rstrip("/").rsplit("/", 1)[-1]
    words = re.split(r"[-_.\s]+", re.sub(r"fine[-_]tun", "finetun", name.lower()))
    if strong := [word for word in words if word in TUNED_NAMES]:
        yield Sign(where="name", sentence=f'"{name}" has {", ".join(strong)} in it', strong=True)
    elif weak := [word for word in words if word in MAYBE_NAMES]:
        yield Sign(where="name", sentence=f'"{name}" has {", ".join(weak)} in it, which often means tuned')


def _of_config(config: Mapping[str, Any], reference: str) -> Iterator[Sign]:
    if task := config.get("finetuning_task"):
        yield Sign(where="config", sentence=f'finetuning_task is "{task}"', strong=True)
    if kind := config.get("problem_type"):
        yield Sign(where="config", sentence=f'problem_type is "{kind}": it has been a classifier', strong=True)
    names = [str(value) for value in (config.get("id2label") or {}).values()]
    if own := [name for name in names if not re.fullmatch(r"LABEL_\d+", name)]:
        sentence = f"id2label names {len(own)} classes, such as {', '.join(own[:3])}"
        yield Sign(where="config", sentence=sentence, strong=True)
    for architecture in config.get("architectures") or []:
        if str(architecture).endswith(TUNED_HEADS):
            yield Sign(where="config", sentence=f"it was saved as {architecture}, with a task's head", strong=True)
    path = config.get("_name_or_path")
    if isinstance(path, str) and path and not _same(path, reference):
        yield Sign(where="config", sentence=f'_name_or_path is "{path}": it was made from that model')


def _of_files(folder: Path) -> Iterator[Sign]:
    modules = _json(folder / "modules.json")
    kinds = [str(part.get("type", "")).rsplit(".", 1)[-1] for part in modules if isinstance(part, dict)]
    if kinds or (folder / "config_sentence_transformers.json").is_file():
        sentence = (
            f"modules.json lists {', '.join(kinds) or 'nothing'}: it is a Sentence Transformers model, tuned so that"
        )
        yield Sign(where="files", sentence=f"{sentence} similar sentences have similar vectors", strong=True)
    for name in ("trainer_state.json", "training_args.bin", "adapter_config.json", "all_results.json"):
        if (folder / name).exists():
            yield Sign(where="files", sentence=f"{name} is what a fine-tuning run leaves behind")
    hone = _json(folder / "hone.json")
    if hone and hone.get("kind") != "language-model":
        sentence = f'hone trained it on the task "{hone.get("task", "?")}" ({hone.get("kind")})'
        yield Sign(where="files", sentence=sentence, strong=True)


def _of_tokenizer(folder: Path, config: Mapping[str, Any], rust: Any) -> Iterator[Sign]:
    template = config.get("chat_template") or (folder / "chat_template.jinja").is_file()
    if template:
        yield Sign(where="tokenizer", sentence="it has a chat template: it was made to answer in turns")
    tokens = [token for token in CHAT_TOKENS if rust.token_to_id(token) is not None]
    if tokens:
        yield Sign(where="tokenizer", sentence=f"it has tokens for turns of a chat: {', '.join(tokens)}")


def _same(path: str, reference: str) -> bool:
    """Whether a stored path is the model's own name, or a place that says nothing."""
    last = path.rstrip("/").rsplit("/", 1)[-1]
    return last == reference.rstrip("/").rsplit("/", 1)[-1] or "/" not in path or path.startswith((".", "/", "~"))


def _json(path: Path) -> Any:
    """A file's content, or nothing: a card or a list that cannot be read is no evidence."""
    try:
        return read_json(path) if path.is_file() else {}
    except FailedError:
        return {}


def _yaml(text: str) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return values if isinstance(values, dict) else {}
