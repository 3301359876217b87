"""HTTP responses as archives keep them: status, headers, body, and the body without its transfer and content coding."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from hone.data.readers.opening import LONGEST_ROW_BYTES

_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?\s+(\d{3})")
_END = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True)
class Message:
    """A response: its status code, its headers by lower-case name, and its body as it was sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def parse_message(raw: bytes) -> Message | None:
    """A response from its bytes, or None when they begin with no status line."""
    status = _STATUS.match(raw)
    if status is None:
        return None
    end = _END.search(raw)
    head, body = (raw[: end.start()], raw[end.end() :]) if end else (raw, b"")
    pairs = (line.partition(":") for line in head.decode("latin-1").splitlines()[1:])
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Message(int(status[1]), headers, body)


def unpacked(message: Message) -> bytes | str:
    """The body without chunks and compression, or what is in the way."""
    body = message.body
    if "chunked" in message.headers.get("transfer-encoding", "").lower():
        body = _without_chunks(body)
    for coding in reversed(message.headers.get("content-encoding", "").lower().replace(" ", "").split(",")):
        if coding in ("", "identity", "none", "utf-8"):
            continue
        if coding not in ("gzip", "x-gzip", "deflate"):
            return f'the content coding "{coding[:20]}" (read: gzip, deflate)'
        plain = _inflated(body)
        # Archives often keep the header of a coding that they have taken off.
        body = body if plain is None else plain
        if len(body) > LONGEST_ROW_BYTES:
            return f"more than {LONGEST_ROW_BYTES >> 20} MiB"
    return body


def _without_chunks(body: bytes) -> bytes:
    """The chunks joined (RFC 9112, 7.1); the body itself where it does not begin with a chunk's size."""
    parts, at = list[bytes](), 0
    while (end := body.find(b"\n", at)) >= 0:
        digits = body[at:end].partition(b";")[0].strip()
        try:
            size = int(digits, 16)
        except ValueError:
            return body if at == 0 else b"".join(parts)
        if size == 0:
            break
        parts.append(body[end + 1 : end + 1 + size])
        at = end + 1 + size
        at += 2 if body[at : at + 2] == b"\r\n" else body[at : at + 1] == b"\n"
    return b"".join(parts) if at else body


def _inflated(body: bytes) -> bytes | None:
    for window in (47, -15):  # gzip or zlib by its header, then deflate without one
        try:
            return zlib.decompressobj(window).decompress(body, LONGEST_ROW_BYTES + 1)
        except zlib.error:
            continue
    return None
