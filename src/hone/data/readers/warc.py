"""Web archives (WARC, ISO 28500): each page that a server sent as a row. Damaged records are counted and skipped.

The format is read here and not by a package, because damaged records have to be counted and read past. On gzip members
of some kilobytes that is faster than warcio and half as fast as fastwarc.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hone.data.readers.charsets import decode_page
from hone.data.readers.http_message import parse_message, unpacked
from hone.data.readers.opening import LONGEST_ROW_BYTES, DataFile
from hone.data.readers.progress import Progress
from hone.data.readers.warc_bytes import GapError, WarcBytes
from hone.data.rows import Bad, Row

_WHOLE = "a whole WARC record"
_LONGEST_HEADER_BYTES = 1 << 20
_READ_TYPES = frozenset({"response", "resource", "conversion"})
_TEXT_TYPES = (
    "text/",
    "application/xhtml",
    "application/xml",
    "application/json",
    "application/rss",
    "application/atom",
)


@dataclass(frozen=True, slots=True)
class _Record:
    headers: Mapping[str, str]
    content: bytes


def read_warc(file: DataFile, progress: Progress) -> Iterator[Row | Bad]:
    """Rows with ``url``, ``date``, ``status``, ``content_type`` and ``text`` of the responses that hold text.

    Of resources and conversions (WET files) ``status`` is null. ``text`` is decoded by the charset of the server, the
    page or the standard's default; HTML keeps its tags. Ids count all records from 1, those that are left out as well:
    requests silently, pages without text (images) with a note.

    Raises:
        InputError: when the file cannot be opened, or is compressed as a whole and damaged. A damaged record is a
            :class:`Bad`, and so is a damaged member of a gzip file.
    """
    source = WarcBytes(file, progress)
    number = 0
    while source.at_record():
        number += 1
        row_id = f"{file.name}:{number}"
        try:
            record = _record(source)
            row = _row(record, row_id, progress) if isinstance(record, _Record) else record
        except GapError as gap:
            row = gap.reason
        if isinstance(row, str):
            yield Bad(row_id, "", _WHOLE, row)
            source.seek_record()
        elif row is not None:
            yield row


def _record(source: WarcBytes) -> _Record | str | None:
    """The next record when it is of a kind that is read, None for others, or what is wrong with it."""
    offset = source.offset
    head = source.until(b"\r\n\r\n", _LONGEST_HEADER_BYTES)
    if head is None or not head.startswith(b"WARC/"):
        return f"bytes that begin no record at byte {offset:,}"
    headers = _headers(head)
    length = headers.get("content-length", "")
    if not length.isdecimal():
        return f"no length at byte {offset:,} (Content-Length: {length or 'missing'})"
    size, kind = int(length), headers.get("warc-type", "").lower()
    content: bytes | None = None
    if kind in _READ_TYPES and size <= LONGEST_ROW_BYTES:
        content = source.take(size)
    else:
        source.skip(size)
    if not source.ends_record():
        return f"a length of {size:,} bytes at byte {offset:,} that does not lead to the next record"
    if content is None and kind in _READ_TYPES:
        return f"{size:,} bytes at byte {offset:,}, more than {LONGEST_ROW_BYTES >> 20} MiB"
    return None if content is None else _Record(headers, content)


def _headers(head: bytes) -> dict[str, str]:
    """Header lines by their lower-case names; a line that begins with a space goes on with the one before."""
    lines = head.decode("utf-8", "replace").replace("\r\n ", " ").replace("\r\n\t", " ").split("\r\n")
    pairs = (line.partition(":") for line in lines[1:])
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _row(record: _Record, row_id: str, progress: Progress) -> Row | Bad | None:
    headers, body, status = record.headers, record.content, None
    kind = headers.get("content-type", "")
    if kind.startswith("application/http"):
        message = parse_message(body)
        if message is None:
            return Bad(row_id, "", "an HTTP response", repr(body[:40]))
        status, kind = message.status, message.headers.get("content-type", "")
        if not _is_text(kind, message.body):
            progress.note(f"web records without text left out: {_media(kind)}")
            return None
        whole = unpacked(message)
        if isinstance(whole, str):
            return Bad(row_id, "text", "a body that can be unpacked", whole)
        body = whole
    elif not _is_text(kind, body):
        progress.note(f"web records without text left out: {_media(kind)}")
        return None
    fields = {
        "url": headers.get("warc-target-uri", "").strip("<>"),
        "date": headers.get("warc-date", ""),
        "status": status,
        "content_type": _media(kind),
        "text": decode_page(body, _charset(kind), progress),
    }
    return Row(row_id, fields)


def _is_text(kind: str, body: bytes) -> bool:
    media = _media(kind)
    if media == "unknown":
        return not body or body.lstrip()[:1] == b"<"
    return media.startswith(_TEXT_TYPES) or media.endswith(("+xml", "+json"))


def _media(kind: str) -> str:
    return kind.partition(";")[0].strip().lower() or "unknown"


def _charset(kind: str) -> str:
    _, found, rest = kind.lower().partition("charset=")
    return rest.partition(";")[0].strip(" \"'") if found else ""
