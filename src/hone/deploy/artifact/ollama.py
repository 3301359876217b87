"""``Modelfile`` for Ollama: the prompt written exactly as the renderer writes it, and where an answer ends.

Ollama reads its template as text in which the names of special tokens are special tokens, so that a user who types
``<|end|>`` ends his own prompt there: its concern, and said in the file. Syntax: Ollama's ``docs/modelfile``.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

from hone.task.conversation import form_of
from hone.task.render import ANSWER, BEGIN, END
from hone.task.soft_prompt import soft_prompt_of, soft_token
from hone.task.templates import columns

QUOTES = '"""'
SOFT = (
    "The {} tokens that the template begins with are a soft prompt. The file asks for them never to be written "
    "(tokenizer.ggml.suppress_tokens); a version of Ollama that does not read that may write one."
)
_CONVERSATION = (
    '{{ range .Messages }}{{ if eq .Role "assistant" }}'
    + ANSWER
    + "{{ else }}<|{{ .Role }}|>{{ end }} {{ .Content }}"
    + END
    + "{{ end }}"
    + ANSWER
)


def modelfile(hone: Mapping[str, Any], file: str) -> str:
    """The text of the file.

    Args:
        hone: the artifact's ``hone.json``.
        file: name of the model file beside it.
    """
    renderer = hone["renderer"] or {}
    own = renderer.get("continues")
    body, notes = ("{{ .Prompt }}", []) if own else template(hone["kind"], renderer.get("input"))
    body = (own["begin"] or "") + body if own else body
    if soft := soft_prompt_of(renderer):
        body = "".join(soft_token(index) for index in range(len(soft))) + body
        notes = [*notes, SOFT.format(len(soft))]
    longest = int(renderer.get("longest_answer") or 0)
    parameters = {"temperature": "0", "num_ctx": str(hone["context"])}
    if longest:
        parameters["num_predict"] = str(longest)
    parameters["stop"] = f'"{own["end"] if own else END}"'
    lines = [
        "# Made by hone: the template is the one that the model was trained with.",
        "# Ollama takes names of special tokens in a prompt for the tokens themselves; hone's own runners do not.",
        *(f"# {note}" for note in notes),
        f"FROM ./{file}",
        f"TEMPLATE {QUOTES}{body}{QUOTES}",
        *(f"PARAMETER {name} {value}" for name, value in parameters.items()),
    ]
    return "\n".join(lines) + "\n"


def template(kind: str, given: Any) -> tuple[str, list[str]]:
    """Ollama's template for a renderer's input template, and what a person has to know of it."""
    if kind == "language-model":
        return BEGIN + "{{ .Prompt }}", []
    if form_of(given) is not None:
        return _CONVERSATION, ["The last message is the user's; tools and tool calls are written as JSON text."]
    names = columns(given)
    if isinstance(given, str) and len(names) == 1 and QUOTES not in given:
        return " " + _filled(given) + ANSWER, []
    said = f"The prompt is made of {', '.join(names) or 'no column'}: "
    return " {{ .Prompt }}" + ANSWER, [said + line for line in _shown(given)]


def _filled(given: str) -> str:
    """The template's own text, with the prompt in the place of its one column (which may stand there twice)."""
    made = ""
    for literal, column, _, _ in string.Formatter().parse(given):
        made += _literal(literal) + ("" if column is None else "{{ .Prompt }}")
    return made


def _literal(text: str) -> str:
    """Text that a Go template leaves alone."""
    return text.replace("{{", '{{ "{{" }}')


def _shown(given: Any) -> list[str]:
    """A template as lines to be given whole in the prompt."""
    if isinstance(given, list):
        return [f"{turn['role']}: {turn['content']}".replace("\n", " ") for turn in given]
    return [str(given).replace("\n", " ")]
