"""Rendering from the artifact alone: its stored renderer over the runtime's own tokenizer (law 4)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from hone.deploy.artifact.folder import describe, holds_encoder, not_certified, whole_model_file
from hone.deploy.reading import reading_callables, session_logits
from hone.deploy.runtime import Contents, EncoderSession, Session, runtime_of
from hone.errors import FailedError
from hone.task.embedding import EmbeddingRenderer
from hone.task.encoding import EncoderRenderer
from hone.task.render import Renderer, first_difference


class RuntimeTokenizer:
    """The tokenizer inside an artifact, as the renderer needs it (:class:`hone.task.render.Tokenizer`)."""

    def __init__(self, session: Contents) -> None:
        self._session = session
        self.vocab_size = session.vocab_size

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; never a special id."""
        return self._session.tokenize(text)

    def encode_with_places(self, text: str) -> tuple[list[int], list[tuple[int, int]], list[int]]:
        """Ids, the characters that each came from, and the word that each belongs to; of encoders alone."""
        return cast(EncoderSession, self._session).encode_with_places(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special ids left out."""
        return self._session.detokenize(ids)

    def special_id(self, name: str) -> int:
        """Id of a special token by its name.

        Raises:
            FailedError: when the artifact has no such token.
        """
        found = self._session.token_id(name)
        if found < 0:
            raise FailedError(f'the artifact\'s vocabulary has no token "{name}"')
        return found


class Reading:
    """An opened encoder as those who answer need it: labels of rows, tags at positions or vectors; and its contents."""

    def __init__(self, session: EncoderSession) -> None:
        self._session = session
        renderer = cast("EncoderRenderer", renderer_of(session))
        asked = {}
        if not isinstance(renderer, EmbeddingRenderer):
            asked = reading_callables(renderer, session_logits(session, renderer.kind))
        self.label_logprobs, self.tag_logits = asked.get("labels"), asked.get("tags")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


def open_artifact(path: Path, threads: int = 1, context: int | None = None, parallel: int = 1) -> Session:
    """Open an artifact in this process; ``context`` defaults to all that the model was built for.

    One thread is the default on purpose: for models of a few million parameters more threads gain little, and where the
    machine is busy they wait for each other (measured: 30 times slower on two shared cores).

    Raises:
        InputError: when there is none. FailedError: when it has changed since it was certified, or is damaged.
    """
    found, file = runtime_of(path), whole_model_file(path)
    said = describe(path)
    if said is not None and holds_encoder(said):
        reading = found.open_encoder(file, threads, int(said["context"]) if context is None else context)
        return cast("Session", Reading(reading))
    if context is None and said is not None:
        context = int(said["context"])
    if context is None:
        with_one = found.open(file, threads, 8, 1)
        context = int(with_one.metadata(f"{with_one.metadata('general.architecture')}.context_length"))
        with_one.close()
    return found.open(file, threads, context, parallel)


def open_to_answer(path: Path, threads: int, say: Callable[[str], None]) -> tuple[Session, Renderer]:
    """Open an artifact that people ask: it renders its stored examples as in training, and its status is said.

    Args:
        path: its folder or model file.
        threads: CPU threads.
        say: takes a line where it is not certified.

    Raises:
        InputError: when there is none. FailedError: when it has changed, is damaged, or renders differently (law 4).
    """
    session = open_artifact(path, threads)
    try:
        renderer = renderer_of(session)
        if problems := example_problems(session):
            raise FailedError(f"{path} does not render as its model was trained: " + "; ".join(problems))
    except BaseException:
        session.close()
        raise
    if line := not_certified(path):
        say(line)
    return session, renderer


def renderer_of(session: Contents) -> Renderer:
    """The renderer that travels in the artifact.

    Raises:
        FailedError: when there is none: the artifact was not made by hone from a trained task.
    """
    stored = session.metadata("hone.renderer")
    if not stored:
        raise FailedError("the artifact carries no renderer (hone.renderer); export it from a model folder of hone")
    return Renderer.from_json(json.loads(stored), RuntimeTokenizer(session))


def stored_examples(session: Contents) -> list[dict[str, Any]]:
    """The rendered examples that travel in the artifact."""
    return list(json.loads(session.metadata("hone.examples") or "[]"))


def example_problems(session: Contents) -> list[str]:
    """Sentences on stored examples that the artifact alone renders differently; empty when all are equal."""
    renderer = renderer_of(session)
    problems = []
    for item in stored_examples(session):
        fresh = renderer.example(item["row"], item["fields"]).ids.tolist()
        place = first_difference(fresh, item["ids"])
        if place is not None:
            here, stored = fresh[place : place + 1], item["ids"][place : place + 1]
            problems.append(f"row {item['row']}: id {place} is {here}, stored {stored}")
    return problems
