"""Web archives by records made here as ISO 28500 says, whole and damaged; pages by the charsets that they name."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import pytest

from hone.data.read import Progress, read
from hone.data.readers import opening, warc_bytes
from hone.data.readers.charsets import decode_page
from hone.data.rows import Bad, Row


def record(kind: str, content: bytes, content_type: str = "application/http; msgtype=response", url: str = "") -> bytes:
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2024-04-25T16:24:44Z\r\n"
    head += f"Content-Type: {content_type}\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content + b"\r\n\r\n"


def response(body: bytes, headers: str = "Content-Type: text/html; charset=utf-8", status: int = 200) -> bytes:
    return f"HTTP/1.1 {status} OK\r\n{headers}\r\n\r\n".encode() + body


def page(number: int) -> bytes:
    return record("response", response(f"<p>pägé {number}</p>".encode()), url=f"https://example.org/{number}")


def read_warc(folder: Path, data: bytes, name: str = "a.warc") -> tuple[list[Row], list[Bad], Progress]:
    (folder / name).write_bytes(data)
    progress = Progress()
    rows = list(read(name, folder, progress=progress))
    return [row for row in rows if isinstance(row, Row)], [row for row in rows if isinstance(row, Bad)], progress


@pytest.mark.parametrize("suffix", [".warc", ".warc.gz", ".warc.bz2"])
def test_responses_with_text_are_rows_and_other_records_are_counted(tmp_path: Path, suffix: str) -> None:
    import bz2

    records = [
        record("warcinfo", b"software: x\r\n", "application/warc-fields"),
        record("request", b"GET / HTTP/1.1\r\n\r\n", "application/http; msgtype=request"),
        page(1),
        record("response", response(b"\x89PNG", "Content-Type: image/png"), url="https://example.org/x.png"),
        record("conversion", "plain tèxt".encode(), "text/plain", "https://example.org/2"),
        record("response", response(b"", "Location: /", 301), url="https://example.org/3"),
    ]
    pack = {".warc": bytes, ".warc.gz": gzip.compress, ".warc.bz2": bz2.compress}[suffix]
    good, bad, progress = read_warc(tmp_path, b"".join(map(pack, records)), "a" + suffix)
    assert bad == []
    assert [row.id for row in good] == [f"a{suffix}:{n}" for n in (3, 5, 6)]
    assert good[0].fields == {
        "url": "https://example.org/1",
        "date": "2024-04-25T16:24:44Z",
        "status": 200,
        "content_type": "text/html",
        "text": "<p>pägé 1</p>",
    }
    assert (good[1].fields["status"], good[1].fields["text"]) == (None, "plain tèxt")
    assert good[2].fields["status"] == 301
    assert dict(progress.notes) == {"web records without text left out: image/png": 1}


def test_bodies_are_unpacked_and_decoded_by_their_charset(tmp_path: Path) -> None:
    text = "<p>naïve Москва</p>"
    kind = "Content-Type: text/html; charset="
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (text.encode()[:7], text.encode()[7:], b""))
    raw_deflate = zlib.compress(text.encode())[2:-4]
    bodies = [
        response(gzip.compress(text.encode()), kind + "utf-8\r\nContent-Encoding: gzip"),
        response(chunked, kind + "utf-8\r\nTransfer-Encoding: chunked"),
        response(raw_deflate, kind + "utf-8\r\nContent-Encoding: deflate"),
        # The archive took the coding off and left its header, as many do.
        response(text.encode(), kind + "utf-8\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked"),
        response("<p>Москва</p>".encode("windows-1251"), kind + "windows-1251"),
        response('<meta charset="koi8-r"><p>Москва</p>'.encode("koi8-r"), "Content-Type: text/html"),
        response(text.encode(), kind + "utf-8\r\nContent-Encoding: br"),
    ]
    good, bad, _ = read_warc(tmp_path, b"".join(record("response", body) for body in bodies))
    assert [row.fields["text"] for row in good[:4]] == [text] * 4
    assert all("Москва" in row.fields["text"] for row in good[4:])
    assert len(good) == 6
    assert [(row.field, '"br"' in row.found) for row in bad] == [("text", True)]


def test_a_damaged_record_is_counted_and_those_around_it_are_read(tmp_path: Path) -> None:
    pages = [page(n) for n in range(5)]
    wrong_length = pages[2].replace(b"Content-Length: ", b"Content-Length: 9")
    no_length = pages[2].replace(b"Content-Length", b"Content-Width")
    for broken in (no_length, pages[2].replace(b"WARC/1.0", b"WARX/1.0")):
        good, bad, _ = read_warc(tmp_path, b"".join([*pages[:2], broken, *pages[3:]]))
        assert [row.fields["url"][-1] for row in good] == ["0", "1", "3", "4"]
        assert [row.expected for row in bad] == ["a whole WARC record"]
    # A length that is too large swallows records, but none is taken for something else.
    good, bad, _ = read_warc(tmp_path, b"".join([*pages[:2], wrong_length, *pages[3:]]))
    assert [row.fields["url"][-1] for row in good][:2] == ["0", "1"]
    assert bad
    good, bad, _ = read_warc(tmp_path, b"".join(pages)[:-30])
    assert (len(good), len(bad)) == (4, 1)


@pytest.mark.parametrize("fed", [7, 1 << 15])
def test_behind_a_damaged_gzip_member_reading_goes_on(
    tmp_path: Path, fed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warc_bytes, "_FED_BYTES", fed)
    for block in (5, 64, 1 << 20):
        monkeypatch.setattr(opening, "BLOCK_BYTES", block)
        monkeypatch.setattr(warc_bytes, "BLOCK_BYTES", block)
        members = [gzip.compress(page(n), mtime=0) for n in range(5)]
        damaged = bytearray(members[2])
        damaged[60:70] = bytes(10)
        good, bad, _ = read_warc(tmp_path, b"".join([*members[:2], bytes(damaged), *members[3:]]), "a.warc.gz")
        assert [row.fields["url"][-1] for row in good] == ["0", "1", "3", "4"]
        assert [("gzip data damaged" in row.found) for row in bad] == [True]
        good, bad, _ = read_warc(tmp_path, b"".join(members)[:-20], "a.warc.gz")
        assert [row.fields["url"][-1] for row in good] == ["0", "1", "2", "3"]
        assert ["cut off" in row.found for row in bad] == [True]


def test_an_html_file_is_one_row_decoded_as_browsers_do(tmp_path: Path) -> None:
    whole = '<html><meta charset="iso-8859-1">\n<p>it\u2019s 5 €</p>'
    (tmp_path / "a.html").write_bytes(whole.encode("windows-1252"))
    (row,) = read("a.html", tmp_path)
    assert isinstance(row, Row)
    # The Encoding standard reads the label iso-8859-1 as windows-1252.
    assert row.fields == {"text": whole}
    progress = Progress()
    assert decode_page("<p>naïve</p>".encode("windows-1252"), "", progress) == "<p>naïve</p>"
    assert decode_page(b"caf\xe9", "utf-8", progress) == "caf\ufffd"
    assert decode_page("é".encode("utf-16"), "", progress) == "é"
    assert sum(progress.notes.values()) == 2
