"""Conversations: a row's turns with their roles, and which of them are learned.

A conversation is a list of messages, ``{"role": ..., "content": ...}``, an assistant's perhaps with ``tool_calls``. On
paper, with single ids that no text can produce as marks::

    <|system|> " " + text <|end|>  <|user|> " " + text <|end|>  <|answer|> " " + text <|end|>  <|user|> ...  <|end|>

Every turn ends in ``<|end|>``; the mark of the assistant is ``<|answer|>``, so that a prompt ends as every other one
does. Supervised are the text and the end of each turn whose role is among ``supervise``: masks come from roles, never
from looking for text.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, get_args

from hone.errors import InputError, nearest
from hone.task.templates import fill

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[str, ...] = get_args(Role)
MARKS = {role: f"<|{role}|>" for role in ROLES if role != "assistant"}
"""Special tokens that begin a turn; the assistant's is the renderer's ``<|answer|>``."""
_OTHER_NAMES = {"developer": "system", "function": "tool"}
"""Names that OpenAI's interface has, or had, for roles."""
EXPECTED = "messages with role and content, the last one an answer of the assistant's"
"""What a row's conversation has to be."""


class Turn(NamedTuple):
    """One turn. ``learned`` is False where the message has the ``weight`` 0 (as in OpenAI's fine-tuning files)."""

    role: str
    text: str
    learned: bool = True


@dataclass(frozen=True, slots=True)
class Form:
    """How a task reads conversations.

    ``template`` names the column; ``supervise`` are the roles that are learned; ``longest`` ids are what a row may have
    before whole turns leave from its front, None where none do; ``tools`` is the column of the tools that the assistant
    may call, which stand in front of the system turn's text ("": there are none).
    """

    template: str
    supervise: tuple[str, ...] = ("assistant",)
    longest: int | None = None
    tools: str = ""

    def to_json(self) -> dict[str, Any]:
        """The form in the place of a template; :func:`form_of` is the inverse."""
        plain: dict[str, Any] = {"conversation": self.template, "supervise": list(self.supervise)}
        more = {"longest": self.longest, "tools": self.tools}
        return {**plain, **{key: value for key, value in more.items() if value}}

    def turns(self, fields: Mapping[str, Any]) -> list[Turn]:
        """The turns of a row; a text alone is one turn of the user.

        Raises:
            InputError: for what is no conversation.
        """
        turns = read_turns(fill(self.template, fields))
        tools = tools_text(fields.get(self.tools)) if self.tools else ""
        if not tools:
            return turns
        first = turns[0]
        if first.role != "system":
            return [Turn("system", tools), *turns]
        return [first._replace(text=f"{tools}\n\n{first.text}"), *turns[1:]]

    def is_learned(self, turn: Turn) -> bool:
        """Whether a turn carries loss."""
        return turn.learned and turn.role in self.supervise


