"""An ONNX artifact's JavaScript: golden vectors in Node, and the page in a browser, both with ONNX Runtime Web."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from hone.deploy.certificate.witness import Witness

pytest.importorskip("onnxruntime")
NODE = shutil.which("node")
CHROMIUM = shutil.which("chromium")
WEB = Path(__file__).resolve().parents[2] / "tools" / "web"
RUNTIME = WEB / "node_modules" / "onnxruntime-web" / "dist"
TYPES = {".mjs": "text/javascript", ".html": "text/html", ".wasm": "application/wasm", "": "text/plain"}
needs_web = pytest.mark.skipif(not RUNTIME.is_dir(), reason="ONNX Runtime Web is not installed: npm ci in tools/web")

# Opens each page in a frame, asks what its box holds, and reports what a person would see.
ASKER = """<!doctype html><iframe id="page"></iframe><script type="module">
const frame = document.getElementById("page"), reports = [];
const wait = async (ready) => { while (!ready()) await new Promise((go) => setTimeout(go, 20)); };
const at = (id) => frame.contentDocument.getElementById(id);
for (let page = 0; page < PAGES; page++) {
  const loaded = new Promise((go) => frame.addEventListener("load", go, { once: true }));
  frame.src = `${page}/index.html`;
  await loaded;
  await wait(() => !at("ask").disabled || at("about").textContent.startsWith("cannot"));
  if (!at("ask").disabled) {
    at("ask").click();
    await wait(() => at("ask").disabled);
    await wait(() => !at("ask").disabled);
  }
  reports.push(Object.fromEntries(["name", "about", "answer", "speed"].map((id) => [id, at(id).textContent])));
}
await fetch("report", { method: "POST", body: JSON.stringify(reports) });
</script>"""


@pytest.fixture(scope="module")
def artifacts(plain_model, uncertified) -> dict[str, Path]:
    made = {}
    kinds = {"generate": {}, "extract": {}, "language-model": {}, "classify": {"labels": ("play", "rate")}}
    for kind, options in kinds.items():
        folder, renderer = plain_model(kind, **options)
        witness = Witness(renderer=renderer, examples=(), original=None, max_new_tokens=12)
        made[kind] = uncertified(folder, f"toy-{kind}", "int8" if kind == "classify" else "fp32", witness)
    return made


@needs_web
@pytest.mark.skipif(NODE is None, reason="node is not installed")
@pytest.mark.parametrize("kind", ["generate", "extract", "language-model", "classify"])
def test_node_gives_the_golden_vectors(artifacts, kind):
    command = [str(NODE), str(artifacts[kind] / "run.mjs"), "--check"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=WEB)
    assert (run.returncode, run.stdout.strip()) == (0, "0 of 8 golden vectors and 29 texts missed"), run.stderr


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_node_takes_packages_beside_the_runner_or_in_the_working_folder(artifacts, tmp_path):
    """Stand-ins for npm's packages, which throw when they are loaded: what is seen is which of them was taken."""
    folder, elsewhere = Path(shutil.copytree(artifacts["classify"], tmp_path / "made")), tmp_path / "elsewhere"
    elsewhere.mkdir()

    def stderr() -> str:
        command = [str(NODE), str(folder / "run.mjs"), "--check"]
        run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=elsewhere)
        assert (run.returncode, run.stdout, len(run.stderr.splitlines())) == (3, "", 1)
        return run.stderr

    neither = "neither onnxruntime-node nor onnxruntime-web is beside run.mjs or in the working folder"
    assert f"{neither}; install one in either: npm install onnxruntime-node" in stderr()
    for place, name in ((elsewhere, "onnxruntime-web"), (folder, "onnxruntime-node")):
        package = place / "node_modules" / name
        package.mkdir(parents=True)
        (package / "index.js").write_text(f'throw Error("it is of {place.name}");')
        assert f"{name} is there and does not load: it is of {place.name}" in stderr()


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_page_opened_as_a_file_says_what_to_do(artifacts, tmp_path):
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    address = (artifacts["generate"] / "index.html").as_uri()
    run = subprocess.run(
        [str(CHROMIUM), *options, f"--user-data-dir={tmp_path}", "--dump-dom", address],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    about = run.stdout.partition('<p id="about" role="status">')[2].partition("</p>")[0]
    assert "In this folder: python -m http.server -b 127.0.0.1, then open http://127.0.0.1:8000/" in about


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_page_of_a_changed_model_says_so(artifacts, seen, tmp_path):
    folder = Path(shutil.copytree(artifacts["generate"], tmp_path / "changed"))
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(f"{text} ")
    assert "cannot open the model: tokenizer.json has SHA-256" in seen(folder)[0]["about"]


@pytest.fixture
def seen(tmp_path) -> Callable[..., list[dict[str, Any]]]:
    """Opens the pages of artifacts in Chromium, one after the other, and gives what is seen on each."""
    reports: list[dict[str, Any]] = []
    arrived = threading.Event()

    class Handler(SimpleHTTPRequestHandler):
        extensions_map = TYPES

        def do_POST(self) -> None:
            reports.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            arrived.set()

        def log_message(self, *_: Any) -> None:
            pass

    def opened(*folders: Path) -> list[dict[str, Any]]:
        for number, folder in enumerate(folders):
            copied = shutil.copytree(folder, tmp_path / "page" / str(number))
            if RUNTIME.is_dir():
                (copied / "ort").symlink_to(RUNTIME)
        (tmp_path / "page" / "asker.html").write_text(ASKER.replace("PAGES", str(len(folders))))
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path / "page")))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/asker.html"
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        browser = subprocess.Popen(
            [str(CHROMIUM), *options, f"--user-data-dir={tmp_path / 'profile'}", "--remote-debugging-port=0", address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert arrived.wait(100), "the page did not report"
        finally:
            browser.kill()
            browser.wait()
            server.shutdown()
        return reports

    return opened


@needs_web
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_the_page_answers_as_the_golden_vectors_say(artifacts, seen):
    golden = json.loads((artifacts["generate"] / "golden.json").read_text())["vectors"][0]
    (page,) = seen(artifacts["generate"])
    assert page["name"] == "toy (generate)"
    size = (artifacts["generate"] / "model.onnx").stat().st_size
    assert page["about"].startswith(f"{size / 1e6:.2f} MB, weights fp32, context 96 tokens")
    assert page["answer"] == golden["value"]
    assert page["speed"].endswith("tokens/s")


@needs_web
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_pages_of_encoders_answer_as_the_golden_vectors_say(plain_encoder, uncertified, seen):
    """A vector, labels and tags."""
    kinds = {"embed": "int8", "multi-label": "int8", "tag": "fp32"}  # tags may tie, and then rounding chooses
    folders = []
    for kind, weights in kinds.items():
        folder, renderer = plain_encoder(kind)
        witness = Witness(renderer=renderer, examples=(), original=None)
        folders.append(uncertified(folder, f"toy-{kind}", weights, witness))
    pages = seen(*folders)
    assert [page["name"] for page in pages] == [f"toy ({kind})" for kind in kinds]
    assert all(page["speed"].endswith(" ms") for page in pages)
    vector, labels, tags = (json.loads(page["answer"]) for page in pages)
    golden = [json.loads((folder / "golden.json").read_text()) for folder in folders]
    embedded, labelled, tagged = (one["vectors"][0] for one in golden)
    apart = math.dist(vector, embedded["vector"]) / math.hypot(*embedded["vector"])
    assert apart <= golden[0]["most_apart"] < 0.1
    assert labelled["clear"], "a label at the threshold is given or not"
    assert labels == labelled["value"] != []
    text_of, names = Tokenizer.from_file(str(folders[2] / "tokenizer.json")).id_to_token, ("O", "B-city", "I-city")
    found = [(tagged["prompt_ids"][at], tag) for at, tag in zip(tagged["at"], tagged["tags"], strict=True) if tag]
    assert tags == [[text_of(one), names[tag]] for one, tag in found] != []


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_page_without_its_runtime_says_what_to_put_there(artifacts, seen, monkeypatch):
    monkeypatch.setattr(f"{__name__}.RUNTIME", Path("nowhere"))
    assert "put the dist folder of npm's onnxruntime-web here as ort/" in seen(artifacts["generate"])[0]["about"]
