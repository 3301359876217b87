"""A BPE ``tokenizer.json`` with bytes for unknown characters as llama.cpp's SentencePiece tokenizer (``llama``).

There of all neighbours those are joined first whose joined token has the best score. Merges say the same when they hold
every way to cut a token in two, token by token: then the tokens' order is the scores. What else they say cannot be
expressed, and is refused.

In front of a text llama.cpp puts a space. Files of llama2.c that hone opens put one where there is none yet: that is
said in the key ``hone.space_prefix``, and :class:`hone.deploy.llama.vocabulary.Vocabulary` keeps to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hone.deploy.gguf.tokens import BYTE, CONTROL, NORMAL, UNKNOWN, UNUSED, GgufTokenizer, plain_merges, spare
from hone.errors import InputError
from hone.files import read_json
from hone.task.render import BEGIN, END, PAD

SPACE = "\u2581"
"""What SentencePiece writes for a space."""
ONCE, ALWAYS = "once", "always"
"""Whether a text that begins with a space gets another one."""
UNREACHED = -1e6
"""Score of tokens that nothing is joined to."""
_BYTE = re.compile(r"<0x([0-9A-F]{2})>$")


def is_sentencepiece(data: Mapping[str, Any]) -> bool:
    """Whether a ``tokenizer.json`` is of this kind."""
    model = data.get("model") or {}
    return model.get("type") in ("BPE", None) and bool(model.get("byte_fallback"))


def sentencepiece_tokenizer(folder: Path, data: Mapping[str, Any], rows: int) -> GgufTokenizer:
    """The tokenizer for an embedding of ``rows`` rows; spare rows become unused tokens.

    Raises:
        InputError: with everything that llama.cpp would do differently.
    """
    model = data["model"]
    ids: dict[str, int] = model["vocab"]
    merges = plain_merges(model["merges"])
    special = {entry["id"]: entry for entry in data.get("added_tokens", [])}
    prefix, problems = _space_prefix(data)
    problems += _vocabulary_problems(ids, special, rows)
    ranks, merge_problems = _ranks(ids, merges, special)
    problems += merge_problems
    for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges"):
        if model.get(key):
            problems.append(f"{key} = {model[key]!r} has no counterpart in llama.cpp's SentencePiece tokenizer")
    if problems:
        raise InputError(f"{folder / 'tokenizer.json'}: {problem}" for problem in problems)
    texts = {index: text for text, index in ids.items()} | {at: one["content"] for at, one in special.items()}
    tokens = [texts.get(index, spare(index)) for index in range(rows)]
    unknown = ids.get(model.get("unk_token") or "")
    return GgufTokenizer(
        model="llama",
        pre="default",
        tokens=tokens,
        types=[_type(index, tokens[index], index in texts, special, unknown) for index in range(rows)],
        scores=[float(ranks.get(token, UNREACHED)) for token in tokens],
        special=_special(folder, tokens, unknown),
        flags={"add_bos_token": False, "add_eos_token": False, "add_space_prefix": True},
        own={"hone.space_prefix": prefix},
    )


def _special(folder: Path, tokens: Sequence[str], unknown: int | None) -> dict[str, int]:
    """Ids of begin, end and padding: hone's own tokens, or those that the configuration names."""
    config = read_json(folder / "config.json")
    found = {} if unknown is None else {"unknown": unknown}
    for role, name, key in (("bos", BEGIN, "bos_token_id"), ("eos", END, "eos_token_id"), ("padding", PAD, "")):
        if name in tokens:
            found[role] = tokens.index(name)
        elif isinstance(config.get(key), int):
            found[role] = config[key]
    return found


def _type(index: int, text: str, there: bool, special: Mapping[int, Any], unknown: int | None) -> int:
    if index == unknown:
        return UNKNOWN
    if index in special:
        return CONTROL
    if not there:
        return UNUSED
    return BYTE if _BYTE.match(text) else NORMAL


def _space_prefix(data: Mapping[str, Any]) -> tuple[str, list[str]]:
    """How spaces become tokens and what is put in front, or why llama.cpp would do otherwise."""
    normalizer, split = data.get("normalizer") or {}, data.get("pre_tokenizer") or {}
    if not normalizer and split.get("type") == "Metaspace":
        usual = split.get("replacement") == SPACE and split.get("split") is False
        if usual and split.get("prepend_scheme") in ("first", "always"):
            return ONCE, []
    steps = normalizer.get("normalizers", [])
    prepend = {"type": "Prepend", "prepend": SPACE}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    if not split and steps == [prepend, replace]:
        return ALWAYS, []
    kinds = [one.get("type", "none") for one in (normalizer, split)]
    known = f"Metaspace ({SPACE}, prepended, without split), or Prepend and Replace"
    return ONCE, [
        f"normalizer {kinds[0]} with pre-tokenizer {kinds[1]}; llama.cpp's SentencePiece tokenizer is {known}"
    ]


def _vocabulary_problems(ids: Mapping[str, int], special: Mapping[int, Any], rows: int) -> list[str]:
    problems = []
    most = max([*ids.values(), *special], default=0)
    if most >= rows:
        problems.append(f"the tokenizer has ids up to {most}, the embedding only {rows} rows")
    missing = [byte for byte in range(256) if f"<0x{byte:02X}>" not in ids]
    if missing:
        problems.append(f"{len(missing)} of 256 bytes have no token, the first is <0x{missing[0]:02X}>")
    if SPACE not in ids:
        problems.append(f"no token for a space ({SPACE})")
    plain = [entry["content"] for entry in special.values() if not entry.get("special")]
    if plain:
        problems.append(
            f"{len(plain)} added tokens such as {plain[0]!r} are text: llama.cpp would put a space behind each, which "
            "the tokenizer does not"
        )
    return problems


def _ranks(
    ids: Mapping[str, int], merges: Sequence[tuple[str, str]], special: Mapping[int, Any]
) -> tuple[dict[str, int], list[str]]:
    """Each joined token's score (0 for the first, -1, ...), or why no scores give the same ids."""
    ranks: dict[str, int] = {}
    cuts: dict[str, set[int]] = {}
    last, broken = "", 0
    for left, right in merges:
        joined = left + right
        if joined != last and joined in ranks:
            broken += 1
        ranks.setdefault(joined, -len(ranks))
        cuts.setdefault(joined, set()).add(len(left))
        last = joined
    problems = []
    if broken:
        problems.append(
            f"{broken} of {len(merges)} merges stand apart from others that make the same token: no scores fit"
        )
    pieces = {text for text, index in ids.items() if index not in special and not _BYTE.match(text)}
    letters = {letter for text in pieces for letter in text}
    if strange := sorted(letters - pieces):
        problems.append(f"{len(strange)} characters of tokens are no tokens themselves, such as {strange[0]!r}")
    wanted = {
        text: {at for at in range(1, len(text)) if text[:at] in pieces and text[at:] in pieces} for text in pieces
    }
    lacking = [text for text, places in wanted.items() if places != cuts.get(text, set())]
    if lacking:
        problems.append(
            f"{len(lacking)} tokens such as {lacking[0]!r} lack a merge for a way to cut them in two; llama.cpp would "
            "join them there too"
        )
    return ranks, problems
