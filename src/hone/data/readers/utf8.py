"""UTF-8 that is checked: what is wrong is named with its byte, and complete CESU-8 pairs are read."""

from __future__ import annotations

import codecs
import re

from hone.data.readers.progress import Progress
from hone.data.rows import Bad

_PAIR = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")
CESU_NOTE = "a pair of surrogates, each written as three bytes (CESU-8), read as the character that it stands for"


def _pair_or_error(error: UnicodeError) -> tuple[str, int]:
    if isinstance(error, UnicodeDecodeError) and (pair := _PAIR.match(error.object, error.start)):
        return pair[0].decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16"), pair.end()
    raise error


# CESU-8 (Unicode Technical Report 26) writes a character beyond U+FFFF as two surrogates of three bytes each. Half a
# pair stays an error.
codecs.register_error("hone-cesu8", _pair_or_error)


def to_text(raw: bytes, progress: Progress) -> str:
    """The text of UTF-8 bytes, in which complete CESU-8 pairs are read, counted and noted.

    Raises:
        UnicodeDecodeError: at the first byte that is neither.
    """
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("utf-8", "hone-cesu8")
        progress.note(CESU_NOTE, len(_PAIR.findall(raw)))
        return text


def decode(raw: bytes, offset: int, row_id: str, progress: Progress) -> str | Bad:
    """The text of bytes that start at ``offset`` of the file, or what is wrong with them and at which byte."""
    try:
        return to_text(raw, progress)
    except UnicodeDecodeError as error:
        return Bad(row_id, "", "UTF-8 text", utf8_fault(error, offset))


def utf8_fault(error: UnicodeDecodeError, offset: int) -> str:
    """What stands in place of UTF-8, with its byte position in the (decompressed) file, counted from 0."""
    at = error.start
    byte, after = error.object[at], error.object[at + 1 : at + 2]
    reason = error.reason
    if byte == 0xED and after >= b"\xa0":
        reason = "half of a surrogate pair, as CESU-8 writes it"
    return f"byte 0x{byte:02x} at byte {offset + at:,} of the file ({reason})"
