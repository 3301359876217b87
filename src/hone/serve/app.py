"""Our ASGI application over any session: OpenAI-compatible completions for the task that the model was made for.

One session computes one request at a time; others wait in a queue of limited length, and beyond it a client hears
503 at once. Nothing a client sends is a template or becomes a special token.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from hone.deploy.runtime import Session
from hone.errors import HoneError, InputError
from hone.serve.answering import Answer, Answering
from hone.serve.shapes import Reply, embedding_reply, error
from hone.serve.wishes import Shape, Wish, read_embedding_wish, read_wish
from hone.task.embedding import EMBED
from hone.task.render import Renderer

MOST_WAITING = 16
MOST_BODY_BYTES = 1 << 20


class Gate:
    """One at a time, a limited number waiting."""

    def __init__(self, most_waiting: int) -> None:
        self._lock, self._most, self.inside = asyncio.Lock(), most_waiting, 0

    @asynccontextmanager
    async def turn(self, admitted: bool = False) -> AsyncIterator[None]:
        """Wait for our turn.

        Args:
            admitted: the request had a turn before, so that it is not sent away in the middle.

        Raises:
            HTTPException: 503 when too many wait already.
        """
        if self.inside > self._most and not admitted:
            raise HTTPException(503, f"{self.inside} requests are waiting already; try again later")
        self.inside += 1
        try:
            async with self._lock:
                yield
        finally:
            self.inside -= 1


class Service:
    """The endpoints."""

    def __init__(self, session: Session, renderer: Renderer, name: str, most_waiting: int) -> None:
        self._answering, self._name, self._kind = Answering(session, renderer), name, renderer.kind
        self._converses = renderer.conversation is not None
        self._gate = Gate(most_waiting)

    async def health(self, _: Request) -> Response:
        """Alive, and how many requests are inside."""
        return JSONResponse({"status": "ok", "model": self._name, "kind": self._kind, "requests": self._gate.inside})

    async def models(self, _: Request) -> Response:
        """The one model there is."""
        one = {"id": self._name, "object": "model", "created": 0, "owned_by": "hone"}
        return JSONResponse({"object": "list", "data": [one]})

    async def completions(self, request: Request) -> Response:
        """``POST /v1/completions``."""
        return await self._respond(request, "completion")

    async def chat(self, request: Request) -> Response:
        """``POST /v1/chat/completions``: the task's input is the conversation, or what the user said last."""
        return await self._respond(request, "chat")

    async def embeddings(self, request: Request) -> Response:
        """``POST /v1/embeddings``, of a model that gives vectors."""
        wish, packed = read_embedding_wish(await _body(request))
        self._check_model(wish)
        async with self._gate.turn():
            prompts = await run_in_threadpool(self._answering.prompts, wish)
            vectors = await run_in_threadpool(self._answering.vectors, prompts)
        return JSONResponse(embedding_reply(self._name, vectors, prompts, packed=packed))

    def _check_model(self, wish: Wish) -> None:
        if wish.model not in (None, self._name):
            raise HTTPException(404, f'there is no model "{wish.model}" here; this is "{self._name}"')

    async def _respond(self, request: Request, shape: Shape) -> Response:
        wish = read_wish(await _body(request), shape, conversation=self._converses)
        self._check_model(wish)
        if self._kind == EMBED:
            raise InputError("this model writes nothing; it gives vectors: POST /v1/embeddings")
        reply = Reply(shape=shape, model=self._name)
        if wish.stream:
            prompt = await self._prompts(wish)
            return StreamingResponse(self._events(wish, prompt[0], reply), media_type="text/event-stream")
        async with self._gate.turn():
            prompts = await run_in_threadpool(self._answering.prompts, wish)
            answers = await run_in_threadpool(self._answering.answers, wish, prompts)
        return JSONResponse(reply.whole(answers))

    async def _prompts(self, wish: Wish) -> list[list[int]]:
        """Rendered before the first byte is sent, so that a wrong request still gets its 400."""
        async with self._gate.turn():
            return await run_in_threadpool(self._answering.prompts, wish)

    async def _events(self, wish: Wish, prompt: list[int], reply: Reply) -> AsyncIterator[str]:
        async with self._gate.turn(admitted=True):
            pieces = self._answering.pieces(wish, prompt)
            try:
                while (piece := await run_in_threadpool(next, pieces, None)) is not None:
                    yield reply.last(piece) if isinstance(piece, Answer) else reply.chunk(piece)
            except HoneError as problem:
                # The status line is long gone: the error is an event of its own.
                yield f"data: {json.dumps(error(str(problem), 'server_error'))}\n\n"


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BODY_BYTES:
            raise HTTPException(413, f"the request is over {MOST_BODY_BYTES:,} bytes")
    return bytes(body)


def create_app(session: Session, renderer: Renderer, name: str, most_waiting: int = MOST_WAITING) -> Starlette:
    """The application.

    Args:
        session: an opened artifact; the application is its only user from now on.
        renderer: what the model was trained with, see :func:`hone.deploy.rendering.renderer_of`.
        name: the model's name for clients.
        most_waiting: requests that may wait while one is computed.
    """
    service = Service(session, renderer, name, most_waiting)
    routes = [
        Route("/health", service.health),
        Route("/v1/models", service.models),
        Route("/v1/completions", service.completions, methods=["POST"]),
        Route("/v1/chat/completions", service.chat, methods=["POST"]),
        Route("/v1/embeddings", service.embeddings, methods=["POST"]),
    ]
    handlers = {HTTPException: _http_error, InputError: _input_error, HoneError: _hone_error}
    return Starlette(routes=routes, exception_handlers=handlers)


Handler = Callable[[Request, Exception], Awaitable[Response]]


async def _http_error(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    kind = "invalid_request_error" if problem.status_code < 500 else "server_error"
    code = {404: "not_found", 503: "overloaded"}.get(problem.status_code)
    headers = {"Retry-After": "1"} if problem.status_code == 503 else None
    return JSONResponse(error(problem.detail, kind, code), status_code=problem.status_code, headers=headers)


async def _input_error(_: Request, problem: Exception) -> Response:
    return JSONResponse(error(str(problem), "invalid_request_error"), status_code=400)


async def _hone_error(_: Request, problem: Exception) -> Response:
    return JSONResponse(error(str(problem), "server_error"), status_code=500)
