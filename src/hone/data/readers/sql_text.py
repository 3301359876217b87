"""SQL as dumps write it: names, literals, statements, as patterns over bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from hone.data.readers.progress import Progress
from hone.data.readers.utf8 import to_text

NAME = rb'(?:`(?:[^`]|``)+`|"(?:[^"]|"")+"|\[[^\]]+\]|[\w$\x80-\xff]+)'
_PLAIN = rb"'[^']*+(?:''[^']*+)*+'"
_ESCAPED = rb"'[^'\\]*+(?:(?:''|\\.)[^'\\]*+)*+'"
_REPLACED = rb"(?:(?i:replace)\()++" + _PLAIN + rb"(?:,'[^']*',char\(\d+\)\))++"

HEAD = re.compile(
    rb"(?:(?:INSERT|REPLACE)\s+(?:(?:LOW_PRIORITY|DELAYED|HIGH_PRIORITY|IGNORE|OR\s+\w+)\s+)*INTO\s+(?P<insert>%(name)s"
    rb"(?:\s*\.\s*%(name)s)*)\s*(?:\((?P<columns>\s*%(name)s(?:\s*,\s*%(name)s)*\s*)\)\s*)?(?:OVERRIDING\s+\w+\s+VALUE\s+)?"
    rb"VALUES\s*(?=\()"
    rb"|COPY\s+(?P<copy>%(name)s(?:\s*\.\s*%(name)s)*)\s*(?:\((?P<copied>\s*%(name)s(?:\s*,\s*%(name)s)*\s*)\)\s*)?"
    rb"FROM\s+stdin\s*;[^\n]*\n"
    rb"|CREATE\s+(?:TEMP(?:ORARY)?\s+|UNLOGGED\s+)?TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(?P<create>%(name)s(?:\s*\.\s*%(name)s)*)\s*"
    rb"(?=\())" % {b"name": NAME},
    re.IGNORECASE,
)
"""The beginning of a statement that brings rows or names columns."""

BLANK = re.compile(rb"(?:\s++|--[^\n]*+\n|#[^\n]*+\n|/\*(?:[^*]++|\*(?!/))*+\*/|\\[^\n]*+\n|;)++")
"""What stands between statements: space, comments and the commands of psql."""

_NOT_COLUMNS = re.compile(
    rb"(?:PRIMARY|UNIQUE|KEY|INDEX|CONSTRAINT|FOREIGN|CHECK|FULLTEXT|SPATIAL|EXCLUDE|LIKE|PERIOD)\b", re.IGNORECASE
)
_FIRST_NAME = re.compile(rb"\s*(%s)" % NAME)
_NAMES = re.compile(NAME)
_MYSQL = re.compile(
    rb"-- (?:MySQL|MariaDB) dump|phpMyAdmin|/\*!\d{5}|ENGINE\s*=|(?:INTO|TABLE|EXISTS)\s+`", re.IGNORECASE
)
_ESCAPE = re.compile(rb"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{1,2}|.)", re.DOTALL)
_CONTROL = {b"0": b"\0", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f", b"v": b"\v", b"Z": b"\x1a"}
_COPIED = re.compile(r"\\(.)", re.DOTALL)
_COPIED_CONTROL = {key.decode(): value.decode() for key, value in _CONTROL.items() if key in b"nrtbfv"}
_CONSTANTS = {"null": None, "true": True, "false": False}
_UNISTR = re.compile(r"\\(?:u([0-9a-fA-F]{4})|\+([0-9a-fA-F]{6})|([0-9a-fA-F]{4})|(\\))")
_REPLACEMENT = re.compile(rb",'([^']*)',char\((\d+)\)\)")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a dump writes text: ``backslashes`` escape in MySQL, and stand for themselves in SQLite and PostgreSQL."""

    backslashes: bool
    value: re.Pattern[bytes] = field(init=False, repr=False)
    token: re.Pattern[bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        text = _ESCAPED if self.backslashes else _PLAIN
        # Text and numbers come first and know their case: nearly every value is one of them.
        value = (
            rb"\s*+(?:(?P<text>%s)|(?P<number>[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)|(?P<null>(?i:NULL))"
            rb"|(?:_\w+\s*|[Nn])(?P<marked>%s)|(?P<true>(?i:TRUE))|(?P<false>(?i:FALSE))"
            rb"|(?P<hex>0x[0-9a-fA-F]+|[xX]'[0-9a-fA-F]*')|[eE](?P<escaped>%s)|(?P<replaced>%s)"
            rb"|(?i:unistr)\((?P<unistr>%s)\))(?:::[\w .\"]+(?:\(\d+(?:,\d+)?\))?(?:\[\])?)?\s*+(?=[,)])"
        ) % (text, text, _ESCAPED, _REPLACED, _PLAIN)
        token = rb"(?:[^;()'\"`$/-]++|%s|\"[^\"]*+\"|`[^`]*+`|--[^\n]*+\n|/\*(?:[^*]++|\*(?!/))*+\*/" % text
        token += rb"|\$(\w*+)\$.*?\$\1\$|-(?=[^-])|/(?=[^*])|\$(?!\w*+(?:\$|\Z)))++"
        object.__setattr__(self, "value", re.compile(value, re.DOTALL))
        object.__setattr__(self, "token", re.compile(token, re.DOTALL))


def dialect_of(head: bytes) -> Dialect:
    """The dialect by the beginning of a dump: MySQL by its comments, back quotes or engines, else standard SQL."""
    return Dialect(backslashes=_MYSQL.search(head) is not None)


def name_of(raw: bytes) -> str:
    """A table's or column's name without its quotes; a schema stays in front, except PostgreSQL's ``public``."""
    parts = [_unquoted(part) for part in _NAMES.findall(raw)]
    return ".".join(parts[1:] if len(parts) > 1 and parts[0] == "public" else parts)


def names_of(raw: bytes) -> list[str]:
    """The names in a list with commas between them."""
    return [_unquoted(part) for part in _NAMES.findall(raw)]


def _unquoted(raw: bytes) -> str:
    quote = raw[:1]
    inner = raw[1:-1].replace(quote * 2, quote) if quote in (b"`", b'"') else raw[1:-1] if quote == b"[" else raw
    return inner.decode("utf-8", "replace")


def columns_of(body: bytes, dialect: Dialect) -> list[str]:
    """The columns of ``CREATE TABLE`` from what stands behind its opening bracket."""
    columns: list[str] = []
    depth, start, at = 0, 0, 0
    while at < len(body) and depth >= 0:
        sign = body[at : at + 1]
        if sign in (b"(", b")"):
            depth += 1 if sign == b"(" else -1
        if depth < 0 or (depth == 0 and sign == b","):
            part = body[start:at]
            if (first := _FIRST_NAME.match(part)) and not _NOT_COLUMNS.match(part.lstrip()):
                columns.append(_unquoted(first[1]))
            start = at + 1
        quoted = dialect.token.match(body, at) if sign in (b"'", b'"', b"`", b"-", b"/") else None
        # A token runs on over commas; only its first piece, a string or comment, may be passed at once.
        at = _end_of_first(body, at, sign) if quoted else at + 1
    return columns


def _end_of_first(body: bytes, at: int, sign: bytes) -> int:
    if sign in (b"-", b"/"):
        stop = {b"--": b"\n", b"/*": b"*/"}.get(body[at : at + 2])
        found = body.find(stop, at + 2) if stop else -1
        return at + 1 if found < 0 else found + len(stop or b"")
    found = body.find(sign, at + 1)
    return at + 1 if found < 0 else found + 1


def value_of(match: re.Match[bytes], dialect: Dialect, progress: Progress) -> Any:
    """The Python value of a literal: text, int, float, bool, None, or bytes for hexadecimal ones.

    Raises:
        UnicodeDecodeError: for text that is not UTF-8.
    """
    kind = str(match.lastgroup)
    raw = match[kind]
    if kind == "text" and b"\\" not in raw and raw.find(b"'", 1) == len(raw) - 1:
        return to_text(raw[1:-1], progress)
    if kind == "number":
        return int(raw) if raw.lstrip(b"+-").isdigit() else float(raw)
    if kind == "hex":
        digits = raw[2:].rstrip(b"'").decode("ascii")
        return bytes.fromhex(digits.zfill(len(digits) + len(digits) % 2))
    if kind in _CONSTANTS:
        return _CONSTANTS[kind]
    if kind == "replaced":
        return to_text(_replaced(raw), progress)
    text = to_text(_text(raw, backslashes=kind == "escaped" or (dialect.backslashes and kind != "unistr")), progress)
    return _UNISTR.sub(_codepoint, text) if kind == "unistr" else text


def _text(raw: bytes, backslashes: bool) -> bytes:
    inner = raw[1:-1]
    if b"''" in inner:
        # A backslash before the pair belongs to the first quote; MySQL writes one or the other, never both.
        inner = inner.replace(b"''", b"'")
    return _ESCAPE.sub(_unescaped, inner) if backslashes and b"\\" in inner else inner


def _unescaped(match: re.Match[bytes]) -> bytes:
    sign = match[1]
    if len(sign) > 1:
        return (
            chr(int(sign[1:], 16)).encode("utf-8", "surrogatepass")
            if sign[:1] == b"u"
            else bytes.fromhex(sign[1:].decode().zfill(2))
        )
    # MySQL keeps the backslash before the wildcards of LIKE.
    return match[0] if sign in (b"%", b"_") else _CONTROL.get(sign, sign)


def copied_value(cell: str) -> str | None:
    r"""A cell of ``COPY`` that holds a backslash, without its escapes; ``\\N`` is null."""
    return None if cell == "\\N" else _COPIED.sub(lambda match: _COPIED_CONTROL.get(match[1], match[1]), cell)


def _codepoint(match: re.Match[str]) -> str:
    return "\\" if match[4] else chr(int(match[1] or match[2] or match[3], 16))


def _replaced(raw: bytes) -> bytes:
    r"""What the SQLite shell writes for text with line ends: ``replace('a\\nb','\\n',char(10))``."""
    start = raw.index(b"'")
    end = start + len(re.match(_PLAIN, raw[start:])[0])  # type: ignore[index]
    text = _text(raw[start:end], backslashes=False)
    for pattern, code in _REPLACEMENT.findall(raw, end):
        text = text.replace(pattern, bytes([int(code)]))
    return text
