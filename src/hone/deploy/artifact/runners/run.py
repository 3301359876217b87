"""Answers prompts with the artifact in this folder alone: no hone, torch or transformers.

pip install tokenizers numpy xllamacpp     (model.gguf)     python run.py "a prompt"
pip install tokenizers numpy onnxruntime   (model.onnx)     python run.py '{"column": "value"}'    python run.py --check

--check asks every prompt of golden.json. Every file is compared with the SHA-256 in hone.json before anything runs.
exit status: 0 done, 1 golden vectors missed, 2 wrong input, 3 a file has changed or is missing, or a package is
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import string
import sys
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGES = {"gguf": "xllamacpp", "onnx": "onnxruntime"}


def stop(sentence, status=3):
    print(f"run.py: {sentence}", file=sys.stderr)
    sys.exit(status)


def described():
    """What hone.json says of the files beside it."""
    again = f"copy the whole folder {HERE.name} again"
    try:
        said = json.loads((HERE / "hone.json").read_bytes())
        said = {**said, "files": {**said["files"], f"model.{said['runtime']}": said["hashes"]["model"]}}
    except FileNotFoundError:
        stop(f"hone.json, which says what the model is, is missing; {again}")
    except (ValueError, KeyError, TypeError) as error:
        stop(f"hone.json is not whole ({type(error).__name__}: {error}); {again}")
    if said.get("format") != 1:
        stop(f"hone.json has format {said.get('format')}; this runner reads 1")
    if wrong := [sentence for name, expected in said["files"].items() if (sentence := changed(name, expected))]:
        stop(f"{'; '.join(wrong)}; {again}, or export it again")
    return said


def changed(name, expected):
    """A sentence when a file is missing or its SHA-256 is not the expected one."""
    found = hashlib.sha256()
    try:
        with (HERE / name).open("rb") as file:
            while part := file.read(1 << 20):
                found.update(part)
    except OSError as error:
        return f"{name} cannot be read ({error.strerror})"
    same = found.hexdigest() == expected
    return None if same else f"{name} has SHA-256 {found.hexdigest()[:12]}, and it was made with {expected[:12]}"


def package(name):
    """An imported package; a sentence with the command that installs it when it cannot be had."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        needed = f"tokenizers numpy {PACKAGES[HONE['runtime']]}"
        stop(f"the package {name} cannot be imported ({error}); install what this needs: pip install {needed}")


