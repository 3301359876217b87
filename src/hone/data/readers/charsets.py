"""Text of web pages by the charset that they name, as browsers find it (WHATWG Encoding and HTML standards)."""

from __future__ import annotations

import codecs
import re

from hone.data.readers.progress import Progress

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_META = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([A-Za-z0-9_:.-]+)""", re.IGNORECASE)
_PRESCAN_BYTES = 1024
# Labels that the Encoding standard reads as another charset than their name says.
_LABELS = {
    **dict.fromkeys(
        ("iso-8859-1", "latin1", "latin-1", "l1", "ascii", "us-ascii", "x-cp1252", "cp1252"), "windows-1252"
    ),
    **dict.fromkeys(("gb2312", "gbk", "x-gbk", "chinese"), "gb18030"),
    **dict.fromkeys(("shift_jis", "shift-jis", "sjis", "x-sjis"), "cp932"),
    **dict.fromkeys(("euc-kr", "ks_c_5601-1987", "korean"), "cp949"),
    **dict.fromkeys(("big5", "x-x-big5"), "big5hkscs"),
    **dict.fromkeys(("tis-620", "iso-8859-11"), "cp874"),
    **dict.fromkeys(("iso-8859-9", "latin5"), "windows-1254"),
    **dict.fromkeys(("utf8", "unicode-1-1-utf-8"), "utf-8"),
}


def decode_page(raw: bytes, declared: str, progress: Progress) -> str:
    """The text of a page.

    Its charset is that of the byte-order mark, else ``declared`` (by the server), else the one that a ``meta`` tag in
    the first 1,024 bytes names, else UTF-8 where it fits and windows-1252 where it does not. Bytes that the charset
    cannot hold become U+FFFD; both are noted.
    """
    for mark, charset in _MARKS:
        if raw.startswith(mark):
            return _decoded(raw[len(mark) :], charset, progress)
    meta = _META.search(raw, 0, _PRESCAN_BYTES)
    for label in (declared, meta[1].decode("ascii") if meta else ""):
        if charset := _known(label):
            return _decoded(raw, charset, progress)
        if label:
            progress.note(f'pages name the unknown charset "{label.lower()[:40]}"')
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        progress.note("pages that name no charset and are not UTF-8, read as windows-1252")
        return _decoded(raw, "windows-1252", progress)


def _known(label: str) -> str:
    label = label.strip().strip("\"'").lower()
    charset = _LABELS.get(label, label)
    if charset in ("utf-16", "utf-16le", "utf-16be", "utf-32"):
        return "utf-8"  # as the HTML standard says: a page that can name its charset in ASCII is not UTF-16
    try:
        return charset if charset and codecs.lookup(charset)._is_text_encoding else ""
    except LookupError:
        return ""


def _decoded(raw: bytes, charset: str, progress: Progress) -> str:
    try:
        return raw.decode(charset)
    except UnicodeError:
        progress.note("pages with bytes outside their charset, read as U+FFFD")
        return raw.decode(charset, "replace")
