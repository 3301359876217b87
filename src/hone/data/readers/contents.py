"""What a file's first bytes say, held against what its name says."""

from __future__ import annotations

import codecs
from pathlib import Path

from hone.errors import InputError

COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_ARROW = (".arrow", ".feather")  # a stream of record batches has no magic bytes
SQLITE = (".db", ".sqlite", ".sqlite3")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# First bytes, what they are, and the suffixes that such a file may have (none: hone does not read it).
_KINDS: tuple[tuple[bytes, str, tuple[str, ...]], ...] = (
    (b"\x1f\x8b\x08", "gzip-compressed data", (".gz",)),
    (b"BZh", "bzip2-compressed data", (".bz2",)),
    (b"\xfd7zXZ\x00", "xz-compressed data", (".xz",)),
    (b"\x28\xb5\x2f\xfd", "Zstandard-compressed data", (".zst",)),
    (b"PAR1", "a Parquet file", (".parquet",)),
    (b"ARROW1", "an Arrow file", _ARROW),
    (b"SQLite format 3\x00", "an SQLite database", SQLITE),
    (b"PK\x03\x04", "a ZIP archive or an Office file", ()),
    (b"%PDF-", "a PDF", ()),
)
_BZIP2 = (b"1AY&SY", b"\x17rE8P\x90")  # behind "BZh" and a digit: a block, or the end of an empty file
HEAD_BYTES = 16


def plain_suffix(name: str) -> str:
    """The suffix that names the format, compression aside: ``.jsonl`` for ``rows.jsonl.gz``."""
    path = Path(name)
    return Path(path.stem).suffix.lower() if path.suffix.lower() in COMPRESSED else path.suffix.lower()


def kind_of_content(head: bytes) -> tuple[str, tuple[str, ...]] | None:
    """What the first bytes say the file is, and the suffixes of such files; None for text and anything unknown."""
    for magic, what, suffixes in _KINDS:
        if head.startswith(magic) and not (magic == b"BZh" and head[4:10] not in _BZIP2):
            return what, suffixes
    return None


def check_content(shown: str, name: str, head: bytes) -> None:
    """Hold a file's first bytes against its name.

    Raises:
        InputError: when they disagree, or the file is UTF-16.
    """
    suffix = Path(name).suffix.lower()
    found = kind_of_content(head)
    if found is not None and suffix not in found[1]:
        what, suffixes = found
        todo = (
            f"name it {_renamed(name, suffix, suffixes[0])}"
            if suffixes
            else "turn it into one of the formats that are read"
        )
        raise InputError(f'{shown}: holds {what}, but its name ends in "{suffix}"; {todo}')
    wanted = next((what for _, what, suffixes in _KINDS if suffix in suffixes), None)
    if found is None and head and wanted is not None and suffix not in _ARROW:
        raise InputError(f'{shown}: is named "{suffix}" and is not {wanted}: it begins with {head[:HEAD_BYTES]!r}')
    if head.startswith(_UTF16):
        raise InputError(f"{shown}: this is UTF-16 text (byte-order mark at byte 0); save it as UTF-8")
    if found is None and wanted is None and len(head) >= 4 and head[1::2].count(0) == len(head[1::2]):
        raise InputError(f"{shown}: this looks like UTF-16 text (every second byte is 0); save it as UTF-8")


def _renamed(name: str, suffix: str, wanted: str) -> str:
    base = Path(name).name
    return base + wanted if wanted in COMPRESSED else base.removesuffix(suffix) + wanted
