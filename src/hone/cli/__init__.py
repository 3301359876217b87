"""The command line: argparse and a table from verb to module. Importing this needs the standard library only."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, NoReturn

VERBS = {
    "init": "make a task folder from data or a shipped example",
    "check": "validate a task folder: keys, data, labels, memory, time",
    "look": "report on files or a task: what is wrong, what each rule removes, rows beside the proof",
    "clean": "clean the data as a version that can be undone",
    "data": "list, compare and trace data versions; edit single rows",
    "ablate": "does a cleaning rule help? trains with and without it",
    "plan": "which model and format can hold the device's budget, before training",
    "smoke": "the whole way on a shrunken model in seconds",
    "solve": "hone a model until the task is solved and the device budget holds",
    "train": "carry out one recipe",
    "prompt": "ask a solved model or an artifact",
    "serve": "serve an artifact over an OpenAI-compatible API",
    "convert": "write pickled weights, or a .bin of llama2.c, as a model folder with safetensors",
    "export": "export a run's model, a model folder or a llama2.c file to certified artifacts",
    "bench": "measure artifacts again, side by side, and certify them for today's runtimes",
    "runs": "list, show, compare, draw and diagnose what was tried",
    "doctor": "what this machine and installation can do",
}

EPILOG = "start: hone init voice --example voice && hone solve voice --minutes 8"
STATUSES = (
    "exit status: 0 done (solve: solved), 1 not solved within the box, 2 wrong input, 3 failed, 130 stopped by ctrl-C\n"
    "(by SIGTERM 143, SIGHUP 129)"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit status, see :data:`STATUSES`."""
    try:
        return _understood(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


def _understood(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        _parser().print_help()
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from hone import __version__

        print(f"hone {__version__}")
        return 0
    verb = arguments[0]
    if verb not in VERBS:
        from hone.errors import InputError, nearest

        _report(InputError(f'"{verb}" is not a command; {nearest(verb, list(VERBS))}'), "--json" in arguments)
        return 2
    return _run(verb, arguments[1:])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hone",
        description="Hone a small language model until it solves your task, on your device.",
        epilog=f"{EPILOG}\n{STATUSES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    verbs = parser.add_subparsers(metavar="VERB", title="commands (hone VERB --help tells more)")
    for verb, sentence in VERBS.items():
        verbs.add_parser(verb, help=sentence, add_help=False)
    return parser


class VerbParser(argparse.ArgumentParser):
    """A verb's parser: positional words and options in any order, and an unknown option names the nearest."""

    as_json = False
    """Whether what is wrong is printed as a JSON document too."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the problem; exit with 2."""
        head, _, rest = message.partition("unrecognized arguments: ")
        wrong = [word for word in rest.split() if word.startswith("--")]
        if not head and wrong:
            from hone.errors import nearest

            known = [option for action in self._actions for option in action.option_strings if option.startswith("--")]
            word = wrong[0].partition("=")[0]
            message = f'"{word}" is not an option; {nearest(word, known)}'
        if self.as_json:
            _print_problems("InputError", [message])
        super().error(message)


def _run(verb: str, arguments: Sequence[str]) -> int:
    from hone.cli.taking import given

    began = time.monotonic()  # a box of minutes counts from here, imports included
    module = import_module(f"hone.cli.{verb}")
    parser = VerbParser(prog=f"hone {verb}", description=VERBS[verb], allow_abbrev=False)
    module.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    parser.add_argument("--quiet", action="store_true", help="print results and problems only")
    options = given(arguments)
    parser.as_json = "--json" in options
    try:
        args = parser.parse_intermixed_args(arguments)
    except SystemExit as stop:  # argparse has said what is wrong (2), or printed the help (0)
        return int(stop.code or 0)
    args.given, args.began = options, began
    return _carry_out(module, args)


def _carry_out(module: ModuleType, args: Any) -> int:
    from hone.cli.interrupt import endable
    from hone.errors import FailedError, HoneError

    try:
        with endable():
            status = int(module.run(args))
        sys.stdout.flush()
    except HoneError as error:
        _report(error, args.json)
        return error.exit_code
    except KeyboardInterrupt as stop:
        _report_stop(str(stop) or getattr(module, "WHEN_STOPPED", "stopped"), args.json)
        return getattr(stop, "exit_code", 130)
    except BrokenPipeError:  # the reader (head, less) has gone; nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # Not what the verb would have said: a solve that was cut off is not a solved task.
        return 3
    except OSError as error:
        _report(FailedError(f"{error.filename or 'the system'}: {error.strerror or error}"), args.json)
        return 3
    except Exception as error:
        import traceback

        traceback.print_exc()
        _report(FailedError(f"an error that hone did not foresee ({type(error).__name__}: {error})"), args.json)
        return 3
    return status


def _report(error: Exception, as_json: bool) -> None:
    print(f"hone: {error}", file=sys.stderr)
    if as_json:
        _print_problems(type(error).__name__, getattr(error, "problems", None) or [str(error)])


def _report_stop(words: str, as_json: bool) -> None:
    print(f"\n{words}", file=sys.stderr)
    if as_json:
        _print_problems("Stopped", [words])


def _print_problems(kind: str, problems: Sequence[str]) -> None:
    """The JSON document of a command that did not come to its end."""
    import json

    print(json.dumps({"error": {"type": kind, "problems": list(problems)}}, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    sys.exit(main())
