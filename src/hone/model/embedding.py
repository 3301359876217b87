"""How a folder says that an encoder makes one vector of a text, in the files of Sentence Transformers.

``modules.json`` lists what follows on the encoder, ``1_Pooling/config.json`` says what stands for a text, and
``config_sentence_transformers.json`` what is put in front of it (https://sbert.net, N. Reimers, I. Gurevych,
arXiv:1908.10084). A plain encoder has none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hone.errors import InputError
from hone.files import read_json
from hone.task.embedding import Pooling

MODULES, POOLING = "modules.json", "pooling_mode"
FORMER = {"cls_token": "cls", "mean_tokens": "mean"}
"""Flags of ``1_Pooling/config.json`` (after ``pooling_mode_``) that are exported."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VectorForm:
    """What becomes of an encoder's states."""

    pooling: Pooling
    normalised: bool
    before: str
    """Text in front of each text."""
    said: str
    """Where that comes from, in a sentence."""


def vector_form(folder: Path) -> VectorForm:
    """Read it from a model folder; the mean of all states, as it is, where no file says anything.

    Raises:
        InputError: for everything that it asks for and no artifact does.
    """
    if not (folder / MODULES).is_file():
        told = f"no {MODULES} says what stands for a text: the mean of its tokens' states is taken, as it is"
        return VectorForm(pooling="mean", normalised=False, before="", said=told)
    modules = [(str(one.get("type", "")).rpartition(".")[2], str(one.get("path", ""))) for one in _list(folder)]
    kinds = [kind for kind, _ in modules]
    problems = []
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]) or modules[0][1]:
        problems.append(
            f"{MODULES} lists {', '.join(kinds)}; exported are a Transformer in the folder itself, Pooling and, where "
            "it is there, Normalize"
        )
    path = next((path for kind, path in modules if kind == "Pooling"), "1_Pooling")
    pooling, wrong = _pooling(folder / path / "config.json")
    before, unwritable = _before(folder)
    problems += wrong + unwritable + _case_problems(folder)
    if problems or pooling is None:
        raise InputError(f"{folder}: {problem}" for problem in problems)
    normalised = kinds[-1] == "Normalize"
    told = f"as {MODULES} says: {pooling} of a text's states, {'' if normalised else 'not '}divided by its length"
    if before:
        told += f", with {before!r} in front of each text"
    return VectorForm(pooling=pooling, normalised=normalised, before=before, said=told)


def _list(folder: Path) -> list[Mapping[str, Any]]:
    found = read_json(folder / MODULES)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _pooling(path: Path) -> tuple[Pooling | None, list[str]]:
    """The pooling that a file names by flags, or by one word."""
    if not path.is_file():
        return None, [f"there is no {path.parent.name}/{path.name}, so nothing says what stands for a text"]
    said: Mapping[str, Any] = read_json(path)
    word = said.get(POOLING)
    asked = [word] if word else [key.removeprefix(f"{POOLING}_") for key in said if key.startswith(POOLING)]
    on = asked if word else [name for name in asked if said[f"{POOLING}_{name}"]]
    found = [FORMER.get(name, name) for name in on]
    if found == ["mean"]:
        return "mean", []
    if found == ["cls"]:
        return "cls", []
    return None, [f"pooling {' and '.join(on) or 'none'}; mean and cls are exported"]


def _before(folder: Path) -> tuple[str, list[str]]:
    """The text that is put in front of each, where a default is named."""
    path = folder / "config_sentence_transformers.json"
    said = read_json(path) if path.is_file() else {}
    name = said.get("default_prompt_name")
    if name is None:
        return "", []
    prompt = (said.get("prompts") or {}).get(name)
    if not isinstance(prompt, str):
        return "", [f'{path.name} has no prompt "{name}", which default_prompt_name asks for']
    return prompt, []


def _case_problems(folder: Path) -> list[str]:
    """Lower case is the tokenizer's own affair: a file beside it that asks for more is not followed."""
    path = folder / "sentence_bert_config.json"
    if not path.is_file() or not read_json(path).get("do_lower_case"):
        return []
    normalizer = read_json(folder / "tokenizer.json").get("normalizer") or {}
    if normalizer.get("lowercase"):
        return []
    return [f"{path.name} has do_lower_case, and the tokenizer keeps capitals; an artifact has the tokenizer alone"]
