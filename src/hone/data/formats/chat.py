"""Conversations: OpenAI messages and ShareGPT, with tools where there are some."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from hone.data.formats.base import Fault, Fields, Made, Schema, is_mostly
from hone.data.formats.turns import (
    check_ends,
    looks_openai,
    looks_sharegpt,
    own_keys,
    prompt_of,
    read_turns,
    system_of,
    turn_text,
)
from hone.data.rows import canonical, kind_of

COLUMNS = ("conversations", "conversation", "messages")
"""Where conversations are found; ``messages`` last, because converting adds it."""
_HOW = "the last turn of the assistant is the completion, all turns before it are the prompt"


def schema(sample: Sequence[Fields]) -> Schema | None:
    """The schema of rows that hold a conversation, or None."""
    column = conversation_column(sample)
    if column is None:
        return None
    own = own_keys(fields.get(column) for fields in sample)
    style = "OpenAI messages" if any(looks_openai(fields.get(column)) for fields in sample) else "ShareGPT"
    extra = f"; messages also carry {', '.join(sorted(own))}" if own else ""
    with_tools = any(tools_text(fields, strict=False) for fields in sample)
    return Schema(
        name=f"{style} with tools" if with_tools else style,
        how=_HOW + extra,
        fits=partial(_fits, column),
        read=partial(_read, column=column, own=own, with_tools=with_tools),
        reads=(column, "system"),
        adds=("prompt", "completion", "messages", "system", "tools"),
        input="{tools}\n\n{prompt}" if with_tools else "{prompt}",
    )


def conversation_column(sample: Sequence[Fields]) -> str | None:
    """The column that holds conversations in most rows, and not only empty ones."""
    fitting = (name for name in COLUMNS if is_mostly(sample, partial(_fits, name)))
    return next((name for name in fitting if any(fields.get(name) for fields in sample)), None)


def _fits(column: str, fields: Fields) -> bool:
    value = fields.get(column)
    return value == [] or looks_openai(value) or looks_sharegpt(value)


def _read(fields: Fields, *, column: str, own: frozenset[str], with_tools: bool) -> Iterator[Made]:
    messages = conversation(fields, column, own)
    check_ends(messages, column)
    yield Made(
        canonical={
            "prompt": prompt_of(messages[:-1]),
            "completion": turn_text(messages[-1]),
            "messages": messages,
            "system": system_of(messages),
            "tools": tools_text(fields, strict=with_tools),
        }
    )


def conversation(fields: Fields, column: str, own: frozenset[str] = frozenset()) -> list[dict[str, Any]]:
    """The messages of a row, with the text of a ``system`` column in front where they have no system turn.

    Raises:
        Fault: for a message that is wrong.
    """
    return with_system(read_turns(fields.get(column), column, own), fields)


def with_system(messages: list[dict[str, Any]], fields: Fields) -> list[dict[str, Any]]:
    """Messages behind the row's system text, where they have no system turn of their own."""
    system = fields.get("system")
    if isinstance(system, str) and system and not any(message["role"] == "system" for message in messages):
        return [{"role": "system", "content": system}, *messages]
    return messages


def tools_text(fields: Fields, *, strict: bool = True) -> str:
    """The row's tools as JSON text; "" without any.

    Raises:
        Fault: for text that is no JSON, where ``strict``.
    """
    tools = fields.get("tools")
    if isinstance(tools, list | dict):
        return canonical(tools) if tools else ""
    if tools is None or tools == "":
        return ""
    try:
        if not isinstance(tools, str) or not isinstance(json.loads(tools), list | dict):
            raise ValueError("no list")
    except (ValueError, RecursionError):
        if strict:
            raise Fault("tools", "a list of tools, or JSON of one", kind_of(tools)) from None
        return ""
    return tools
