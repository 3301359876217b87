"""A base's vocabulary: the roles of its special tokens, new tokens and their first rows, and whether it is its own.

A row that is new starts where it helps: as the base's row of the same role, as the mean of the rows of the pieces that
the text had before, or else as the mean of all rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hone.errors import InputError
from hone.files import read_json
from hone.model.weights import Use
from hone.task.render import BEGIN, END, PAD, SPECIALS, label_token

ROLE_KEYS = {
    "next-token": {"pad": ("pad_token",), "begin": ("bos_token", "cls_token"), "end": ("eos_token", "sep_token")},
    "encoder": {
        "pad": ("pad_token",),
        "begin": ("cls_token", "bos_token"),
        "end": ("sep_token", "eos_token"),
        "mask": ("mask_token",),
    },
}
"""Where a tokenizer names the special token of a role; the first that is there counts."""
OWN_ROLES = {PAD: "pad", BEGIN: "begin", END: "end"}
"""Which of the base's roles each of hone's special tokens has."""
EMBEDDINGS = ("embed_tokens.weight", "word_embeddings.weight", "wte.weight", "embed_in.weight", "tok_embeddings.weight")
"""Ends of the names of the token embedding, over the families of Transformers."""
FAR_TOO_FEW = 0.9
"""Share of the embedding's rows that a tokenizer has at least: bases round their rows up, but not by more."""


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """A base's tokenizer with what was added to it."""

    rust: Any
    """The tokenizer, of the ``tokenizers`` library."""
    before: int
    """Ids that the base's own has."""
    sources: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """For each new id the ids whose rows' mean its own row starts as; none is the mean of all."""

    @property
    def size(self) -> int:
        """Ids, new ones included."""
        return int(self.rust.get_vocab_size(with_added_tokens=True))


def extended(
    rust: Any,
    roles: Mapping[str, str],
    *,
    use: Use,
    labels: Sequence[str] = (),
    add_tokens: Sequence[str] = (),
    marks: Sequence[str] = (),
) -> Vocabulary:
    """The tokenizer with what hone needs: its special tokens (decoders only), labels, and texts that become one token.

    Args:
        rust: the base's own tokenizer; it is changed.
        roles: its special tokens by role.
        use: an encoder keeps its own special tokens and gets none of hone's.
        labels: classes that need a token each.
        add_tokens: texts that become one token each wherever they stand, exactly so written.
        marks: further special tokens, decoders only.

    Raises:
        InputError: for a text that cannot be added; all problems at once.
    """
    from tokenizers import AddedToken

    before = rust.get_vocab_size(with_added_tokens=True)
    _check_new(rust, add_tokens)
    sources: dict[int, tuple[int, ...]] = {}
    pieces = {text: tuple(rust.encode(text, add_special_tokens=False).ids) for text in add_tokens}
    if use == "next-token":
        names = [*SPECIALS, *marks, *map(label_token, labels)]
        rust.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
        for name, role in OWN_ROLES.items():
            if (own := rust.token_to_id(name)) >= before and role in roles:
                sources[own] = (rust.token_to_id(roles[role]),)
    rust.add_tokens([AddedToken(text, special=False, normalized=False) for text in add_tokens])
    sources |= {rust.token_to_id(text): ids for text, ids in pieces.items()}
    return Vocabulary(rust=rust, before=before, sources=sources)


def _check_new(rust: Any, texts: Sequence[str]) -> None:
    problems = [f'add_tokens: "{text}" stands twice; keep one' for text in {*texts} if list(texts).count(text) > 1]
    for text in texts:
        if not text.strip():
            problems.append(f"add_tokens: {text!r} is empty; a token needs a text")
        elif len(ids := rust.encode(text, add_special_tokens=False).ids) == 1 and rust.decode(ids) == text:
            problems.append(f'add_tokens: "{text}" is one token already (id {ids[0]}); leave it out')
        elif not ids:
            problems.append(f'add_tokens: "{text}" has no ids in this tokenizer, so its row has nothing to start from')
    if problems:
        raise InputError(sorted(problems))


