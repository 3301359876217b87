"""What a client asks for, checked: OpenAI's completion and chat requests as one small frozen object.

The prompt is the task's *input*: it is put into the task's template by the one renderer, as data. Options that
would change nothing here are refused unless they have their neutral value, so that none is silently ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hone.errors import InputError, nearest
from hone.evaluate.generate import Sampling

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "best_of": (None, 1),
    "echo": (None, False),
    "logprobs": (None, False),
    "suffix": (None, ""),
    "stop": (None, [], ""),
    "frequency_penalty": (None, 0),
    "presence_penalty": (None, 0),
    "logit_bias": (None, {}),
    "tools": (None, []),
    "response_format": (None, {"type": "text"}),
}
"""Options of OpenAI's interface that are not supported, with the values that ask for nothing."""
SHARED = ("model", "max_tokens", "temperature", "top_p", "top_k", "seed", "stream", "user", "stream_options")
OF_KIND = {"completion": ("prompt", "fields"), "chat": ("messages", "max_completion_tokens")}
MOST_INPUTS = 64

Shape = Literal["completion", "chat"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """A checked request."""

    shape: Shape
    model: str | None
    inputs: tuple[str | Mapping[str, Any] | tuple[Mapping[str, Any], ...], ...]
    """The task's input, once or several times: a text, the fields of a row, or the messages of a conversation."""
    max_tokens: int | None
    sampling: Sampling
    stream: bool


def read_wish(body: bytes, shape: Shape, *, conversation: bool = False) -> Wish:
    """Check a request's body.

    Args:
        body: JSON.
        shape: of which interface.
        conversation: whether the model continues conversations, so that all messages are its input. Any other task's
            input is what the user said last.

    Raises:
        InputError: with everything that is wrong with it.
    """
    data = _object(body)
    known = [*SHARED, *NEUTRAL, *OF_KIND[shape]]
    problems = [f'"{key}" is not an option here; {nearest(key, known)}' for key in data if key not in known]
    for key, values in NEUTRAL.items():
        if key in data and data[key] not in values:
            problems.append(f'"{key}" is not supported (given {data[key]!r}); leave it out')
    check = _Check(data, problems)
    model = check.value("model", (str,), None)
    maximum = check.number("max_tokens", None, whole=True, low=1)
    if maximum is None:
        maximum = check.number("max_completion_tokens", None, whole=True, low=1)
    sampling = Sampling(
        temperature=float(check.number("temperature", 0.0, low=0, high=2) or 0.0),
        top_k=int(check.number("top_k", 0, whole=True, low=0) or 0),
        top_p=float(check.number("top_p", 1.0, low=0, high=1, above=True) or 1.0),
        seed=int(check.number("seed", 0, whole=True, low=0) or 0),
    )
    stream = bool(check.value("stream", (bool,), False))
    inputs = _messages(data, problems, conversation) if shape == "chat" else _inputs(data, problems)
    if stream and len(inputs) > 1:
        problems.append(f'"stream" takes one prompt; {len(inputs)} were given')
    if problems:
        raise InputError(problems)
    return Wish(
        shape=shape,
        model=model,
        inputs=inputs,
        max_tokens=None if maximum is None else int(maximum),
        sampling=sampling,
        stream=stream,
    )


def read_embedding_wish(body: bytes) -> tuple[Wish, bool]:
    """Check the body of a request for vectors; the wish, and whether numbers are wanted as base64.

    Raises:
        InputError: with everything that is wrong with it.
    """
    data = _object(body)
    known = ("model", "input", "encoding_format", "user")
    problems = [f'"{key}" is not an option here; {nearest(key, list(known))}' for key in data if key not in known]
    check = _Check(data, problems)
    model = check.value("model", (str,), None)
    form = check.value("encoding_format", (str,), "float")
    if form not in ("float", "base64"):
        problems.append(f'"encoding_format" must be "float" or "base64", not {form!r}')
    inputs = _texts(data.get("input"), "input", problems)
    if problems:
        raise InputError(problems)
    wish = Wish(shape="completion", model=model, inputs=inputs, max_tokens=None, sampling=Sampling(), stream=False)
    return wish, form == "base64"


@dataclass(frozen=True, slots=True)
class _Check:
    data: Mapping[str, Any]
    problems: list[str]

    def value(self, key: str, kinds: tuple[type, ...], default: Any) -> Any:
        found = self.data.get(key)
        if found is None:
            return default
        if not isinstance(found, kinds):
            self.problems.append(f'"{key}" must be {kinds[0].__name__}, not {type(found).__name__}')
            return default
        return found

    def number(
        self,
        key: str,
        default: float | None,
        *,
        low: float,
        high: float = float("inf"),
        whole: bool = False,
        above: bool = False,
    ) -> float | None:
        found = self.data.get(key)
        if found is None:
            return default
        right = isinstance(found, int if whole else (int, float)) and not isinstance(found, bool)
        if not right or not low <= found <= high or (above and found == low):
            what = "a whole number" if whole else "a number"
            span = f"over {low:g}" if above else f"from {low:g}"
            self.problems.append(f'"{key}" must be {what} {span} to {high:g}, not {found!r}')
            return default
        return float(found)


def _object(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except ValueError as error:
        raise InputError(f"the body is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise InputError(f"the body must be a JSON object, not {type(data).__name__}")
    return data


def _inputs(data: Mapping[str, Any], problems: list[str]) -> tuple[str | Mapping[str, Any], ...]:
    prompt, fields = data.get("prompt"), data.get("fields")
    if (prompt is None) == (fields is None):
        problems.append(
            'give either "prompt" (the text of the task\'s input) or "fields" (the columns of its template)'
        )
        return ()
    if fields is not None:
        if isinstance(fields, dict) and fields:
            return (fields,)
        problems.append('"fields" must be an object of columns and their values')
        return ()
    return _texts(prompt, "prompt", problems)


def _texts(given: Any, key: str, problems: list[str]) -> tuple[str, ...]:
    """A text or several."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        problems.append(f'"{key}" must be a text or a list of texts; token ids are not taken')
        return ()
    if len(texts) > MOST_INPUTS:
        problems.append(f'"{key}" holds {len(texts)} texts; at most {MOST_INPUTS} go into one request')
    return tuple(texts)


def _messages(
    data: Mapping[str, Any], problems: list[str], conversation: bool
) -> tuple[str | tuple[Mapping[str, Any], ...], ...]:
    messages = data.get("messages")
    if not isinstance(messages, list) or not all(isinstance(turn, dict) for turn in messages):
        problems.append('"messages" must be a list of objects with "role" and "content"')
        return ()
    if conversation:
        if not messages or messages[-1].get("role") == "assistant":
            problems.append('"messages" needs a last message that is not the assistant\'s: the answer is to follow it')
            return ()
        return (tuple(messages),)
    users = [turn.get("content") for turn in messages if turn.get("role") == "user"]
    if not users or not isinstance(users[-1], str):
        problems.append('"messages" needs a last message of role "user" whose content is a text: the task\'s input')
        return ()
    return (users[-1],)