class Tokenizer(Protocol):
    """What is needed of a tokenizer here; :class:`hone.task.render.Tokenizer` has more."""

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; never a special id, whatever the text says."""
        ...

    def special_id(self, name: str) -> int:
        """Id of a special token by its name."""
        ...


class Conversing:
    """Conversations to ids, for the renderer alone: everybody else asks the renderer."""

    def __init__(self, form: Form, tokenizer: Tokenizer, answer_id: int, end_id: int) -> None:
        self.form = form
        self._tokenizer = tokenizer
        self._answer_id, self._end_id = answer_id, end_id
        self._marks = {role: tokenizer.special_id(mark) for role, mark in MARKS.items()} | {"assistant": answer_id}

    def prompt_ids(self, fields: Mapping[str, Any], longest_answer: int) -> list[int]:
        """Ids of all turns before the answer, and the mark that it begins with."""
        # Room is left for the longest answer of training.
        turns = self._that_fit(before_answer(self.form.turns(fields)), 1 + longest_answer)
        return [one for turn in turns for one in self._turn_ids(turn)] + [self._answer_id]

    def ids_and_mask(self, fields: Mapping[str, Any]) -> tuple[list[int], list[bool]]:
        """Ids of a conversation, and which carry loss: the text and the end of each turn that is learned.

        Raises:
            InputError: where the last turn is not the assistant's.
        """
        turns = self.form.turns(fields)
        answer_of(turns)
        ids: list[int] = []
        supervised: list[bool] = []
        for turn in self._that_fit(turns, 0):
            own = self._turn_ids(turn)
            ids += own
            supervised += [False, *[self.form.is_learned(turn)] * (len(own) - 1)]
        return ids, supervised

    def num_ids_at_least(self, fields: Mapping[str, Any]) -> int:
        """Ids of a conversation whose oldest exchanges have left: system turns, the last question, its answer."""
        fewer: list[Turn] | None = self.form.turns(fields)
        turns: list[Turn] = []
        while fewer is not None:
            turns, fewer = fewer, without_first(fewer)
        return sum(len(self._turn_ids(turn)) for turn in turns)

    def num_turns(self, ids: Sequence[int]) -> int:
        """Turns among ids."""
        marks = set(self._marks.values())
        return sum(one in marks for one in ids)

    def _turn_ids(self, turn: Turn) -> list[int]:
        """Mark, text and end of a turn."""
        return [self._marks[turn.role], *self._tokenizer.encode(" " + turn.text), self._end_id]

    def _that_fit(self, turns: list[Turn], room: int) -> list[Turn]:
        """The conversation without so many of its oldest exchanges that it fits, where the task asks for that."""
        longest = self.form.longest
        if longest is None:
            return turns
        sizes = {turn: len(self._turn_ids(turn)) for turn in turns}
        fewer: list[Turn] | None = turns
        while fewer is not None and sum(map(sizes.__getitem__, turns)) + room > longest:
            fewer = without_first(turns)
            turns = turns if fewer is None else fewer
        return turns


def form_of(template: Any) -> Form | None:
    """The form that stands in the place of a template; None where there is a template."""
    if not isinstance(template, Mapping) or "conversation" not in template or "supervise" not in template:
        return None
    longest, tools = template.get("longest"), str(template.get("tools", ""))
    return Form(str(template["conversation"]), tuple(template["supervise"]), longest, tools)


def tools_text(value: Any) -> str:
    """A row's tools as JSON text; "" where it has none.

    Raises:
        InputError: for what is neither a list of tools nor text.
    """
    if value is None or isinstance(value, str):
        return (value or "").strip()
    if not isinstance(value, list | dict):
        raise InputError(f"tools: expected a list of tools, or JSON of one; got {_kind(value)}")
    return _json(value) if value else ""


def read_turns(value: Any) -> list[Turn]:
    """Messages as turns.

    Args:
        value: a list of messages; their content is text, or a list of parts of type text.

    Raises:
        InputError: naming the first turn that is wrong.
    """
    if isinstance(value, str):
        return [Turn("user", value)]
    if not isinstance(value, list | tuple) or not value:
        raise InputError(f"expected a list of messages with role and content; got {_kind(value)}")
    return [_turn(message, f"turn {number}") for number, message in enumerate(value, 1)]


def conversation_problem(value: Any) -> str | None:
    """What is found in the place of a conversation that can be learned from; None where it is one."""
    if not isinstance(value, list | tuple) or not value:
        return _kind(value)
    try:
        turns = read_turns(value)
    except InputError as error:
        return str(error)
    if turns[-1].role != "assistant":
        return f'a last turn of the role "{turns[-1].role}"'
    if not turns[-1].learned:
        return "a last turn of the weight 0, which is not learned"
    return None if len(turns) > 1 else "one turn only"


def _turn(message: Any, where: str) -> Turn:
    if not isinstance(message, Mapping):
        raise InputError(f"{where}: expected a message with role and content; got {_kind(message)}")
    role = message.get("role")
    role = _OTHER_NAMES.get(role, role) if isinstance(role, str) else role
    if role not in ROLES:
        hint = nearest(role, ROLES) if isinstance(role, str) else f"one of {', '.join(ROLES)}"
        if "from" in message and "role" not in message:
            hint = "the rows are ShareGPT's; name the column {messages}, which is made of them"
        raise InputError(f"{where}: the role is {role!r}; {hint}")
    text = turn_text(message)
    if text is None:
        raise InputError(f"{where}: expected text as content; got {_kind(message.get('content'))}")
    if message.get("weight", 1) not in (0, 1):
        raise InputError(f"{where}: the weight must be 0 or 1; got {message['weight']!r}")
    return Turn(str(role), text, message.get("weight", 1) != 0)


def turn_text(message: Mapping[str, Any]) -> str | None:
    """What a message says, tool calls as JSON with ``name`` and ``arguments``; None where it says nothing."""
    content = _content(message.get("content"))
    calls = message.get("tool_calls")
    if not calls:
        return content
    if not isinstance(calls, list) or not all(isinstance(call, Mapping) for call in calls):
        return None
    made = [_call(call.get("function", call)) for call in calls]
    written = _json(made[0] if len(made) == 1 else made)
    return f"{content}\n{written}" if content else written


def conversation_text(turns: Sequence[Turn]) -> str:
    """Turns as people read them: a single turn of the user as it is, otherwise one ``role: text`` after the other."""
    if len(turns) == 1 and turns[0].role == "user":
        return turns[0].text
    return "\n".join(f"{turn.role}: {turn.text}" for turn in turns)


def before_answer(turns: Sequence[Turn]) -> list[Turn]:
    """The turns before the last answer: all of them where the last one is not the assistant's."""
    return list(turns[:-1] if turns[-1].role == "assistant" else turns)


def answer_of(turns: Sequence[Turn]) -> str:
    """What the assistant says last: the reference that an answer is scored against.

    Raises:
        InputError: where the last turn is not the assistant's.
    """
    if turns[-1].role != "assistant":
        raise InputError(f'the last turn is of the role "{turns[-1].role}": there is no answer to learn or to score')
    return turns[-1].text


def without_first(turns: Sequence[Turn]) -> list[Turn] | None:
    """The conversation without its oldest exchange: system turns stay, and it begins with a turn of the user again.

    None where nothing can leave: the last question and its answer are left.
    """
    kept = [turn for turn in turns if turn.role == "system"]
    rest = [turn for turn in turns if turn.role != "system"]
    for start in range(1, len(rest)):
        if rest[start].role == "user":
            return kept + rest[start:]
    return None


def _content(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return None
    texts = [part if isinstance(part, str) else _text_part(part) for part in value]
    return None if any(text is None for text in texts) else "\n".join(text for text in texts if text is not None)


def _text_part(part: Any) -> str | None:
    if isinstance(part, Mapping) and part.get("type", "text") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    return None


def _call(function: Any) -> Any:
    """Name and arguments of a call, the arguments as the value that they write."""
    if not isinstance(function, Mapping):
        return function
    arguments = function.get("arguments", {})
    if isinstance(arguments, str):
        with contextlib.suppress(ValueError, RecursionError):
            arguments = json.loads(arguments)
    return {"name": function.get("name"), "arguments": arguments}


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)


def _kind(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return "nothing" if value is None else f"{type(value).__name__} {str(value)[:60]!r}"
