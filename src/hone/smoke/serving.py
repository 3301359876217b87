"""One request: the application over HTTP on this machine, asked once, and compared with the session's own answer."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import numpy as np

from hone.data.rows import Row
from hone.deploy.artifact.folder import describe, holds_encoder, name_of
from hone.deploy.process import FreshEncoder, FreshProcess
from hone.deploy.rendering import Reading, renderer_of
from hone.deploy.runtime import Session
from hone.errors import FailedError
from hone.serve.app import create_app
from hone.serve.server import served
from hone.task.encoding import EncoderRenderer
from hone.task.render import Renderer
from hone.task.templates import columns

MOST_TOKENS = 16
PROMPT_CHARS = 40
ANSWER_SECONDS = 30.0


def serve_one(artifact: Path, row: Row, context: int) -> str:
    """Serve an artifact from a fresh process on a free port, ask for one completion; the answer's text.

    Raises:
        FailedError: when the response is no 200, or says anything else than the session itself.
    """
    encoder = holds_encoder(describe(artifact))
    opened: FreshProcess | FreshEncoder = (FreshEncoder if encoder else FreshProcess)(
        artifact, threads=1, context=context
    )
    with opened as process:
        renderer = renderer_of(process)
        session = cast("Session", Reading(process) if isinstance(process, FreshEncoder) else process)
        body, prompt = _request(renderer, row)
        expected = _own_answer(session, renderer, body, prompt)
        with served(create_app(session, renderer, name_of(artifact))) as address:
            response = _post(address, "/v1/completions", body)
    choice = response["choices"][0]
    got = {"text": choice["text"], "value": choice["answer"], "tokens": response["usage"]["completion_tokens"]}
    if isinstance(got["value"], dict | list):
        # An object's text is its JSON, whose spacing is the server's own affair.
        got["text"] = json.loads(choice["text"])
    if got != expected:
        raise FailedError(f"asked over HTTP the artifact answers {got}, asked directly {expected}")
    return str(choice["text"])


def _request(renderer: Renderer, row: Row) -> tuple[dict[str, Any], list[int]]:
    """The request's body, and the ids of its prompt as the renderer makes them."""
    if renderer.kind == "language-model":
        text = str(renderer.reference(row.fields))[:PROMPT_CHARS]
        return {"prompt": text, "max_tokens": MOST_TOKENS}, [*renderer.prompt_ids({}), *renderer.tokenizer.encode(text)]
    given = {name: row.fields.get(name) for name in columns(renderer.input_template)}
    fields = json.loads(json.dumps(given, default=str))
    return {"fields": fields, "max_tokens": MOST_TOKENS}, renderer.prompt_ids(fields)


def _own_answer(session: Session, renderer: Renderer, body: dict[str, Any], prompt: list[int]) -> dict[str, Any]:
    if isinstance(renderer, EncoderRenderer) and renderer.kind != "classify":
        found = _read(session, renderer, body["fields"], prompt)
        return {"text": found, "value": found, "tokens": len(found)}
    if renderer.kind == "classify":
        label = renderer.labels[int(session.label_logprobs([prompt], renderer.label_ids)[0].argmax())]
        return {"text": label, "value": label, "tokens": 1}
    done = session.generate([prompt], max_new_tokens=MOST_TOKENS, end_id=renderer.end_id)[0]
    value = renderer.parse(done.ids)
    text = renderer.tokenizer.decode(done.ids) if value is None else value
    return {"text": text, "value": value, "tokens": len(done.ids) + done.finished}


def _read(session: Any, renderer: EncoderRenderer, fields: dict[str, Any], prompt: list[int]) -> list[Any]:
    """Labels or entities that an encoder reads out of a row."""
    if renderer.kind == "tag":
        logits = session.tag_logits([prompt], [renderer.supervised_at(fields)])[0]
        return renderer.entities(fields, logits.argmax(-1).tolist())
    return renderer.labels_from(np.exp(session.label_logprobs([prompt], renderer.label_ids)[0]))


def _post(address: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    connection = HTTPConnection(urlsplit(address).netloc, timeout=ANSWER_SECONDS)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    if response.status != 200:
        raise FailedError(f"POST {path} was answered {response.status}: {text[:500]}")
    answer: dict[str, Any] = json.loads(text)
    return answer
