"""Encoders that come without a task: what stands for a text is read from the folder, and texts are compared as vectors.

They are compared with their original over the sentences and paragraphs of neutral prose (:mod:`hone.model.neutral`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from hone.data.tokenizer import TextTokenizer
from hone.errors import InputError
from hone.files import read_json, write_json
from hone.model.embedding import vector_form
from hone.model.folder import HONE_FILE, read_tokenizer
from hone.model.neutral import neutral_texts
from hone.model.vocabulary import roles_of
from hone.model.weights import CONFIG
from hone.task.embedding import EMBED, EmbeddingRenderer

STORED = 8
"""Examples that travel with the artifact."""
WITHOUT_HEAD = "BertModel"
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def dressed_encoder(folder: Path, dressed: Path, name: str, say: Callable[[str], None]) -> Path:
    """The folder of an encoder with a ``hone.json`` of its own beside links to its files: it is only read.

    Raises:
        InputError: for encoders with a head, and for what no artifact does with an encoder's states.
    """
    made = str((read_json(folder / CONFIG).get("architectures") or [""])[0])
    if made and made != WITHOUT_HEAD:
        raise InputError(
            f"{folder} is a {made} without {HONE_FILE}: nothing says what its outputs mean; train it on a task first. "
            f"A {WITHOUT_HEAD} is exported as it is, with one vector for a text"
        )
    form = vector_form(folder)
    say(f"{name}: {form.said}")
    renderer = EmbeddingRenderer(
        tokenizer=TextTokenizer(read_tokenizer(folder)),
        marks=roles_of(folder, read_tokenizer(folder), "embed"),
        pooling=form.pooling,
        normalised=form.normalised,
        before=form.before,
    )
    dressed.mkdir(parents=True)
    for file in folder.iterdir():
        if file.is_file():
            (dressed / file.name).symlink_to(file.resolve())
    stored = [renderer.stored_example(row, {"text": text}) for row, text in compared_texts()[:STORED]]
    hone = {"format": 1, "kind": EMBED, "objective": EMBED, "labels": [], "renderer": renderer.to_json()}
    write_json(dressed / HONE_FILE, {**hone, "examples": stored, "base": name, "hashes": {}})
    return dressed


def compared_texts() -> list[tuple[str, str]]:
    """Names and texts: sentences of neutral prose, then its whole paragraphs, each named by its paragraph."""
    paragraphs = [(f"prose:{at}", text) for at, text in enumerate(neutral_texts())]
    sentences = [
        (f"{name}#{at}", one) for name, text in paragraphs for at, one in enumerate(_SENTENCE_END.split(text), 1)
    ]
    return [*sentences, *paragraphs]
