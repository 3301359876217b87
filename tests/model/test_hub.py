"""A hub, stood in for by a small server on the loopback interface: found, kept, missing, gated, cut off, gone."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hone.data.tokenizer import TextTokenizer
from hone.errors import InputError
from hone.model.base import is_encoder_base, open_base

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Answers the two questions that a snapshot asks: which files there are, and what is in one."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.models: dict[str, Path] = {}
        self.gated: set[str] = set()
        self.cut: set[str] = set()
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answers(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing on standard error."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = self.path.split("?")[0].strip("/")
        self.server.asked.append(path)
        parts = path.split("/")
        if parts[:2] == ["api", "models"]:
            self._listing("/".join(parts[2:4]), as_tree="tree" in parts)
        else:
            self._file("/".join(parts[:2]), "/".join(parts[4:]), body)

    def _listing(self, model: str, as_tree: bool) -> None:
        if model not in self.server.models:
            self._send(404, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"})
            return
        paths = sorted(self.server.models[model].iterdir())
        entries = [{"type": "file", "path": path.name, "size": path.stat().st_size, "oid": COMMIT} for path in paths]
        siblings = [{"rfilename": path.name} for path in paths]
        found: Any = entries if as_tree else {"id": model, "modelId": model, "sha": COMMIT, "siblings": siblings}
        self._send(200, json.dumps(found).encode(), {"Content-Type": "application/json"})

    def _file(self, model: str, name: str, body: bool) -> None:
        if model in self.server.gated:
            self._send(403, b"gated", {"X-Error-Code": "GatedRepo"})
            return
        path = self.server.models.get(model, Path("/nowhere")) / name
        if not path.is_file():
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        data = path.read_bytes()
        etag = hashlib.sha256(data).hexdigest()
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        sent = data[: len(data) // 2] if body and name in self.server.cut else data
        self._send(200, sent if body else b"", {**headers, "Content-Length": str(len(data))})

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = True


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    from huggingface_hub import constants

    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    for name, value in {
        "ENDPOINT": server.address,
        "HUGGINGFACE_CO_URL_TEMPLATE": server.address + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": True,
    }.items():
        monkeypatch.setattr(constants, name, value)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_model_is_fetched_once_and_found_without_the_hub_afterwards(hub: Hub, make_base: Any) -> None:
    folder = make_base("llama")
    (folder / "pytorch_model.bin").write_bytes(b"never fetched")
    hub.models["somebody/tiny"] = folder
    base = open_base("somebody/tiny", TextTokenizer)
    names = {path.name for path in base.folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert "pytorch_model.bin" not in names
    assert base.id == open_base(str(folder), TextTokenizer).id
    assert base.identity["reference"] == "somebody/tiny"
    assert not is_encoder_base("somebody/tiny")
    hub.models.clear()
    hub.shutdown()
    hub.server_close()
    assert open_base("somebody/tiny", TextTokenizer).id == base.id


def test_without_the_hub_what_the_cache_has_is_enough(
    hub: Hub, make_base: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    hub.models["somebody/kept"] = make_base("bert")
    open_base("somebody/kept", TextTokenizer, head="masked-tokens")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = len(hub.asked)
    assert is_encoder_base("somebody/kept")
    assert len(hub.asked) == asked
    with pytest.raises(
        InputError, match=r"hub access is switched off \(HF_HUB_OFFLINE\), and the cache does not have the whole"
    ):
        open_base("somebody/other", TextTokenizer)


def test_a_missing_and_a_gated_model_say_so_in_one_sentence(hub: Hub, make_base: Any) -> None:
    hub.models["somebody/closed"] = make_base("llama")
    hub.gated.add("somebody/closed")
    for name, said in {
        "somebody/none": "it has no such model",
        "somebody/closed": "it is gated: accept its terms",
    }.items():
        with pytest.raises(InputError, match=said) as refusal:
            open_base(name, TextTokenizer)
        assert "\n" not in str(refusal.value)


def test_weights_that_are_pickles_are_left_there_and_the_command_is_named(hub: Hub, make_base: Any) -> None:
    folder = make_base("llama")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    hub.models["somebody/old"] = folder
    with pytest.raises(InputError, match=r"weights there are pickles.*hone convert FOLDER --out"):
        open_base("somebody/old", TextTokenizer)
    assert not any("pytorch_model.bin" in path for path in hub.asked)


def test_a_download_that_is_cut_off_leaves_nothing_that_opens_and_goes_on_later(hub: Hub, make_base: Any) -> None:
    hub.models["somebody/large"] = make_base("llama")
    hub.cut.add("model.safetensors")
    with pytest.raises(InputError, match="the hub did not give it"):
        open_base("somebody/large", TextTokenizer)
    hub.cut.clear()
    base = open_base("somebody/large", TextTokenizer)
    assert base.module is not None
