"""OpenAI's response shapes."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.serve.answering import Answer
from hone.serve.wishes import Shape


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """One response: the same id and time in all of its chunks."""

    shape: Shape
    model: str
    id: str = field(default_factory=lambda: f"cmpl-{uuid.uuid4().hex[:24]}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, answers: Sequence[Answer]) -> dict[str, Any]:
        """All answers with the usage."""
        choices = [self._choice(index, answer) for index, answer in enumerate(answers)]
        name = "chat.completion" if self.shape == "chat" else "text_completion"
        return {**self._head(name), "choices": choices, "usage": usage(answers)}

    def chunk(self, piece: str) -> str:
        """A piece of text as a server-sent event."""
        content = {"delta": {"role": "assistant", "content": piece}} if self.shape == "chat" else {"text": piece}
        return self._event([{"index": 0, **content, "logprobs": None, "finish_reason": None}])

    def last(self, answer: Answer) -> str:
        """The closing events: finish reason and usage, then ``[DONE]``."""
        content: dict[str, Any] = {"delta": {}} if self.shape == "chat" else {"text": ""}
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": answer.finish_reason}
        return self._event([choice], usage([answer])) + "data: [DONE]\n\n"

    def _event(self, choices: list[dict[str, Any]], used: dict[str, int] | None = None) -> str:
        name = "chat.completion.chunk" if self.shape == "chat" else "text_completion"
        value = {**self._head(name), "choices": choices, **({"usage": used} if used else {})}
        return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"

    def _head(self, name: str) -> dict[str, Any]:
        return {"id": self.id, "object": name, "created": self.created, "model": self.model}

    def _choice(self, index: int, answer: Answer) -> dict[str, Any]:
        """``answer`` is ours: the parsed value, null when the text is not an answer of the task."""
        message = {"role": "assistant", "content": answer.text}
        content = {"message": message} if self.shape == "chat" else {"text": answer.text}
        reason = {"logprobs": None, "finish_reason": answer.finish_reason}
        return {"index": index, **content, **reason, "answer": answer.value}


def usage(answers: Iterable[Answer]) -> dict[str, int]:
    """Tokens read and written, the end included."""
    counts = [(answer.prompt_tokens, answer.completion_tokens) for answer in answers]
    prompt, completion = sum(one for one, _ in counts), sum(one for _, one in counts)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def embedding_reply(
    model: str, vectors: NDArray[np.float32], prompts: Sequence[Sequence[int]], *, packed: bool
) -> dict[str, Any]:
    """Vectors in the order of their texts, as numbers or as base64 of little-endian float32."""
    rows = [base64.b64encode(row.astype("<f4").tobytes()).decode() if packed else row.tolist() for row in vectors]
    data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)]
    read = sum(map(len, prompts))
    used = {"prompt_tokens": read, "total_tokens": read}
    return {"object": "list", "data": data, "model": model, "usage": used}


def error(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    """An error as OpenAI's clients read it."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
