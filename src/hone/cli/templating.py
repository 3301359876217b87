"""Input and output of a new task: given templates are checked against the columns, missing ones proposed."""

from __future__ import annotations

from typing import Any

from hone.cli import columns as looking
from hone.cli.columns import Looked, Proposal
from hone.cli.desk import Desk, shown
from hone.errors import nearest
from hone.task.templates import columns as columns_of
from hone.task.templates import template_problems


def choose_templates(desk: Desk, looked: Looked) -> None:
    """Input and output: given ones are checked against the columns, missing ones proposed."""
    kind, args = desk.values["kind"], desk.args
    given_in, given_out = args.input, args.output
    talk = looking.propose_conversation(looked, kind) if given_in is None and given_out is None else None
    if talk is not None:
        desk.put("conversation", _proposed(desk, "conversation", talk), desk.why.get("conversation", talk.why))
        tools = looked.format.columns.get("tools") if looked.format is not None else None
        desk.values |= {"input": None, "output": None, "tools": f"{{{tools}}}" if tools else None}
        return
    if kind == "language-model" and given_in:
        desk.problems.append("--input: a language-model task has no prompt; the text column goes in --output")
    output = None if given_out is None else _read_output(desk, given_out, kind, looked)
    prompt = None if given_in is None else braced(given_in, looked)
    of_format = looking.propose_of_format(looked, kind)
    if output is None:
        taken = columns_of(prompt) if prompt else []
        output = _proposed(desk, "output", of_format[1] if of_format else _propose_output(kind, looked, taken))
        if isinstance(output, str):
            output = _read_output(desk, output, kind, looked)
    else:
        desk.why["output"] = "as given"
    if prompt is None and kind != "language-model":
        wish = of_format[0] if of_format else looking.propose_input(looked, columns_of(output))
        prompt = _proposed(desk, "input", wish)
        prompt = None if prompt is None else braced(prompt, looked)
    else:
        desk.why["input"] = "as given"
    desk.values |= {"input": prompt, "output": output}
    for key, part in (("input", prompt), ("output", output)):
        desk.problems += problems_of_template(key, part, looked)


def _propose_output(kind: str, looked: Looked, taken: list[str]) -> Proposal | None:
    if kind == "language-model":
        return looking.propose_document(looked)
    if kind == "classify":
        return looking.propose_label(looked)
    if kind in looking.LISTS:
        return looking.propose_list(kind, looked)
    if not taken:
        # The prompt is chosen first: what it takes is no part of the answer.
        label = looking.propose_input(looked)
        taken = columns_of(label.value) if label else []
    return looking.propose_object(looked, taken) if kind == "extract" else looking.propose_text(looked, taken)


def _proposed(desk: Desk, key: str, proposal: Proposal | None) -> Any:
    text = "" if proposal is None else shown(proposal.value)
    if desk.ask is not None:
        given = desk.ask(f"{key} template" + (f" ({proposal.why})" if proposal else ""), text)
        desk.why[key] = proposal.why if proposal and given == text else "as answered"
        return proposal.value if proposal and given == text else given
    if proposal is None:
        example = f'--{key} "{{column}}"'
        what, form = looking.LISTS.get(desk.values["kind"] if key == "output" else "", ("", ""))
        why = f"no column holds {what}, such as {form}" if what else "no column suggests itself"
        desk.problems.append(f"--{key} is missing, and {why}; give it, such as {example}")
        return None
    desk.why[key] = proposal.why
    return proposal.value


def problems_of_template(key: str, part: Any, looked: Looked) -> list[str]:
    """What is wrong with a template as typed: its form, and columns that the data has not."""
    if problems := template_problems(part):
        return [f"--{key}: {problem}" for problem in problems]
    names = looked.names
    problems = [
        f'--{key} names the column "{name}", which the data has not; {nearest(name, names)} '
        f"(columns: {', '.join(names)})"
        for name in columns_of(part)
        if name not in names
    ]
    if part and not problems and not columns_of(part):
        problems.append(f"--{key} {shown(part)} names no column; write {{column}} (columns: {', '.join(names)})")
    return problems


def braced(text: str, looked: Looked) -> str:
    """A bare column's name stands for its template."""
    return "{" + text + "}" if text in looked.names else text


def _read_output(desk: Desk, text: str, kind: str, looked: Looked) -> Any:
    """An answer's template as typed: text, or for extract an object in YAML, or columns with commas between."""
    if kind != "extract":
        return braced(text, looked)
    import yaml

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        desk.problems.append(f"--output {text}: not a YAML or JSON object ({' '.join(str(error).split())})")
        return {}
    if isinstance(value, dict) and any(part is not None for part in value.values()):
        return value
    names = list(value) if isinstance(value, dict) else [name.strip(" {}") for name in text.split(",")]
    return {str(name): "{" + str(name) + "}" for name in names}