if __name__ == "__main__" and (len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help")):
    print(__doc__.strip(), file=sys.stdout if len(sys.argv) == 2 else sys.stderr)
    sys.exit(0 if len(sys.argv) == 2 else 2)

HONE = described()
np, Tokenizer = package("numpy"), package("tokenizers").Tokenizer
RENDERER, IDS, KIND = HONE["renderer"] or {"layout": "json"}, HONE["ids"], HONE["kind"]
TAGS = ["O", *(f"{part}-{label}" for label in HONE["labels"] for part in "BI")]
TOKENIZER = Tokenizer.from_file(str(HERE / "tokenizer.json"))
TOKENIZER.encode_special_tokens = True  # text that looks like a special token stays text
TOKENIZER.no_truncation()
TOKENIZER.no_padding()


class NoPromptError(Exception):
    """What was given cannot be a prompt of this model."""


def encode(text):
    return TOKENIZER.encode(text, add_special_tokens=False).ids


def prompt_ids(given):
    """Ids before the answer, of a text, of a row's columns, or of messages."""
    template, encoder = RENDERER.get("input"), "marks" in RENDERER
    if KIND == "language-model" and not encoder:
        return [*([IDS["begin"]] if "begin" in IDS else []), *encode(given)]
    if isinstance(template, dict):
        turns = [{"role": "user", "content": given}] if isinstance(given, str) else given
        if not isinstance(turns, list) or not all(
            isinstance(one, dict) and one.get("role") in IDS["roles"] for one in turns
        ):
            raise NoPromptError(f"it needs a text or turns, each with role ({', '.join(IDS['roles'])}) and content")
        return [*fitting(turns, template.get("longest")), IDS["answer"]]
    lines = (
        [("", template)] if isinstance(template, str) else [(f"{one['role']}: ", one["content"]) for one in template]
    )
    parts = [(head, list(string.Formatter().parse(text))) for head, text in lines]
    columns = {column for _, pieces in parts for _, column, _, _ in pieces if column}
    row = dict.fromkeys(columns, given) if isinstance(given, str) and len(columns) == 1 else given
    if lacking := sorted(columns - set(row if isinstance(row, dict) else ())):
        names = ", ".join(sorted(columns))
        raise NoPromptError(f"it needs the columns {names}, as JSON; missing: {', '.join(lacking)}")
    filled = [
        head + "".join(text + (str(row[name]) if name else "") for text, name, _, _ in some) for head, some in parts
    ]
    text = "\n".join(filled)
    return [IDS["begin"], *encode(text), IDS["end"]] if encoder else [*encode(" " + text), IDS["answer"]]


def fitting(turns, longest):
    """Ids of a conversation; where the model drops turns, without the oldest that leave no room for an answer."""
    kinds = IDS["roles"]
    ids = [one for turn in turns for one in (kinds[turn["role"]], *encode(" " + turn["content"]), IDS["end"])]
    rest = [turn for turn in turns if turn["role"] != "system"]
    start = next((at for at in range(1, len(rest)) if rest[at]["role"] == "user"), None)
    if not longest or start is None or len(ids) + 1 + RENDERER["longest_answer"] <= longest:
        return ids
    return fitting([*(turn for turn in turns if turn["role"] == "system"), *rest[start:]], longest)


def parse(ids):
    """An answer in the task's terms; None when it is none."""
    text = TOKENIZER.decode(ids)
    if KIND != "extract":
        return text.removeprefix(" ") if KIND == "generate" else text
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return (value if RENDERER["layout"] == "json" else bare(value)) if isinstance(value, dict) else None


def bare(value):
    """A value without the space that each of its texts begins with."""
    if isinstance(value, dict):
        return {key: bare(part) for key, part in value.items()}
    if isinstance(value, list):
        return [bare(part) for part in value]
    return value.removeprefix(" ") if isinstance(value, str) else value


class LlamaCpp:
    """model.gguf in llama.cpp's own server, on a port of this machine."""

    def __init__(self):
        xllamacpp = package("xllamacpp")
        params = xllamacpp.CommonParams()
        params.model.path, params.n_ctx, params.n_parallel = str(HERE / "model.gguf"), HONE["context"], 1
        params.verbosity, params.fit_params, params.ui = -1, False, False
        self.server = xllamacpp.Server(params)

    def ask(self, ids, **more):
        body = json.dumps({"prompt": ids, "temperature": 0, "cache_prompt": False, "return_tokens": True, **more})
        address, head = self.server.listening_address + "/completion", {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(address, body.encode(), head)) as answer:  # noqa: S310
            return json.loads(answer.read())

    def next_ids(self, ids, limit):
        yield from self.ask(ids, n_predict=limit)["tokens"]

    def label_logits(self, ids):
        # The bias makes it choose a label, whose text is whole (else figures are withheld); the figures are without it.
        bias = [[one, 1000] for one in IDS["labels"]]
        made = self.ask(ids, n_predict=1, n_probs=HONE["vocab_size"], logit_bias=bias)
        by_id = {one["id"]: one["logprob"] for one in made["completion_probabilities"][0]["top_logprobs"]}
        return [by_id[one] for one in IDS["labels"]]


class OnnxRuntime:
    """model.onnx with its cache of keys and values, or an encoder."""

    def __init__(self):
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it begins with the import otherwise
        onnxruntime = package("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(HERE / "model.onnx"), options, ["CPUExecutionProvider"])
        self.names = [one.name for one in self.session.get_inputs()]
        cache = HONE.get("cache", {})
        empty = np.zeros((1, cache.get("heads", 0), 0, cache.get("width", 0)), dtype=np.float32)
        self.empty = {name: empty for name in self.names if name.startswith("past_key_values.")}

    def run(self, ids, past, seen):
        """Outputs by name after some more ids."""
        row, mask = np.array([ids], dtype=np.int64), np.ones((1, seen + len(ids)), dtype=np.int64)
        feeds = {"input_ids": row, "attention_mask": mask, "token_type_ids": np.zeros_like(row), **past}
        made = self.session.run(None, {name: feeds[name] for name in self.names if name in feeds})
        return dict(zip([one.name for one in self.session.get_outputs()], made, strict=True))

    def next_ids(self, ids, limit):
        past, given, seen = self.empty, ids, 0
        for _ in range(limit):
            made = self.run(given, past, seen)
            past, seen = {name: made[name.replace("past_key_values", "present")] for name in past}, seen + len(given)
            given = [int(made["logits"][0, -1].argmax())]
            yield given[0]

    def label_logits(self, ids):
        logits = self.run(ids, self.empty, 0)["logits"][0]
        return logits[-1][IDS["labels"]] if "labels" in IDS else logits


def generate(model, ids, limit):
    """Ids of the greedy answer, without the end."""
    found = []
    for one in model.next_ids(ids, min(limit or HONE["context"], HONE["context"] - len(ids))):
        if one in HONE["stop_ids"]:
            break
        found.append(one)
    return found


def shares(model, ids):
    """Probabilities of the labels."""
    logits = np.asarray(model.label_logits(ids), dtype=np.float64) / RENDERER.get("temperature", 1.0)
    powers = np.exp(logits - logits.max())
    return 1 / (1 + np.exp(-logits)) if KIND == "multi-label" else powers / powers.sum()


def answer(model, given):
    """The answer in the task's terms."""
    ids = prompt_ids(given)
    if KIND == "multi-label":
        found = zip(HONE["labels"], shares(model, ids), strict=True)
        return sorted(one for one, share in found if share >= HONE["threshold"])
    if KIND == "classify":
        return HONE["labels"][int(shares(model, ids).argmax())]
    if KIND == "tag":  # each token that belongs to an entity, with its tag
        pairs = zip(ids, np.asarray(model.label_logits(ids)).argmax(-1), strict=True)
        return [[TOKENIZER.id_to_token(one), TAGS[tag]] for one, tag in pairs if tag and one not in IDS.values()]
    return parse(generate(model, ids, RENDERER.get("longest_answer")))


def missed(model, golden):
    """Sentences on golden vectors that are missed."""
    for item in golden["texts"]:
        if encode(item["text"]) != item["ids"]:
            yield f"the text {item['text']!r} has other ids"
    for item in golden["vectors"]:
        ids, row, sure = prompt_ids(item["given"]), f"row {item['row']}", item.get("sure", 0)
        if ids != item["prompt_ids"]:
            yield f"{row}: the prompt has other ids"
        elif "shares" in item:
            if not np.abs(shares(model, ids) - item["shares"]).max() <= golden["share_tolerance"]:
                yield f"{row}: other probabilities"
            elif item["clear"] and answer(model, item["given"]) != item["value"]:
                yield f"{row}: another label"
        elif "tags" in item:
            if np.asarray(model.label_logits(ids))[item["at"]].argmax(-1).tolist() != item["tags"]:
                yield f"{row}: other tags"
        elif "ids" in item:
            found = generate(model, ids, golden["max_new_tokens"])
            if [*found, golden["end_id"]][:sure] != item["ids"][:sure]:
                yield f"{row}: the answer begins with {found[:sure]}, golden {item['ids'][:sure]}"
            elif sure == len(item["ids"]) and parse(found) != item["value"]:
                yield f"{row}: another value"


def main():
    given = sys.argv[1]
    if given != "--check":
        try:  # before the model is loaded
            asked = json.loads(given) if given[:1] in ("{", "[") and KIND != "language-model" else given
            count = len(prompt_ids(asked))
        except (NoPromptError, ValueError) as error:
            stop(f"{given!r} is no prompt of this model: {error}", 2)
        if count > HONE["context"] - ("marks" not in RENDERER):  # a decoder writes at least one more
            stop(f"the prompt is {count} tokens long, and the model's context is {HONE['context']}", 2)
    model = LlamaCpp() if HONE["runtime"] == "gguf" else OnnxRuntime()
    if given != "--check":
        print(json.dumps(answer(model, asked), ensure_ascii=False))
        return
    golden = json.loads((HERE / "golden.json").read_text(encoding="utf-8"))
    wrong = list(missed(model, golden))
    of = f"{len(golden['vectors'])} golden vectors and {len(golden['texts'])} texts"
    print("\n".join([*wrong, f"{len(wrong)} of {of} missed"]))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