def add_rows(module: Any, vocabulary: Vocabulary) -> None:
    """Make embedding and output rows of the new ids, as :attr:`Vocabulary.sources` says.

    A base often has more rows than its tokenizer has ids; rows are added only for ids beyond them.
    """
    import torch

    rows = module.get_input_embeddings().weight.shape[0]
    if vocabulary.size > rows:
        module.resize_token_embeddings(vocabulary.size, mean_resizing=False)
    layers = [module.get_input_embeddings(), module.get_output_embeddings()]
    matrices = {id(layer.weight): layer.weight for layer in layers if layer is not None}  # one where they are tied
    with torch.no_grad():
        for weight in matrices.values():
            old = weight[: vocabulary.before].clone()
            for new in range(vocabulary.before, vocabulary.size):
                ids = list(vocabulary.sources.get(new, ()))
                weight[new] = (old[ids] if ids else old).mean(dim=0)


def roles_of(folder: Path, rust: Any, use: Use) -> dict[str, str]:
    """Special tokens of a folder's tokenizer by role: ``pad``, ``begin``, ``end``, ``mask``; absent ones left out."""
    named: dict[str, str] = {}
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (path := folder / name).is_file():
            values = read_json(path).items()
            named |= {key: text for key, value in values if key.endswith("_token") and (text := _content(value))}
    keys = ROLE_KEYS["next-token" if use == "next-token" else "encoder"]
    roles = {role: [named[key] for key in places if key in named] for role, places in keys.items()}
    return {role: texts[0] for role, texts in roles.items() if texts and rust.token_to_id(texts[0]) is not None}


def _content(value: Any) -> str:
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else ""


def embedding_rows(shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    """Rows of the token embedding among the tensors of a model; None where no name is known."""
    for end in EMBEDDINGS:
        for name, shape in shapes.items():
            if name.endswith(end):
                return shape[0]
    return None


def check_sizes(where: Path, config: Mapping[str, Any], ids: Collection[int], rows: int | None) -> list[str]:
    """Check that a tokenizer and a model belong together, as far as numbers say; lines for what is odd.

    Args:
        where: the base, for messages.
        config: the model's.
        ids: all of the tokenizer, before anything is added; a foreign one may leave numbers out.
        rows: of the embedding on disk; None where they are not known.

    Raises:
        InputError: when ids have no row, or config and weights disagree.
    """
    stated = config.get("vocab_size")
    problems = []
    if rows is None:
        rows = stated
    elif stated is not None and stated != rows:
        problems.append(f"{where}: config.json says vocab_size {stated:,}, and the embedding has {rows:,} rows")
    over = [] if rows is None else sorted(one for one in ids if one >= rows)
    if over:
        problems.append(
            f"{where}: the tokenizer has {len(ids):,} ids and the embedding {rows:,} rows, so {_without_row(over)}; "
            "it is the tokenizer of another model, or its new rows were not saved"
        )
    if problems:
        raise InputError(problems)
    if rows is not None and len(ids) < FAR_TOO_FEW * rows:
        line = (
            f"warning: the tokenizer of {where} has {len(ids):,} ids for {rows:,} rows of the embedding; a base rounds "
            f"its rows up, but rarely by {rows - len(ids):,}: is it the tokenizer of another model?"
        )
        return [line]
    return []


def _without_row(over: Sequence[int]) -> str:
    """Ids that have no row, ascending, in words."""
    if len(over) == 1:
        return f"id {over[0]:,} has none"
    if over[-1] - over[0] == len(over) - 1:
        return f"ids {over[0]:,} to {over[-1]:,} have none"
    return f"{len(over):,} ids from {over[0]:,} to {over[-1]:,} have none"


def check_own(folder: Path, rust: Any) -> None:
    """Check that the special tokens that a folder names are in its tokenizer.

    Raises:
        InputError: when they are not: the tokenizer is another model's.
    """
    path = folder / "special_tokens_map.json"
    if not path.is_file():
        return
    named = {text for key, value in read_json(path).items() if key.endswith("_token") and (text := _content(value))}
    missing = sorted(name for name in named if rust.token_to_id(name) is None)
    if missing:
        raise InputError(
            f"{folder}: {path.name} names {', '.join(missing)}, and the tokenizer does not have "
            f"{'it' if len(missing) == 1 else 'them'}: it is the tokenizer of another model"
        )
