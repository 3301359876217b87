"""Conversations: turns in the keys of OpenAI or of ShareGPT, checked and brought into one form.

A canonical message is ``{"role": system | user | assistant | tool, "content": text}``, an assistant's also with
``tool_calls`` as OpenAI writes them, but with the arguments as an object. Sources: the OpenAI chat and fine-tuning
reference for ``role``/``content``, LLaMA-Factory's data README for ``from``/``value``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hone.data.formats.base import Fault
from hone.data.rows import kind_of
from hone.errors import nearest
from hone.task.conversation import Turn, conversation_text
from hone.task.conversation import turn_text as said

Message = dict[str, Any]
OPENAI_ROLES = {
    "system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool",
    "function": "tool",
}  # fmt: skip
SHAREGPT_ROLES = {
    "system": "system", "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant",
    "function_call": "assistant", "observation": "tool", "tool": "tool",
}  # fmt: skip
_OPENAI_KEYS = frozenset(
    {"role", "content", "name", "tool_calls", "tool_call_id", "function_call", "refusal", "weight"}
)
_SHAREGPT_KEYS = frozenset({"from", "value", "weight"})
_CALL = 'JSON of a call: "name" and an object of "arguments"'
_OWN_KEY_SHARE = 0.5
_LEAST_FOR_OWN_KEY = 10


def looks_openai(value: Any) -> bool:
    """Whether a value is a list of messages with ``role``."""
    return _has_key(value, "role")


def looks_sharegpt(value: Any) -> bool:
    """Whether a value is a list of messages with ``from``."""
    return _has_key(value, "from")


def _has_key(value: Any, key: str) -> bool:
    return (
        isinstance(value, list)
        and all(isinstance(turn, Mapping) for turn in value)
        and (any(key in turn for turn in value))
    )


def own_keys(values: Iterable[Any]) -> frozenset[str]:
    """Keys beyond the schema's that half of the messages or more carry: the source's own, and no slip of the pen."""
    seen: Counter[str] = Counter()
    total = 0
    for value in values:
        for turn in value if isinstance(value, list) else (value,):
            if isinstance(turn, Mapping):
                total += 1
                seen.update(str(key) for key in turn)
    if total < _LEAST_FOR_OWN_KEY:
        return frozenset()
    return frozenset(key for key, n in seen.items() if n >= _OWN_KEY_SHARE * total) - _OPENAI_KEYS - _SHAREGPT_KEYS


def read_turns(value: Any, field: str, own: frozenset[str] = frozenset()) -> list[Message]:
    """Canonical messages of a conversation in either key style.

    Args:
        value: a list of messages, or one message.
        field: the column, for errors.
        own: further keys that a message may have.

    Raises:
        Fault: with the number of the first turn that is wrong.
    """
    turns = [value] if isinstance(value, Mapping) else value
    if not isinstance(turns, list):
        raise Fault(field, "a list of messages", kind_of(value))
    if not turns:
        raise Fault(field, "at least one message", "an empty conversation")
    read: Callable[[Mapping[str, Any], str, str, frozenset[str]], Message]
    read = _sharegpt if isinstance(turns[0], Mapping) and "from" in turns[0] else _openai
    messages = []
    for number, turn in enumerate(turns, 1):
        if not isinstance(turn, Mapping):
            raise Fault(field, "a list of messages", f"{kind_of(turn)} as turn {number}")
        messages.append(read(turn, field, f"turn {number}", own))
    return messages


def _openai(turn: Mapping[str, Any], field: str, where: str, own: frozenset[str]) -> Message:
    role = _role(turn, "role", OPENAI_ROLES, field, where)
    _check_keys(turn, _OPENAI_KEYS | own, field, where)
    calls = turn.get("tool_calls")
    if calls is None and isinstance(turn.get("function_call"), Mapping):
        calls = [turn["function_call"]]
    message: Message = {"role": role, "content": _content(turn, "content", bool(calls), field, where)}
    message |= {key: turn[key] for key in ("name", "tool_call_id", "weight") if turn.get(key) is not None}
    if calls:
        if role != "assistant":
            raise Fault(field, "tool calls in turns of the assistant only", f'{where} of "{role}" with calls')
        if not isinstance(calls, list):
            raise Fault(field, "a list of tool calls", f"{kind_of(calls)} in {where}")
        message["tool_calls"] = [_tool_call(call, field, where) for call in calls]
    return message


def _sharegpt(turn: Mapping[str, Any], field: str, where: str, own: frozenset[str]) -> Message:
    role = _role(turn, "from", SHAREGPT_ROLES, field, where)
    _check_keys(turn, _SHAREGPT_KEYS | own, field, where)
    content = _content(turn, "value", False, field, where)
    weight = {"weight": turn["weight"]} if turn.get("weight") is not None else {}
    if turn["from"] != "function_call":
        return {"role": role, "content": content, **weight}
    calls = _json(content)
    calls = calls if isinstance(calls, list) and calls else [calls]
    return {"role": role, "content": "", "tool_calls": [_tool_call(call, field, where) for call in calls], **weight}


def _role(turn: Mapping[str, Any], key: str, roles: Mapping[str, str], field: str, where: str) -> str:
    role = turn.get(key)
    if isinstance(role, str) and role in roles:
        return roles[role]
    known = list(roles)
    found = f"{where} without {key}" if key not in turn else f"{where} with {key} {kind_of(role)}"
    hint = f"; {nearest(role, known)}" if isinstance(role, str) else ""
    raise Fault(field, f"messages with {key} one of {', '.join(known)}", found + hint)


def _check_keys(turn: Mapping[str, Any], known: frozenset[str], field: str, where: str) -> None:
    unknown = [str(key) for key in turn if key not in known]
    if unknown:
        hint = nearest(unknown[0], sorted(known))
        raise Fault(field, "messages with known keys only", f'{where} with the key "{unknown[0]}"; {hint}')


def _content(turn: Mapping[str, Any], key: str, calls: bool, field: str, where: str) -> str:
    """What a message says as text; parts of text are joined by line breaks."""
    value = turn.get(key)
    if isinstance(value, str):
        return value
    if value is None and calls:
        return ""
    if not isinstance(value, list):
        raise Fault(field, f"messages with text as {key}", f"{kind_of(value)} in {where}")
    texts = []
    for part in value:
        text = part if isinstance(part, str) else part.get("text") if isinstance(part, Mapping) else None
        if not isinstance(text, str) or (isinstance(part, Mapping) and part.get("type", "text") != "text"):
            kind = f'a part of type "{part["type"]}"' if isinstance(part, Mapping) and "type" in part else kind_of(part)
            raise Fault(field, "messages made of text", f"{kind} in {where}")
        texts.append(text)
    return "\n".join(texts)


def _tool_call(call: Any, field: str, where: str) -> dict[str, Any]:
    """One call as OpenAI writes it, its arguments as an object."""
    function = call.get("function", call) if isinstance(call, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(name, str) or not name:
        raise Fault(field, _CALL, f"{kind_of(call)} in {where}")
    arguments = function.get("arguments", {})
    if isinstance(arguments, str):
        arguments = _json(arguments or "{}")
    if not isinstance(arguments, Mapping):
        raise Fault(field, _CALL, f"{kind_of(function['arguments'])} as the arguments of {name} in {where}")
    made = {"type": "function", "function": {"name": name, "arguments": dict(arguments)}}
    return {"id": call["id"], **made} if isinstance(call.get("id"), str) else made


def _json(text: str) -> Any:
    """The value that a text writes; the text itself where it writes none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def turn_text(message: Message) -> str:
    """What a message says, calls as JSON with ``name`` and ``arguments``."""
    return str(said(message))


def prompt_of(messages: Sequence[Message]) -> str:
    """Turns as one text: a single turn of the user as it is, otherwise one ``role: content`` after the other."""
    return conversation_text([Turn(message["role"], turn_text(message)) for message in messages])


def system_of(messages: Sequence[Message]) -> str:
    """What the system turns say."""
    return "\n".join(message["content"] for message in messages if message["role"] == "system")


def check_ends(messages: Sequence[Message], field: str) -> None:
    """The last turn is the assistant's, and there is something before it.

    Raises:
        Fault: otherwise.
    """
    last = messages[-1]["role"]
    if last != "assistant":
        found = f'turn {len(messages)} of {len(messages)} from "{last}"'
        raise Fault(field, "a conversation whose last turn is the assistant's", found)
    if len(messages) == 1:
        raise Fault(field, "a turn before the assistant's answer", "one turn only")
