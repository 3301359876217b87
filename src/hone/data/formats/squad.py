"""Questions on a text: SQuAD 1.1 and 2.0, as published (articles, paragraphs, questions) or one question per row.

Every answer must stand in the context at its ``answer_start`` (Rajpurkar et al. 2016, arXiv:1606.05250), counted in
code points from 0. Questions without an answer (2.0, arXiv:1806.03822) have an empty ``answer`` and no start.
A start of null says that the place is not known, as where a transform took the answer out of its context.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hone.data.formats.base import Fault, Fields, Made, Schema, is_mostly, text_of
from hone.data.formats.spans import nearest_place
from hone.data.rows import kind_of

_SPAN = "an answer that stands in the context at its answer_start"
_SHOWN = 60


def schema(sample: Sequence[Fields]) -> Schema | None:
    """The schema of questions with answer spans, or None."""
    if not is_mostly(sample, _fits):
        return None
    nested = any("question" not in fields for fields in sample)
    unfolded = "one row per question (ids end in #<id of the question>); " if nested else ""
    return Schema(
        name="SQuAD",
        how=f"{unfolded}every answer is checked against its answer_start, the first one is the answer",
        fits=_fits,
        read=_read,
        reads=("context", "question", "answers"),
        adds=("context", "question", "answer", "answer_start"),
        input="{context}\n\n{question}",
        output="{answer}",
    )


def _fits(fields: Fields) -> bool:
    if _holds(fields, "data", "paragraphs") or _holds(fields, "paragraphs", "qas") or _holds(fields, "qas", "question"):
        return True
    return all(isinstance(fields.get(name), str) for name in ("context", "question")) and isinstance(
        fields.get("answers"), dict | list
    )


def _holds(fields: Fields, key: str, inner: str) -> bool:
    """Whether a field is a list of objects that have a key of their own."""
    value = fields.get(key)
    return isinstance(value, list) and any(isinstance(part, Mapping) and inner in part for part in value)


def _read(fields: Fields) -> Iterator[Made | Fault]:
    """One row per question; a wrong question is a fault, and the others of its article go on."""
    if "question" in fields:
        yield _question(fields, text_of(fields, "context"))
        return
    names: Counter[str] = Counter()
    for number, (own, context, question) in enumerate(_questions(fields), 1):
        # A colon would be read as the end of the file's name, and two questions of one id are two rows.
        name = str(question.get("id", number)).replace(":", ".")
        names[name] += 1
        name += f"~{names[name]}" if names[name] > 1 else ""
        try:
            made = _question(question, context)
        except Fault as fault:
            yield Fault(fault.field, fault.expected, fault.found, suffix=name)
            continue
        yield Made(canonical=made.canonical, suffix=name, own={**own, **question})


def _questions(fields: Fields) -> Iterator[tuple[dict[str, Any], str, Fields]]:
    """The questions below a row: what stands beside them above, their context, themselves."""
    own = {key: value for key, value in fields.items() if key not in ("data", "paragraphs", "qas", "context")}
    if "qas" in fields:
        context = text_of(fields, "context")
        for question in _objects(fields, "qas"):
            yield own, context, question
        return
    for part in _objects(fields, "data" if "data" in fields else "paragraphs"):
        for beside, context, question in _questions(part):
            yield {**own, **beside}, context, question


def _objects(fields: Fields, key: str) -> list[Fields]:
    value = fields.get(key)
    if not isinstance(value, list) or not all(isinstance(part, Mapping) for part in value):
        raise Fault(key, "a list of objects", "nothing" if key not in fields else kind_of(value))
    return value


def _question(fields: Fields, context: str) -> Made:
    answers = _answers(fields.get("answers"))
    if fields.get("is_impossible") is True and answers:
        raise Fault("answers", "no answers where is_impossible is true", f"{len(answers)} answers")
    if fields.get("is_impossible") is False and not answers:
        raise Fault("answers", "an answer where is_impossible is false", "none")
    for text, start in answers:
        if start is not None:
            _check_span(context, text, start)
    first = answers[0] if answers else ("", None)
    return Made(
        canonical={
            "context": context,
            "question": text_of(fields, "question"),
            "answer": first[0],
            "answer_start": first[1],
        }
    )


def _answers(value: Any) -> list[tuple[str, int | None]]:
    """Text and start of the answers, from a list of objects or an object of lists."""
    if isinstance(value, Mapping):
        texts, starts = value.get("text"), value.get("answer_start")
        if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
            shown = f"text {kind_of(texts)}, answer_start {kind_of(starts)}"
            raise Fault("answers", "lists text and answer_start of one length", shown)
        value = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    if not isinstance(value, list | None):
        raise Fault("answers", "a list of answers", kind_of(value))
    found = []
    for answer in value or ():
        if not isinstance(answer, Mapping):
            raise Fault("answers", "answers with text and answer_start", kind_of(answer))
        text, start = answer.get("text"), answer.get("answer_start")
        if not isinstance(text, str):
            raise Fault("answers.text", "text", kind_of(text) if "text" in answer else "nothing")
        if type(start) not in (int, type(None)):
            raise Fault("answers.answer_start", "a whole number, counted in characters from 0", kind_of(start))
        found.append((text, start))
    return found


def is_unanswerable(fields: Fields) -> bool:
    """Whether a row is a question that its context does not answer: an empty answer is right there.

    It has a list of answers of SQuAD's, without any in it; ``is_impossible`` does not deny it.
    """
    answers = fields.get("answers")
    if "question" not in fields or "context" not in fields or fields.get("is_impossible") is False:
        return False
    if isinstance(answers, Mapping):
        return answers.get("text") == [] and answers.get("answer_start") == []
    return answers == []


def _check_span(context: str, text: str, start: int) -> None:
    if start >= 0 and context.startswith(text, start):
        return
    there = context[max(0, start) : max(0, start) + max(1, len(text))]
    at = nearest_place(context, text, start)
    where = "it is not in the context" if at is None else f"it stands at {at:,}"
    reads = f"where the context reads {_quoted(there)}" if there else f"and the context has {len(context):,} characters"
    raise Fault("answers", _SPAN, f"{_quoted(text)} at {start:,}, {reads}; {where}")


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")
