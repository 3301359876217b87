"""``hone serve``: an artifact behind an OpenAI-compatible API, on this machine unless another address is asked for."""

from __future__ import annotations

import argparse
import sys

from hone.cli.places import artifact_at

WHEN_STOPPED = "stopped serving"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments; ``--json`` and ``--quiet`` are declared for every verb."""
    parser.add_argument(
        "artifact", nargs="?", default=".", metavar="ARTIFACT|FOLDER", help="what to serve (default: this folder's)"
    )
    parser.add_argument("--port", type=int, default=8000, help="0 picks a free one (default 8000)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of the runtime (default 1)")
    parser.add_argument("--name", help="the model's name for clients (default: the file's)")


def run(args: argparse.Namespace) -> int:
    """Carry out the verb until a signal ends it, which leaves as KeyboardInterrupt."""
    path = artifact_at(args.artifact)
    from hone.serve.server import run_server

    def say(line: str) -> None:
        if not args.quiet:
            print(line, file=sys.stderr, flush=True)

    run_server(path, args.host, args.port, threads=args.threads, name=args.name, say=say)
    return 0
