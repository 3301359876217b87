"""The text of a new ``hone.yaml``: every key with what it is for."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping
from typing import Any

from hone.task.spec import KINDS, LISTED

COMMENT_COLUMN = 32
LONGEST_LINE = 118
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS_OF_YAML = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def task_text(name: str, values: Mapping[str, Any], why: Mapping[str, str], rows: str) -> str:
    """The file as text.

    Args:
        name: of the task.
        values: kind, data, test, dev, input, output, metric, target, context; bad_rows, conversation and overlong where
            there are any; budget where no artifact comes of the task (False).
        why: a reason for each of them where there is one.
        rows: what the data holds, in words.
    """
    better = "at the pessimistic end of its 95 % interval"
    verb = "solve" if values.get("budget", True) else "train"
    lines = [
        f'# What "solved" means for {name}. `hone check` validates this file and `hone {verb}` works towards it.',
        f"task: {_scalar(name)}",
        _line(f"kind: {values['kind']}", " | ".join(KINDS)),
        "data:",
        _line(f"  train: {_scalar(values['data'])}", rows),
        _line(f"  dev: {values['dev']:g}", why.get("dev", "")),
        _line(f"  test: {'null' if values['test'] is None else _scalar(values['test'])}", _test_comment(values, why)),
    ]
    if values.get("bad_rows"):
        lines.append(_line(f"  bad_rows: {values['bad_rows']}", why["bad_rows"]))
    if values["input"] is not None:
        lines.append(_line(f"input: {_scalar(values['input'])}", "how a row becomes the prompt"))
    if values.get("conversation"):
        lines.append(
            _line(f"conversation: {_scalar(values['conversation'])}", "prompt and answers, as turns with roles")
        )
        lines.append(_line("supervise: [assistant]", "roles whose turns are learned: system, user, assistant, tool"))
        if values.get("tools"):
            lines.append(_line(f"tools: {_scalar(values['tools'])}", "what the assistant may call, in the system turn"))
    else:
        lines.append(_line(f"output: {_flow(values['output'])}", "the answer that the model is to give"))
    lines += [
        _line(f"metric: {_scalar(values['metric'])}", why.get("metric", "").split(";")[0]),
        _line(f"target: {values['target']:g}", f"{better}; {why.get('target', '')}".rstrip("; ")),
        _line("clean: {preset: task}", _CLEAN.get("" if values.get("conversation") else values["kind"], _CLEAN[""])),
    ]
    if values["kind"] != "language-model":
        ways = "error | drop | drop-turns" if values.get("conversation") else "error | drop"
        counted = f"; {why['overlong']}" if why.get("overlong") else ""
        lines.append(_line(f"overlong: {values.get('overlong', 'error')}", f"longer rows: {ways}{counted}"))
    lines += _device(values, why)
    lines.append(_line("base: scratch", f"{_BASES.get(values['kind'], _BASES[''])} | a model folder | a hub id"))
    return "\n".join(lines) + "\n"


_CLEAN = {
    "": "empty rows, folded duplicates and rows of the test leave; none keeps duplicates",
    "generate": "empty rows, folded duplicates, rows of the test and answers in which an assistant speaks of being one "
    "leave; rules: {disclaimer: false} keeps those answers, preset none keeps duplicates too",
}
"""What leaves by the preset: of kind generate something more, but of conversations not."""
_BASES = {"": "scratch | scratch:2m, 5m, ...", **dict.fromkeys(LISTED, "scratch | scratch:bert-2m, bert-5m, ...")}


def _device(values: Mapping[str, Any], why: Mapping[str, str]) -> list[str]:
    """The device: its budget where an artifact comes of the task, and the context."""
    context = f"context is the longest prompt and answer together in tokens{_because(why.get('context'))}."
    if not values.get("budget", True):
        longest = f"context is the longest text in tokens{_because(why.get('context'))}."
        return [*_wrapped(longest, ""), f"device: {{context: {values['context']}}}"]
    per_token = "" if values["kind"] == "classify" or values["kind"] in LISTED else "ms_per_token: 5, "
    budget = "The budget that the exported model must keep, measured on this machine; null is no limit."
    limits = f"size_mb: 5, ram_mb: 150, first_token_ms: 50, {per_token}threads: 1"
    return [
        *_wrapped(f"{budget} {context}", ""),
        f"device: {{{limits}, context: {values['context']}, prompt_tokens: 64}}",
    ]


def _test_comment(values: Mapping[str, Any], why: Mapping[str, str]) -> str:
    if values["test"] is None:
        return why.get("test", "")
    return "sealed" + (": scored once, on the certified artifact" if values.get("budget", True) else "")


def _because(reason: str | None) -> str:
    return f": {reason}" if reason else ""


def _line(text: str, comment: str) -> str:
    if not comment:
        return text
    line = f"{text:<{COMMENT_COLUMN - 2}}  # {comment}"
    indent = " " * (len(text) - len(text.lstrip()))
    return line if len(line) <= LONGEST_LINE else "\n".join([*_wrapped(comment, indent), text])


def _wrapped(comment: str, indent: str) -> list[str]:
    return textwrap.wrap(comment, LONGEST_LINE, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _scalar(value: Any) -> str:
    """Text as YAML: bare where nothing can be misread, else quoted as JSON quotes (which YAML reads)."""
    text = str(value)
    if re.fullmatch(r"(\.\./|/)*[A-Za-z][A-Za-z0-9_./-]*", text) and text.lower() not in _WORDS_OF_YAML:
        return text
    return json.dumps(text, ensure_ascii=False)


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)}: {_flow(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _key(key: Any) -> str:
    text = str(key)
    plain = _PLAIN_KEY.fullmatch(text) and text.lower() not in _WORDS_OF_YAML
    return text if plain else json.dumps(text, ensure_ascii=False)
