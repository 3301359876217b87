"""A byte-level BPE ``tokenizer.json`` as the tokenizer keys of a GGUF file.

llama.cpp knows pre-tokenizers by name and guesses none: the name written must be that of exactly the split
the tokenizer was trained with, or ids differ without a word. So only splits recognised here are exported, and
the certificate compares ids over a corpus afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hone.deploy.gguf.sentencepiece import is_sentencepiece, sentencepiece_tokenizer
from hone.deploy.gguf.tokens import CONTROL, NORMAL, UNUSED, USER_DEFINED, GgufTokenizer, plain_merges, spare
from hone.deploy.gguf.wordpiece import is_wordpiece, wordpiece_tokenizer
from hone.errors import InputError
from hone.files import read_json
from hone.task.encoding import MASK
from hone.task.render import BEGIN, END, PAD

GPT2_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def gguf_tokenizer(folder: Path, rows: int) -> GgufTokenizer:
    """Read ``folder/tokenizer.json`` for an embedding of ``rows`` rows; spare rows become unused tokens.

    Raises:
        InputError: with everything that llama.cpp would do differently.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise InputError(f"{folder}: no tokenizer.json; a GGUF file carries its tokenizer")
    data = read_json(path)
    if is_sentencepiece(data):
        return sentencepiece_tokenizer(folder, data, rows)
    if is_wordpiece(data):
        return wordpiece_tokenizer(folder, data, rows)
    pre, problems = _split_name(data.get("pre_tokenizer"))
    problems += _model_problems(data)
    special = {entry["id"]: entry for entry in data.get("added_tokens", [])}
    texts = {index: text for text, index in data.get("model", {}).get("vocab", {}).items()}
    texts.update({index: entry["content"] for index, entry in special.items()})
    if texts and max(texts) >= rows:
        problems.append(f"the tokenizer has ids up to {max(texts)}, the embedding only {rows} rows")
    if problems:
        raise InputError(f"{path}: {problem}" for problem in problems)
    kinds = {index: CONTROL if entry.get("special") else USER_DEFINED for index, entry in special.items()}
    tokens = [texts.get(index, spare(index)) for index in range(rows)]
    marks = {"bos": BEGIN, "eos": END, "padding": PAD, **({"seperator": END, "mask": MASK} if MASK in tokens else {})}
    return GgufTokenizer(
        pre=pre,
        tokens=tokens,
        types=[kinds.get(index, NORMAL if index in texts else UNUSED) for index in range(rows)],
        merges=[" ".join(merge) for merge in plain_merges(data["model"]["merges"])],
        special={role: tokens.index(name) for role, name in marks.items() if name in tokens},
        # The renderer alone decides which special ids there are.
        flags={"add_bos_token": False, "add_eos_token": False, "add_space_prefix": False},
    )


def _model_problems(data: Mapping[str, Any]) -> list[str]:
    model = data.get("model") or {}
    problems = []
    if model.get("type") not in ("BPE", None) or "merges" not in model:
        problems.append(f'model "{model.get("type")}" is not byte-level BPE, the only kind that is exported')
    for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges"):
        if model.get(key):
            problems.append(f"{key} = {model[key]!r} has no counterpart in llama.cpp's GPT-2 tokenizer")
    if data.get("normalizer"):
        problems.append(
            f'normalizer "{data["normalizer"].get("type")}" changes text, llama.cpp does not; train without one'
        )
    return problems


def _split_name(pre: Any) -> tuple[str, list[str]]:
    """llama.cpp's name for a pre-tokenizer, or the reason why there is none."""
    steps = pre.get("pretokenizers", [pre]) if isinstance(pre, dict) else []
    kinds = [step.get("type") for step in steps]
    if not steps or kinds[-1] != "ByteLevel":
        return "", [f"pre-tokenizer {kinds or 'none'} does not end in ByteLevel, so llama.cpp would split otherwise"]
    last = steps[-1]
    if last.get("add_prefix_space"):
        return "", ["ByteLevel with add_prefix_space = true is not supported; train with false"]
    own_split = bool(last.get("use_regex", True))
    if kinds == ["ByteLevel"] and own_split:
        return "gpt-2", []
    if kinds == ["Split", "ByteLevel"] and not own_split and _pattern(steps[0]) == GPT2_SPLIT:
        return "gpt-2", []
    if kinds == ["Digits", "ByteLevel"] and own_split and steps[0].get("individual_digits"):
        return "smollm", []
    return "", [f"the split of pre-tokenizer {kinds} is not one that is exported (gpt-2, smollm)"]


def _pattern(step: Mapping[str, Any]) -> str:
    pattern = step.get("pattern") or {}
    return str(pattern.get("Regex", ""))
