"""One instruction and one answer: alpaca, and prompt with completion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from hone.data.formats.base import Fault, Fields, Made, Schema, is_mostly, text_of
from hone.data.formats.chat import with_system
from hone.data.formats.turns import (
    check_ends,
    looks_openai,
    looks_sharegpt,
    prompt_of,
    read_turns,
    system_of,
    turn_text,
)
from hone.data.rows import kind_of

_ANSWERS = ("output", "response")
_INPUTS = ("input", "context")
_PAIR = ("completion", "response")
_HISTORY = "a list of pairs of instruction and answer"


def alpaca(sample: Sequence[Fields]) -> Schema | None:
    """The schema of Stanford Alpaca: instruction, input, output; ``history`` and ``system`` as in LLaMA-Factory."""
    answer = next((name for name in _ANSWERS if is_mostly(sample, partial(_are_text, ("instruction", name)))), None)
    if answer is None:
        return None
    given = next((name for name in _INPUTS if any(name in fields for fields in sample)), "input")
    return Schema(
        name="alpaca",
        how=f"the instruction and, on the next line, the {given} are the prompt; the {answer} is the completion",
        fits=partial(_are_text, ("instruction", answer)),
        read=partial(_read_alpaca, given=given, answer=answer),
        reads=("instruction", given, answer, "history", "system"),
        adds=("prompt", "completion", "messages", "system"),
    )


def prompt_completion(sample: Sequence[Fields]) -> Schema | None:
    """The schema of prompt and completion, as texts or as messages (TRL)."""
    answer = next((name for name in _PAIR if is_mostly(sample, partial(_is_pair, name))), None)
    if answer is None:
        return None
    return Schema(
        name=f"prompt/{answer}",
        how="the conversation is put together from both",
        fits=partial(_is_pair, answer),
        read=partial(_read_pair, answer=answer),
        reads=("prompt", answer, "system"),
        adds=("prompt", "completion", "messages", "system"),
    )


def instruction_turns(fields: Fields, given: str = "input") -> list[dict[str, Any]]:
    """The turns before the answer of an alpaca row: system, history, instruction with input.

    Raises:
        Fault: for a field of another kind.
    """
    text, more = text_of(fields, "instruction"), text_of(fields, given, required=False)
    turns = [{"role": "user", "content": f"{text}\n{more}" if more else text}]
    return with_system([*_history(fields.get("history")), *turns], fields)


def _history(value: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(value, list | None):
        raise Fault("history", _HISTORY, kind_of(value))
    for number, pair in enumerate(value or (), 1):
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise Fault("history", _HISTORY, f"{kind_of(pair)} as pair {number}")
        yield {"role": "user", "content": pair[0]}
        yield {"role": "assistant", "content": pair[1]}


def _read_alpaca(fields: Fields, *, given: str, answer: str) -> Iterator[Made]:
    yield _made(instruction_turns(fields, given), [{"role": "assistant", "content": text_of(fields, answer)}], answer)


def _read_pair(fields: Fields, *, answer: str) -> Iterator[Made]:
    before = _turns(fields, "prompt", "user")
    yield _made(with_system(before, fields), _turns(fields, answer, "assistant"), answer)


def _turns(fields: Fields, column: str, role: str) -> list[dict[str, Any]]:
    value = fields.get(column)
    return [{"role": role, "content": value}] if isinstance(value, str) else read_turns(value, column)


def _made(before: list[dict[str, Any]], answer: list[dict[str, Any]], column: str) -> Made:
    messages = [*before, *answer]
    check_ends(messages, column)
    return Made(
        canonical={
            "prompt": prompt_of(messages[:-1]),
            "completion": turn_text(messages[-1]),
            "messages": messages,
            "system": system_of(messages),
        }
    )


def _are_text(names: Sequence[str], fields: Fields) -> bool:
    return all(isinstance(fields.get(name), str) for name in names)


def _is_pair(answer: str, fields: Fields) -> bool:
    return all(
        isinstance(value, str) or looks_openai(value) or looks_sharegpt(value)
        for value in (fields.get("prompt"), fields.get(answer))
    )
