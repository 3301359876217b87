"""From a checked request to answers: the one renderer before, the session in the middle, the one parser after."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.deploy.runtime import Session
from hone.errors import InputError
from hone.serve.wishes import Wish
from hone.task.embedding import EMBED
from hone.task.encoding import EncoderRenderer
from hone.task.render import Renderer
from hone.task.templates import columns

REPLACEMENT = "\ufffd"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One answer: its text as clients get it, the parsed value (None when it could not be parsed), the books."""

    text: str
    value: Any
    finish_reason: str
    """``stop`` when the model ended by itself, ``length`` otherwise."""
    prompt_tokens: int
    completion_tokens: int


class Answering:
    """A session with the renderer that its model was trained with. Not safe for several threads at once."""

    def __init__(self, session: Session, renderer: Renderer) -> None:
        self._session, self._renderer = session, renderer
        self._columns = columns(renderer.input_template) if renderer.kind != "language-model" else []

    def prompts(self, wish: Wish) -> list[list[int]]:
        """Ids of each input.

        Raises:
            InputError: for missing columns, inputs that leave no room for an answer, and models that answer none.
        """
        if isinstance(self._renderer, EncoderRenderer) and self._renderer.kind == "language-model":
            raise InputError(
                "this model predicts masked words and answers no prompt: its file takes ids with the mask among them, "
                "and gives logits over words"
            )
        prompts = [self._prompt(given) for given in wish.inputs]
        # An encoder writes nothing, so its row may fill the context.
        room = self._session.context + isinstance(self._renderer, EncoderRenderer)
        problems = [
            f"input {index} has {len(ids)} tokens; with at least one of an answer the model takes {room}"
            for index, ids in enumerate(prompts)
            if len(ids) >= room
        ]
        if problems:
            raise InputError(problems)
        return prompts

    def _prompt(self, given: Any) -> list[int]:
        if self._renderer.kind == "language-model":
            if isinstance(self._renderer, EncoderRenderer):
                raise InputError("this model guesses masked tokens and writes no text; it is a base to train a task on")
            if not isinstance(given, str):
                raise InputError('this model continues text: give "prompt", not "fields"')
            return [*self._renderer.prompt_ids({}), *self._renderer.tokenizer.encode(given)]
        return self._renderer.prompt_ids(self._fields(given))

    def _fields(self, given: Any) -> Any:
        messages = isinstance(given, list | tuple) and self._renderer.conversation is not None
        if not isinstance(given, str) and not messages:
            return given
        if len(self._columns) != 1:
            names = ", ".join(self._columns) or "none"
            raise InputError(f'the task\'s input has {len(self._columns)} columns ({names}); give them as "fields"')
        return {self._columns[0]: given}

    def answers(self, wish: Wish, prompts: Sequence[Sequence[int]]) -> list[Answer]:
        """All answers, computed together."""
        if self._renderer.kind == "classify":
            return self._labels(prompts)
        if self._renderer.kind == EMBED:
            return [_vector_answer(ids, row) for ids, row in zip(prompts, self.vectors(prompts), strict=True)]
        if isinstance(self._renderer, EncoderRenderer):
            return [self._read(given, ids) for given, ids in zip(wish.inputs, prompts, strict=True)]
        done = self._session.generate(
            prompts,
            max_new_tokens=self._most_tokens(wish),
            end_id=self._renderer.end_id,
            sampling=wish.sampling,
        )
        return [self._answer(ids, one.ids, one.finished) for ids, one in zip(prompts, done, strict=True)]

    def vectors(self, prompts: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """(n, width): a vector for each prompt.

        Raises:
            InputError: when the model gives something else.
        """
        if self._renderer.kind != EMBED:
            raise InputError(f"this model's kind is {self._renderer.kind}: it gives no vectors")
        given: Any = getattr(self._session, "vectors")  # noqa: B009  (sessions of encoders alone have it)
        found: NDArray[np.float32] = given(prompts)
        return found

    def _most_tokens(self, wish: Wish) -> int:
        """What was asked for; else a quarter more than the longest training answer, or what the context holds."""
        return wish.max_tokens or self._renderer.longest_answer or self._session.context

    def _labels(self, prompts: Sequence[Sequence[int]]) -> list[Answer]:
        best = self._session.label_logprobs(prompts, self._renderer.label_ids).argmax(-1)
        labels = [self._renderer.labels[int(index)] for index in best]
        return [
            Answer(text=label, value=label, finish_reason="stop", prompt_tokens=len(ids), completion_tokens=1)
            for ids, label in zip(prompts, labels, strict=True)
        ]

    def _read(self, given: Any, prompt: Sequence[int]) -> Answer:
        """Several labels, or entities: what an encoder reads out of a text."""
        renderer = self._renderer
        assert isinstance(renderer, EncoderRenderer)
        if renderer.kind == "tag":
            fields = self._fields(given)
            tags: Any = getattr(self._session, "tag_logits")  # noqa: B009  (sessions of encoders alone have it)
            table = tags([prompt], [renderer.supervised_at(fields)])[0]
            value: Any = renderer.entities(fields, table.argmax(-1).tolist() if len(table) else [])
        else:
            value = renderer.labels_from(np.exp(self._session.label_logprobs([prompt], renderer.label_ids)[0]))
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return Answer(
            text=text, value=value, finish_reason="stop", prompt_tokens=len(prompt), completion_tokens=len(value)
        )

    def _answer(self, prompt: Sequence[int], ids: Sequence[int], finished: bool) -> Answer:
        value = self._renderer.parse(ids)
        return Answer(
            text=self._text(ids, value),
            value=value,
            finish_reason="stop" if finished else "length",
            prompt_tokens=len(prompt),
            completion_tokens=len(ids) + finished,
        )

    def _text(self, ids: Sequence[int], value: Any) -> str:
        """An object as compact JSON; what could not be parsed as the model wrote it."""
        if value is None:
            return self._renderer.tokenizer.decode(ids)
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def pieces(self, wish: Wish, prompt: Sequence[int]) -> Iterator[str | Answer]:
        """Pieces of text as they come, then the whole answer.

        Texts stream token by token; an object or a label is one piece, because half of it is no answer.
        """
        if self._renderer.kind in ("classify", "extract") or isinstance(self._renderer, EncoderRenderer):
            answer = self.answers(wish, [prompt])[0]
            yield answer.text
            yield answer
            return
        limit = min(self._most_tokens(wish), self._session.context - len(prompt))
        ids: list[int] = []
        sent = ""
        tokens = self._session.stream(
            prompt, max_new_tokens=limit, end_id=self._renderer.end_id, sampling=wish.sampling
        )
        for token in tokens:
            ids.append(token)
            # A character can be spread over tokens: what is not whole yet waits.
            text = str(self._renderer.parse(ids)).rstrip(REPLACEMENT)
            if len(text) > len(sent) and text.startswith(sent):
                yield text[len(sent) :]
                sent = text
        answer = self._answer(prompt, ids, len(ids) < limit)
        if answer.text[len(sent) :]:
            yield answer.text[len(sent) :]
        yield answer


def _vector_answer(prompt: Sequence[int], row: NDArray[np.float32]) -> Answer:
    value = [float(f"{one:.7g}") for one in row]
    text = json.dumps(value, separators=(",", ":"))
    return Answer(text=text, value=value, finish_reason="stop", prompt_tokens=len(prompt), completion_tokens=0)
