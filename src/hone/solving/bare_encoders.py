"""Encoders that come without a task: those without a head give vectors of texts, those of masked words their words.

What stands for a text is read from the folder. They are compared with their original over the sentences and paragraphs
of neutral prose (:mod:`hone.model.neutral`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from hone.data.tokenizer import TextTokenizer
from hone.errors import InputError
from hone.files import read_json, write_json
from hone.model.embedding import MODULES, vector_form
from hone.model.folder import HONE_FILE, read_tokenizer
from hone.model.neutral import neutral_texts
from hone.model.vocabulary import roles_of
from hone.model.weights import CONFIG
from hone.task.embedding import EMBED, EmbeddingRenderer
from hone.task.encoding import EncoderRenderer

STORED = 8
"""Examples that travel with the artifact."""
WITHOUT_HEAD, OF_WORDS = "BertModel", "BertForMaskedLM"
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def dressed_encoder(folder: Path, dressed: Path, name: str, say: Callable[[str], None]) -> Path:
    """The folder of an encoder with a ``hone.json`` of its own beside links to its files: it is only read.

    Raises:
        InputError: for encoders with labels, and for what no artifact does with an encoder's states.
    """
    made = str((read_json(folder / CONFIG).get("architectures") or [""])[0])
    if made not in ("", WITHOUT_HEAD, OF_WORDS) or (made == OF_WORDS and (folder / MODULES).is_file()):
        raise InputError(
            f"{folder} is a {made} without {HONE_FILE}: nothing says what its outputs mean; train it on a task first. "
            f"A {WITHOUT_HEAD} is exported as it is, with one vector for a text, and a {OF_WORDS} with its words"
        )
    renderer = _of_words(folder) if made == OF_WORDS else _of_vectors(folder, name, say)
    dressed.mkdir(parents=True)
    for file in folder.iterdir():
        if file.is_file():
            (dressed / file.name).symlink_to(file.resolve())
    stored = [renderer.stored_example(row, {"text": text}) for row, text in compared_texts()[:STORED]]
    objective = "masked-tokens" if made == OF_WORDS else EMBED
    hone: dict[str, object] = {
        "format": 1,
        "kind": renderer.kind,
        "objective": objective,
        "labels": [],
        "renderer": renderer.to_json(),
    }
    write_json(dressed / HONE_FILE, {**hone, "examples": stored, "base": name, "hashes": {}})
    return dressed


def _of_vectors(folder: Path, name: str, say: Callable[[str], None]) -> EncoderRenderer:
    form = vector_form(folder)
    say(f"{name}: {form.said}")
    rust = read_tokenizer(folder)
    return EmbeddingRenderer(
        tokenizer=TextTokenizer(rust),
        marks=roles_of(folder, rust, "embed"),
        pooling=form.pooling,
        normalised=form.normalised,
        before=form.before,
    )


def _of_words(folder: Path) -> EncoderRenderer:
    rust = read_tokenizer(folder)
    marks = roles_of(folder, rust, "masked-tokens")
    return EncoderRenderer(
        kind="language-model",
        input_template=None,
        output_template="{text}",
        tokenizer=TextTokenizer(rust),
        marks=marks,
    )


def compared_texts() -> list[tuple[str, str]]:
    """Names and texts: sentences of neutral prose, then its whole paragraphs, each named by its paragraph."""
    paragraphs = [(f"prose:{at}", text) for at, text in enumerate(neutral_texts())]
    sentences = [
        (f"{name}#{at}", one) for name, text in paragraphs for at, one in enumerate(_SENTENCE_END.split(text), 1)
    ]
    return [*sentences, *paragraphs]
