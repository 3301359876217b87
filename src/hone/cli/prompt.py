"""``hone prompt``: ask an artifact, or a run's model, in the task's own terms."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hone.cli.places import means_a_model, model_at, names_here
from hone.errors import InputError, meant

if TYPE_CHECKING:
    from hone.evaluate.generate import Sampling
    from hone.face import Model

SHOWN_LABELS = 5
SHOWN_CHARS = 300
"""Of an answer that is none; a model that has learned little may not stop."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments; ``--json`` and ``--quiet`` are declared for every verb."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="FOLDER|ARTIFACT|RUN TEXT",
        help="what to ask (default: the task folder one is in), then the text; without a text, lines are read. "
        "Where the prompt is made of several columns, the text is a JSON object of them; to a model of conversations "
        "it may be a JSON list of messages",
    )
    parser.add_argument("--run", metavar="RUN", help="ask this run's model instead of the folder's artifact")
    parser.add_argument("--temperature", type=float, default=0.0, help="0 takes the likeliest token (default)")
    parser.add_argument("--top-k", type=int, default=0, help="sample among so many likeliest tokens (0: all)")
    parser.add_argument("--top-p", type=float, default=1.0, help="sample among the likeliest of this share (1: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the sampling (default 0)")
    parser.add_argument(
        "--max-tokens", type=int, help="longest answer in tokens (default: a quarter more than the longest in training)"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; the exit status: 0, also for an answer that cannot be parsed (which is said)."""

    def say(line: str) -> None:
        if not args.quiet:
            print(line, file=sys.stderr)

    target, text = _understand(args.words, args.run, say)
    sampling = _sampling(args)
    path = model_at(target, args.run)
    from hone.face import load

    with load(path, threads=args.threads, say=say) as model:
        if text is not None and not text.strip() and model.renderer.kind != "language-model":
            raise InputError("the prompt is empty; give a text, or none to be asked line by line")
        say(f"{path} ({model.renderer.kind}, context {model.session.context})")
        for given in [text] if text is not None else _lines(args.quiet):
            try:
                document = _answer(model, given, args, sampling)
            except InputError as error:
                if text is not None:
                    raise
                print(f"hone: {error}", file=sys.stderr)
                continue
            print(json.dumps(document, ensure_ascii=False) if args.json else _shown(document), flush=True)
    return 0


def _understand(words: Sequence[str], run: str | None, say: Callable[[str], None]) -> tuple[str, str | None]:
    """What to ask, and the text (None: lines are read)."""
    if not words:
        return ".", None
    if means_a_model(words[0]) or (run is None and len(words) > 1 and "/" in words[0] and " " not in words[0]):
        others = [word for word in words[1:] if "/" in word and " " not in word and means_a_model(word)]
        if others:
            raise InputError(f"one model is asked at a time; {words[0]} and {', '.join(others)} are models")
        return words[0], " ".join(words[1:]) if len(words) > 1 else None
    if means_a_model("hone.yaml"):
        near = meant(words[0], names_here())
        if near is not None or len(words) == 2 or any(" " in word for word in words[1:]):
            hint = f'; did you mean "{near}"?' if near else ""
            say(f'note: "{words[0]}" names no folder, artifact or run here, so that it is part of the prompt{hint}')
        return ".", " ".join(words)
    raise InputError(
        f'"{words[0]}" is neither a task folder, an artifact nor a run here, and this folder is no task folder; '
        'give one first: hone prompt FOLDER "text"'
    )


def _sampling(args: argparse.Namespace) -> Sampling:
    problems = []
    if not 0 <= args.temperature <= 2:
        problems.append(f"--temperature must be from 0 to 2; got {args.temperature:g}")
    if not 0 < args.top_p <= 1:
        problems.append(f"--top-p must be above 0 and at most 1; got {args.top_p:g}")
    if args.top_k < 0:
        problems.append(f"--top-k must be at least 0; got {args.top_k}")
    if args.threads < 1:
        problems.append(f"--threads must be at least 1; got {args.threads}")
    if args.max_tokens is not None and args.max_tokens < 1:
        problems.append(f"--max-tokens must be at least 1; got {args.max_tokens}")
    if args.temperature == 0 and (args.top_k or args.top_p < 1 or args.seed):
        problems.append("--top-k, --top-p and --seed change nothing at --temperature 0; give a temperature such as 0.8")
    if problems:
        raise InputError(problems)
    from hone.evaluate.generate import Sampling

    return Sampling(temperature=args.temperature, top_k=args.top_k, top_p=args.top_p, seed=args.seed)


def _lines(quiet: bool) -> Iterator[str]:
    """Lines of standard input; with a mark on a terminal, until ctrl-D or an empty line."""
    if not sys.stdin.isatty():
        yield from (line.rstrip("\n") for line in sys.stdin if line.strip())
        return
    if not quiet:
        print("one prompt a line; an empty line or ctrl-D ends", file=sys.stderr)
    while True:
        try:
            line = input("> ")
        except EOFError:
            print(file=sys.stderr)
            return
        if not line.strip():
            return
        yield line


def _answer(model: Model, text: str, args: argparse.Namespace, sampling: Sampling) -> dict[str, Any]:
    given = _given(model, text)
    if model.renderer.kind == "classify":
        shares = model.probabilities(given)
        return {"input": given, "answer": next(iter(shares)), "probabilities": shares}
    answer = model.generate(given, max_new_tokens=args.max_tokens, sampling=sampling)
    return {
        "input": given,
        "answer": answer.value,
        "text": answer.text,
        "finish_reason": answer.finish_reason,
        "completion_tokens": answer.completion_tokens,
    }


def _given(model: Model, text: str) -> Any:
    if model.renderer.conversation is not None:
        return _messages(text)
    if len(model.columns) <= 1:
        return text
    names = ", ".join(model.columns)
    try:
        fields = json.loads(text)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        example = json.dumps(dict.fromkeys(model.columns, "..."))
        raise InputError(f"the prompt is made of {len(model.columns)} columns ({names}); give a JSON object: {example}")
    return fields


def _messages(text: str) -> Any:
    """A conversation as a JSON list of messages; any other text is what the user says."""
    try:
        found = json.loads(text)
    except ValueError:
        return text
    is_list = isinstance(found, list) and all(isinstance(turn, dict) and "role" in turn for turn in found)
    return found if is_list and found else text


def _shown(document: dict[str, Any]) -> str:
    if "probabilities" in document:
        shares = list(document["probabilities"].items())[:SHOWN_LABELS]
        return "\n".join(f"{share:6.1%}  {label}" for label, share in shares)
    if document["finish_reason"] == "length" and document["answer"] is not None:
        print("note: the answer was cut at its longest length, it did not end by itself", file=sys.stderr)
    if document["answer"] is None:
        print("note: the model's answer is not of the task's form; this is what it wrote", file=sys.stderr)
        text = str(document["text"])
        return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]} ... ({len(text):,} characters)"
    if isinstance(document["answer"], str):
        return str(document["answer"])
    return json.dumps(document["answer"], ensure_ascii=False)
