"""What people prefer: pairs of a better and a worse answer (DPO), and single answers with a verdict (KTO).

Sources: the data formats of TRL (explicit and implicit prompts, texts and messages), LLaMA-Factory's data README
(``conversations`` with ``chosen`` and ``rejected``; ``kto_tag``), and the two-sided transcripts of hh-rlhf.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from hone.data.formats import chat, instructions
from hone.data.formats.base import Fault, Fields, Made, Schema, is_mostly
from hone.data.formats.chat import tools_text, with_system
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

ANSWERS = ("chosen", "rejected")
_VERDICTS = ("kto_tag", "label")
_QUESTIONS = ("question", "query", "prompt")
"""``prompt`` last, because converting adds it."""
_BEFORE = (*_QUESTIONS, *chat.COLUMNS, "instruction")
_SPEAKER = re.compile(r"(?:\A|\n\n)(Human|Assistant):")
_SPEAKERS = {"Human": "user", "Assistant": "assistant"}
_TRANSCRIPT = 'a transcript of turns "\\n\\nHuman: ..." and "\\n\\nAssistant: ..."'


def pairs(sample: Sequence[Fields]) -> Schema | None:
    """The schema of rows with a chosen and a rejected answer, or None."""
    if not is_mostly(sample, _has_answers):
        return None
    transcripts = is_mostly(sample, _are_transcripts)
    how = "the turns that both have are the prompt, the last turns are chosen and rejected"
    return Schema(
        name="preference transcripts" if transcripts else "preference pairs (DPO)",
        how=f'split at "Human:" and "Assistant:"; {how}' if transcripts else how,
        fits=_has_answers,
        read=partial(_read_pair, transcripts=transcripts),
        reads=(*ANSWERS, *_BEFORE, "input", "system"),
        adds=("prompt", "chosen", "rejected", "messages", "system", "tools"),
        output="{chosen}",
        also=("rejected",),
    )


def verdicts(sample: Sequence[Fields]) -> Schema | None:
    """The schema of answers that are wanted or not: a conversation or pair with a boolean column, or None."""
    column = next((name for name in _VERDICTS if is_mostly(sample, partial(_is_verdict, name))), None)
    if column is None:
        return None
    for family in (instructions.alpaca, chat.schema, instructions.prompt_completion):
        found = family(sample)
        if found is not None:
            return Schema(
                name=f"verdicts (KTO) on {found.name}",
                how=f"{found.how}; {column} says whether it is wanted",
                fits=found.fits,
                read=partial(_read_verdict, read=found.read, column=column),
                reads=found.reads,
                adds=(*found.adds, "kto_label"),
                kind="classify",
                input="{prompt}\n\n{completion}",
                output="{kto_label}",
            )
    return None


def _read_verdict(fields: Fields, *, read: Any, column: str) -> Iterator[Made | Fault]:
    verdict = fields.get(column)
    if not isinstance(verdict, bool):
        raise Fault(column, "true or false", "nothing" if column not in fields else kind_of(verdict))
    for made in read(fields):
        yield made if isinstance(made, Fault) else Made(canonical={**made.canonical, "kto_label": verdict})


def _read_pair(fields: Fields, *, transcripts: bool) -> Iterator[Made]:
    before = [] if transcripts else _before(fields)
    chosen, rejected = (_whole(fields, name, before, transcripts) for name in ANSWERS)
    if chosen[:-1] != rejected[:-1]:
        expected = "the same turns before the last one as in chosen"
        raise Fault("rejected", expected, _difference(chosen[:-1], rejected[:-1]))
    _check_preference(turn_text(chosen[-1]), turn_text(rejected[-1]))
    yield Made(
        canonical={
            "prompt": prompt_of(chosen[:-1]),
            "chosen": turn_text(chosen[-1]),
            "rejected": turn_text(rejected[-1]),
            "messages": chosen,
            "system": system_of(chosen),
            "tools": tools_text(fields, strict=False),
        }
    )


def _check_preference(chosen: str, rejected: str) -> None:
    """The worse answer says something, and something else than the better one: else nothing is preferred to it.

    An empty better answer is left to the rule on empty rows.
    """
    if not rejected.strip():
        raise Fault("rejected", "an answer that says something", "an empty one")
    if chosen.strip() == rejected.strip():
        raise Fault("rejected", "another answer than chosen", "the same one")


def _before(fields: Fields) -> list[dict[str, Any]]:
    """The turns before the answers, where the row holds them apart from the answers."""
    for column in ("conversations", "conversation", "prompt"):
        if isinstance(fields.get(column), list):
            return chat.conversation(fields, column)
    if isinstance(fields.get("instruction"), str):
        return instructions.instruction_turns(fields)
    question = next((fields[name] for name in _QUESTIONS if isinstance(fields.get(name), str)), None)
    if question is not None:
        return with_system([{"role": "user", "content": question}], fields)
    return chat.conversation(fields, "messages") if isinstance(fields.get("messages"), list) else []


def _whole(fields: Fields, name: str, before: list[dict[str, Any]], transcripts: bool) -> list[dict[str, Any]]:
    """The conversation with one of the answers at its end."""
    value = fields.get(name)
    if transcripts:
        messages = transcript_turns(value, name)
    elif isinstance(value, str):
        messages = [*before, {"role": "assistant", "content": value}]
    else:
        answer = read_turns(value, name)
        # An answer that begins with another's turn is the whole conversation, the prompt included.
        messages = with_system(answer, fields) if answer[0]["role"] in ("system", "user") else [*before, *answer]
    check_ends(messages, name)
    return messages


def transcript_turns(value: Any, field: str) -> list[dict[str, Any]]:
    """The turns of a two-sided transcript, each without the white space around it.

    Raises:
        Fault: for a value that is no transcript.
    """
    if not isinstance(value, str):
        raise Fault(field, _TRANSCRIPT, kind_of(value))
    head, *parts = _SPEAKER.split(value)
    if head.strip() or not parts:
        raise Fault(field, _TRANSCRIPT, kind_of(value))
    speakers, texts = parts[::2], parts[1::2]
    return [
        {"role": _SPEAKERS[speaker], "content": text.strip()} for speaker, text in zip(speakers, texts, strict=True)
    ]


def _difference(chosen: Sequence[Mapping[str, Any]], rejected: Sequence[Mapping[str, Any]]) -> str:
    for number, (one, other) in enumerate(zip(chosen, rejected, strict=False), 1):
        if one != other:
            return f"another turn {number}: {kind_of(turn_text(dict(other)))}"
    return f"{len(rejected)} turns before it, {len(chosen)} in chosen"


def _has_answers(fields: Fields) -> bool:
    values = [fields.get(name) for name in ANSWERS]
    if all(isinstance(value, str) for value in values):
        return _are_transcripts(fields) or any(fields.get(name) for name in _BEFORE)
    return all(isinstance(value, str) or _is_message(value) for value in values)


def _is_message(value: Any) -> bool:
    """Whether a value is a message or a list of messages."""
    turns = [value] if isinstance(value, dict) else value
    return looks_openai(turns) or looks_sharegpt(turns)


def _are_transcripts(fields: Fields) -> bool:
    return all(isinstance(value, str) and _SPEAKER.match(value) for value in (fields.get(name) for name in ANSWERS))


def _is_verdict(column: str, fields: Fields) -> bool:
    return isinstance(fields.get(column), bool)
