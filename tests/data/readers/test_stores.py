"""Files behind addresses: a store registered in this process, and a server on the loopback interface."""

from __future__ import annotations

import functools
import gzip
import http.server
import importlib
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from pyarrow import parquet

from hone.data.read import Progress, find, read
from hone.data.rows import Row
from hone.errors import InputError

fsspec = pytest.importorskip("fsspec")
LINES = '{"text": "a"}\n{"text": "ü"}\n'


def fill(folder: Path) -> None:
    (folder / "rows" / "deep").mkdir(parents=True)
    (folder / "rows" / "1.jsonl").write_text(LINES, encoding="utf-8")
    (folder / "rows" / "deep" / "2.jsonl.gz").write_bytes(gzip.compress(LINES.encode()))
    (folder / "rows" / "README.md").write_text("about")
    parquet.write_table(pa.table({"text": ["p"]}), folder / "rows" / "3.parquet")
    with closing(sqlite3.connect(folder / "a.db")) as database, database:
        database.execute("CREATE TABLE one AS SELECT 'x' AS text")
        database.execute("CREATE TABLE two AS SELECT 'y' AS text")


def texts(source: str) -> list[str]:
    return [row.fields["text"] for row in read(source, Path()) if isinstance(row, Row)]


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[str]:
    fill(tmp_path)
    store = fsspec.filesystem("memory")
    store.put(str(tmp_path) + "/", "/hone-test/", recursive=True)
    yield "memory://hone-test"
    store.rm("/hone-test", recursive=True)


def test_files_folders_and_globs_of_a_store(memory: str) -> None:
    assert texts(f"{memory}/rows/1.jsonl") == ["a", "ü"]
    assert texts(f"{memory}/rows/deep/2.jsonl.gz") == ["a", "ü"]
    assert texts(f"{memory}/rows/3.parquet") == ["p"]
    assert texts(f"{memory}/a.db:two") == ["y"]
    assert [row.id for row in read(f"{memory}/rows/*.jsonl", Path())] == ["1.jsonl:1", "1.jsonl:2"]
    found = find(f"{memory}/rows", Path())
    assert [file.name for file in found.files] == ["1.jsonl", "3.parquet", "deep/2.jsonl.gz"]
    assert (found.left_out, found.is_elsewhere) == (("README.md",), True)
    progress = Progress()
    assert sum(1 for _ in read(f"{memory}/rows", Path(), progress=progress)) == 5
    assert progress.bytes_done == progress.bytes_total > 0


def test_what_a_store_lacks_is_a_sentence(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"nowhere\.jsonl: there is no such file"):
        find(f"{memory}/nowhere.jsonl", Path())
    with pytest.raises(InputError, match="no file at this address"):
        find(f"{memory}/*.csv", Path())
    with pytest.raises(InputError, match="no protocol that fsspec knows"):
        find("nonsense://x/a.jsonl", Path())
    registry = importlib.import_module("fsspec.registry")
    known = dict(registry.known_implementations)
    known["lacking"] = {"class": "lackingfs.Store", "err": "Install lackingfs to read lacking"}
    monkeypatch.setattr(registry, "known_implementations", known)
    with pytest.raises(InputError, match=r"lacking:// needs the package lackingfs: pip install lackingfs$"):
        find("lacking://x/a.jsonl", Path())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    pytest.importorskip("aiohttp")
    fill(tmp_path)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            if not self.path.startswith("/cut/"):
                return super().do_GET()
            whole = Path(self.translate_path(self.path.removeprefix("/cut"))).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(whole)))
            self.end_headers()
            self.wfile.write(whole[: len(whole) // 2])
            return None

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=tmp_path)) as stub:
        thread = threading.Thread(target=stub.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{stub.server_port}"
        stub.shutdown()
        thread.join()


def test_files_folders_and_globs_of_a_web_server(server: str) -> None:
    assert texts(f"{server}/rows/1.jsonl") == ["a", "ü"]
    assert texts(f"{server}/rows/deep/2.jsonl.gz") == ["a", "ü"]
    assert texts(f"{server}/rows/3.parquet") == ["p"]
    assert texts(f"{server}/a.db:one") == ["x"]
    assert texts(f"{server}/rows/*.jsonl") == ["a", "ü"]
    assert [file.name for file in find(f"{server}/rows/", Path()).files] == ["1.jsonl", "3.parquet", "deep/2.jsonl.gz"]
    with pytest.raises(InputError, match="there is no such file"):
        find(f"{server}/rows/nowhere.jsonl?token=geheim", Path())
    with pytest.raises(InputError) as caught:
        find(f"{server}/rows/nowhere.jsonl?token=geheim", Path())
    assert "geheim" not in str(caught.value)


def test_a_file_is_one_answer_of_the_server_and_a_broken_off_answer_an_error(server: str, tmp_path: Path) -> None:
    # This server answers for whole files only, as many do; the file is larger than any block that is read ahead.
    num_rows = 6 * 1024
    (tmp_path / "large.jsonl").write_bytes(b'{"text": "' + b"x" * 1000 + b'"}\n' + b'{"text": "y"}\n' * num_rows * 80)
    assert sum(1 for _ in read(f"{server}/large.jsonl", Path())) == 1 + num_rows * 80
    with pytest.raises(InputError, match=r"large\.jsonl: the store could not be read: .*not completed"):
        list(read(f"{server}/cut/large.jsonl", Path()))


def test_a_dataset_of_the_hub_is_streamed_by_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, bool]] = []

    def load_dataset(name: str, *, split: str, streaming: bool) -> Iterator[dict[str, str]]:
        asked.append((name, split, streaming))
        return iter([{"text": "a"}])

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    assert [row.id for row in read("hf://owner/name", Path())] == ["owner/name:1"]
    assert texts("owner/name:validation") == ["a"]
    assert asked == [("owner/name", "train", True), ("owner/name", "validation", True)]
