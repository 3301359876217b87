"""The command line: argparse and a table from verb to module. Importing this needs the standard library only."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

VERBS = {
    "init": "make a task folder from data or a shipped example",
    "check": "validate a task folder: keys, data, labels, memory, time",
    "smoke": "the whole way on a shrunken model in seconds",
    "solve": "hone a model until the task is solved and the device budget holds",
    "train": "carry out one recipe",
    "prompt": "ask a solved model or an artifact",
    "serve": "serve an artifact over an OpenAI-compatible API",
    "export": "export a run's model to a certified artifact",
    "runs": "list, show, compare and draw what was tried",
    "doctor": "what this machine and installation can do",
}

EPILOG = "start: hone init voice --example voice && hone solve voice --minutes 8"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit status (0 done, 1 not solved, 2 wrong input, 3 failed)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    if not arguments or arguments[0] in ("-h", "--help"):
        parser.print_help()
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from hone import __version__

        print(f"hone {__version__}")
        return 0
    verb = arguments[0]
    if verb not in VERBS:
        from hone.errors import nearest

        print(f'hone: "{verb}" is not a command; {nearest(verb, list(VERBS))}', file=sys.stderr)
        return 2
    return _run(verb, arguments[1:])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hone",
        description="Hone a small language model until it solves your task, on your device.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    verbs = parser.add_subparsers(metavar="VERB", title="commands (hone VERB --help tells more)")
    for verb, sentence in VERBS.items():
        verbs.add_parser(verb, help=sentence, add_help=False)
    return parser


def _run(verb: str, arguments: Sequence[str]) -> int:
    module = import_module(f"hone.cli.{verb}")
    parser = argparse.ArgumentParser(prog=f"hone {verb}", description=VERBS[verb])
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    parser.add_argument("--quiet", action="store_true", help="print results and problems only")
    module.add_arguments(parser)
    args = parser.parse_args(arguments)
    from hone.errors import HoneError

    try:
        return int(module.run(args))
    except HoneError as error:
        _report(error, args.json)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nstopped; repeat the command to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0


def _report(error: Exception, as_json: bool) -> None:
    print(f"hone: {error}", file=sys.stderr)
    if as_json:
        import json

        problems = getattr(error, "problems", None) or [str(error)]
        print(json.dumps({"error": {"type": type(error).__name__, "problems": list(problems)}}, ensure_ascii=False))


if __name__ == "__main__":
    sys.exit(main())
