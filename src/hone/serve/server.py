"""Serving an artifact over HTTP: on this machine only, unless another address is asked for."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hone.deploy.artifact.folder import name_of
from hone.deploy.rendering import open_to_answer
from hone.errors import FailedError, InputError
from hone.serve.app import create_app
from hone.task.embedding import EMBED
from hone.wording import counted

if TYPE_CHECKING:
    from starlette.applications import Starlette

LOOPBACK = "127.0.0.1"
LAST_PORT = 65_535
START_SECONDS = 20.0


def run_server(
    artifact: Path,
    host: str = LOOPBACK,
    port: int = 8000,
    *,
    threads: int = 1,
    name: str | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serve an artifact until interrupted.

    Args:
        artifact: its folder or model file; everything needed is inside it.
        host: address to listen on; the default takes connections of this machine only.
        port: 0 picks a free one.
        threads: CPU threads of the runtime.
        name: the model's name for clients; default that of the folder, or of a file that stands alone.
        say: takes lines for people.

    Raises:
        InputError: when the file is missing, the address is taken, or there is no such port.
        FailedError: when it has changed, or renders its stored examples differently (law 4).
    """
    problems = []
    if not 0 <= port <= LAST_PORT:
        problems.append(f"--port must be from 0 (a free one) to {LAST_PORT:,}; got {port:,}")
    if threads < 1:
        problems.append(f"--threads must be at least 1; got {threads}")
    if problems:
        raise InputError(problems)
    import uvicorn

    session, renderer = open_to_answer(artifact, threads, say)
    with closing(session), listening(host, port) as listener:
        own = name_of(artifact)
        app = create_app(session, renderer, name or own)
        address = f"http://{host}:{listener.getsockname()[1]}"
        say(f"serving {own} ({renderer.kind}) on {address}, context {session.context}, {counted(threads, 'thread')}")
        place, given = ("embeddings", "input") if renderer.kind == EMBED else ("completions", "prompt")
        say(f'try: curl {address}/v1/{place} -d \'{{"{given}": "..."}}\'')
        if not _is_loopback(host):
            say(f"note: {host} can be reached from other machines, and there is no password")
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A bound socket.

    Raises:
        InputError: when the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise InputError(f"cannot listen on {host}:{port}: {error}; choose another with --port") from None
        yield listener


@contextmanager
def served(app: Starlette) -> Iterator[str]:
    """Serve an application from a thread on a free port of this machine; yields its address.

    Raises:
        FailedError: when it does not start.
    """
    import uvicorn

    with listening(LOOPBACK, 0) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        # The socket queues connections from here on, so clients need not wait for the thread.
        listener.listen()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(START_SECONDS)
            if thread.is_alive():
                raise FailedError(f"the server did not stop within {START_SECONDS:.0f} s")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
