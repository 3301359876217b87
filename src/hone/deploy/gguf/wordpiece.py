"""BERT's WordPiece ``tokenizer.json`` as llama.cpp's (``bert``): the longest known piece of each word, again and again.

llama.cpp marks the first piece of a word where the file marks the others (``##``). It takes characters apart in its own
way and has no limit to a word's length: ``hone.decomposed`` and ``hone.longest_word`` say what the file does, and
:class:`hone.deploy.llama.vocabulary.TextRules` keeps to it. Its tables of Unicode differ for some hundred marks of rare
scripts: the certificate compares ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hone.deploy.gguf.tokens import CONTROL, NORMAL, UNKNOWN, UNUSED, GgufTokenizer, spare
from hone.errors import InputError

FIRST = "\u2581"
"""In front of the first piece of a word."""
CONTINUED = "##"
LONGEST = 100
"""Characters of the longest word that is cut into pieces, where the file does not say it."""
UNKNOWN_WORD = "[UNK]"
ROLES = {
    "bos": ("[CLS]",),
    "eos": ("[SEP]",),
    "seperator": ("[SEP]",),
    "padding": ("[PAD]",),
    "mask": ("[MASK]",),
}
"""What GGUF calls the special tokens (the spelling is its own), and their names in BERT's files."""


def is_wordpiece(data: Mapping[str, Any]) -> bool:
    """Whether a ``tokenizer.json`` is of this kind."""
    return (data.get("model") or {}).get("type") == "WordPiece"


def wordpiece_tokenizer(folder: Path, data: Mapping[str, Any], rows: int) -> GgufTokenizer:
    """The tokenizer for an embedding of ``rows`` rows; spare rows become unused tokens.

    Raises:
        InputError: with everything that llama.cpp would do differently.
    """
    model, normalizer = data["model"], data.get("normalizer") or {}
    special = {entry["id"]: entry for entry in data.get("added_tokens", [])}
    texts = {index: text for text, index in model["vocab"].items()}
    texts.update({index: entry["content"] for index, entry in special.items()})
    problems = _problems(data, special)
    if texts and max(texts) >= rows:
        problems.append(f"the tokenizer has ids up to {max(texts)}, the embedding only {rows} rows")
    if problems:
        raise InputError(f"{folder / 'tokenizer.json'}: {problem}" for problem in problems)
    unknown = model["vocab"][model["unk_token"]]
    lower = bool(normalizer.get("lowercase"))
    accents = normalizer.get("strip_accents")
    strips = lower if accents is None else bool(accents)
    ids = {entry["content"]: index for index, entry in special.items()}
    marks = {role: ids[name] for role, names in ROLES.items() for name in names if name in ids}
    return GgufTokenizer(
        model="bert",
        pre="default",
        tokens=[_piece(texts[at], at in special) if at in texts else spare(at) for at in range(rows)],
        types=[_type(at, at in texts, at in special, unknown) for at in range(rows)],
        special={**marks, "unknown": unknown},
        flags={
            "normalizer.lowercase": lower,
            "normalizer.strip_accents": strips,
        },
        own={
            **({"hone.decomposed": "nfd"} if strips else {}),
            "hone.longest_word": str(model.get("max_input_chars_per_word", LONGEST)),
        },
    )


def _piece(text: str, special: bool) -> str:
    if special:
        return text
    return text[len(CONTINUED) :] if text.startswith(CONTINUED) else FIRST + text


def _type(index: int, there: bool, special: bool, unknown: int) -> int:
    if index == unknown:
        return UNKNOWN
    return CONTROL if special else NORMAL if there else UNUSED


def _problems(data: Mapping[str, Any], special: Mapping[int, Any]) -> list[str]:
    model, normalizer = data["model"], data.get("normalizer") or {}
    problems = []
    if normalizer.get("type") != "BertNormalizer":
        problems.append(f"normalizer {normalizer.get('type')}; llama.cpp's WordPiece tokenizer has BertNormalizer")
    problems += [
        f"{key} = false of BertNormalizer has no counterpart in llama.cpp"
        for key in ("clean_text", "handle_chinese_chars")
        if not normalizer.get(key, True)
    ]
    if (kind := (data.get("pre_tokenizer") or {}).get("type")) != "BertPreTokenizer":
        problems.append(f"pre-tokenizer {kind}; llama.cpp's WordPiece tokenizer has BertPreTokenizer")
    if (prefix := model.get("continuing_subword_prefix", CONTINUED)) != CONTINUED:
        problems.append(f'continuing_subword_prefix "{prefix}"; {CONTINUED} is exported')
    if model.get("unk_token") != UNKNOWN_WORD or UNKNOWN_WORD not in model["vocab"]:
        problems.append(f'unknown words are "{model.get("unk_token")}"; {UNKNOWN_WORD} is exported')
    plain = [entry["content"] for entry in special.values() if not entry.get("special")]
    if plain:
        problems.append(f"{len(plain)} added tokens such as {plain[0]!r} are text, which llama.cpp splits otherwise")
    return problems
