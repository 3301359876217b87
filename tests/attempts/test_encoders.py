"""The whole way of an encoder: a task folder, a tiny BERT from scratch, judged, calibrated, saved, opened and asked.

The data is made so that a model that is wired rightly must learn it: words decide labels and entities.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hone
from hone.attempts.bench import prepare_bench, source_of
from hone.attempts.encoding import class_weights
from hone.data.prepare import prepare
from hone.data.tokenizer import TextTokenizer
from hone.errors import InputError
from hone.evaluate.calibration import first_half
from hone.evaluate.scoring import evaluate
from hone.model.folder import ModelFolder
from hone.solving.defaults import default_recipe
from hone.task.load import load_task
from hone.task.recipe import Recipe

CITIES, ARTISTS = ("oslo", "new york", "rome", "new delhi"), ("miles davis", "abba", "the beatles")
OUTPUT = {"classify": "{label}", "multi-label": "{labels}", "tag": "{entities}", "language-model": "{text}"}
OBJECTIVE = {"tag": "tag-tokens", "language-model": "masked-tokens"}


def rows(count: int = 210) -> list[dict[str, Any]]:
    generator = np.random.default_rng(0)
    made = []
    for index in range(count):
        city, artist, number = generator.choice(CITIES), generator.choice(ARTISTS), int(generator.integers(0, 999))
        a, c = {"type": "artist", "text": str(artist)}, {"type": "city", "text": str(city)}
        row: dict[str, Any] = [
            {"text": f"weather {number} in {city} please", "labels": ["weather"], "entities": [c]},
            {"text": f"play song {number} by {artist} now", "labels": ["music"], "entities": [a]},
            {"text": f"play {artist} in {city} at {number}", "labels": ["music", "weather"], "entities": [a, c]},
        ][index % 3]
        made.append({**row, "label": "+".join(row["labels"])})
    return made


def folder_of(place: Path, kind: str, *, base: str = "scratch:bert-tiny", **more: Any) -> Path:
    (place / "train.jsonl").write_text("\n".join(map(json.dumps, rows())))
    task: dict[str, Any] = {"task": "t", "kind": kind, "data": {"train": "train.jsonl", "dev": 40}, "base": base}
    task |= {"output": OUTPUT[kind], "target": 0.5, "device": {"context": 64, "prompt_tokens": 16}, **more}
    task |= {"metric": "masked_bits"} if kind == "language-model" else {"input": "{text}"}
    (place / "hone.yaml").write_text(json.dumps(task))
    return place


def recipe_for(kind: str, **more: Any) -> Recipe:
    values: dict[str, Any] = {
        "base": "scratch:bert-tiny",
        "objective": OBJECTIVE.get(kind, "classify-sequence"),
        "optimizer": "adamw",
        "learning_rate": 3e-3,
        "init_std": 0.05,
        "schedule": "warmup-linear",
        "steps": 40,
        "warmup_steps": 5,
        "batch_size": 16,
        "context": 64,
        "eval_every": 40,
        "vocab_size": 300,
    }
    return Recipe(**{**values, **more})


def bench_of(place: Path, kind: str, **more: Any) -> Any:
    task = load_task(folder_of(place, kind))
    data = prepare(task, place, place / ".hone" / "cache", lambda line: None)
    return prepare_bench(task, data, recipe_for(kind, **more), place / ".hone" / "cache", lambda line: None)


@pytest.mark.parametrize(
    ("kind", "least", "question", "answer"),
    [
        ("classify", 0.9, "play abba in new york at 7", "music+weather"),
        ("multi-label", 0.9, "play abba in new york at 7", ["music", "weather"]),
        ("tag", 0.8, "play abba in rome at 7", [("artist", "abba", 5, 9), ("city", "rome", 13, 17)]),
    ],
)
def test_an_encoder_is_trained_saved_and_asked(
    tmp_path: Path, kind: str, least: float, question: str, answer: Any
) -> None:
    lines: list[str] = []
    report = hone.attempt(folder_of(tmp_path, kind), recipe_for(kind, steps=80, eval_every=80), say=lines.append)
    assert report.score is not None
    assert report.model is not None
    assert report.score.mean >= least
    written = json.loads((Path(report.model) / "hone.json").read_text())
    assert len(written["examples"]) == 8
    with hone.load(report.model) as model:
        got = model.ask(question)
        if kind == "tag":
            got = [(item["type"], item["text"], item["start"], item["end"]) for item in got]
        else:
            shares = model.probabilities(question)
            assert set(shares) == set(written["labels"])
            assert kind == "multi-label" or sum(shares.values()) == pytest.approx(1)
    assert got == answer
    if kind != "tag":
        assert written["calibration"]["fitted_on"] == "dev"
        assert written["renderer"]["temperature"] == report.calibration["temperature"]
        assert any("expected calibration error" in line for line in lines)


def test_scoring_on_the_way_and_the_folder_opened_again_agree(tmp_path: Path) -> None:
    report = hone.attempt(folder_of(tmp_path, "multi-label"), recipe_for("multi-label", steps=20, eval_every=20))
    assert report.model is not None
    task = load_task(tmp_path)
    data = prepare(task, tmp_path, tmp_path / ".hone" / "cache", lambda line: None)
    folder = ModelFolder(report.model, TextTokenizer)
    from hone.evaluate.encoders import EncoderLabels

    renderer = folder.renderer()
    labels = EncoderLabels(folder.load(), renderer.temperature, several=True)  # type: ignore[attr-defined]
    # A threshold was chosen on these rows, so each half is decided by that of the other.
    halves = zip(data.dev, first_half(len(data.dev)), strict=True)
    one, other = report.calibration["thresholds"]
    thresholds = {row.id: one if first else other for row, first in halves}
    again = evaluate(task, renderer, data.dev, labels=labels, thresholds=thresholds)
    assert again.score == report.score
    assert renderer.threshold == report.calibration["threshold"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["classify", "multi-label"])
def test_a_classifier_reads_each_dev_row_once_behind_its_training(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For its calibration; what it answers follows from that, and its loss was measured on the way."""
    from hone.attempts import concluding, last_scoring
    from hone.evaluate import encoders

    read: list[int] = []
    at_positions, load_best = encoders.at_positions, concluding._load_best

    def counting(model: Any, asked: Any, at: Any) -> Any:
        read.append(len(asked))
        return at_positions(model, asked, at)

    def at_the_end(*args: Any) -> bool:
        read.clear()
        return load_best(*args)

    monkeypatch.setattr(encoders, "at_positions", counting)
    monkeypatch.setattr(concluding, "_load_best", at_the_end)
    monkeypatch.setattr(last_scoring, "dev_loss", lambda *args: pytest.fail("the loss was measured on the way"))
    hone.attempt(folder_of(tmp_path, kind), recipe_for(kind, steps=20, eval_every=20))
    assert sum(read) == 40


def test_masked_tokens_are_learned_and_scored_with_the_same_masks_each_time(tmp_path: Path) -> None:
    recipe = recipe_for("language-model", steps=60, eval_every=30)
    report = hone.attempt(folder_of(tmp_path, "language-model"), recipe)
    assert report.score is not None
    # A uniform guess over 300 ids costs 8.2 bits; what is left here is digits and names.
    assert report.score.mean < 6
    assert set(report.scores) == {"masked_bits", "masked_accuracy"}
    bench = bench_of(tmp_path, "language-model")
    again = bench_of(tmp_path, "language-model", seed=7, mask_share=0.4)
    assert [e.ids.tolist() for e in bench.dev] == [e.ids.tolist() for e in again.dev]
    one, other = (source_of(item).steps(0) for item in (bench, again))
    count = [sum(int(e.supervised.sum()) for step in steps for row in step for e in row) for steps in (one, other)]
    assert count[1] > 2 * count[0]


def test_balanced_classes_weigh_inversely_to_their_rows_and_one_on_average(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, "classify", class_weights="balanced")
    weights, counts = class_weights(bench), np.bincount([e.label for e in bench.train])
    assert weights is not None
    assert np.allclose(np.array(weights) * counts, counts.sum() / len(counts))
    assert sum(w * n for w, n in zip(weights, counts, strict=True)) == pytest.approx(counts.sum())


def test_the_objective_of_the_default_recipe_follows_from_base_and_task(tmp_path: Path) -> None:
    for kind, wanted in {**OBJECTIVE, "classify": "classify-sequence", "multi-label": "classify-sequence"}.items():
        task = load_task(folder_of(tmp_path, kind))
        data = prepare(task, tmp_path, tmp_path / ".hone" / "cache", lambda line: None)
        assert default_recipe(task, data, seed=0, threads=1).objective == wanted


def test_an_encoder_that_is_to_write_and_a_text_metric_are_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "classify", output="{text}")
    task = json.loads((folder / "hone.yaml").read_text())
    (folder / "hone.yaml").write_text(json.dumps({**task, "kind": "generate"}))
    with pytest.raises(InputError, match="generate"):
        hone.attempt(folder, recipe_for("classify"))
    folder_of(tmp_path, "language-model", target=2)
    text = (folder / "hone.yaml").read_text().replace("masked_bits", "bits_per_byte")
    (folder / "hone.yaml").write_text(text)
    with pytest.raises(InputError, match="masked_bits"):
        hone.attempt(folder, recipe_for("language-model"))


def test_a_row_of_tags_reads_alike_alone_and_in_a_batch(tmp_path: Path) -> None:
    from hone.attempts.bench import build_model
    from hone.evaluate.encoders import at_positions

    bench = bench_of(tmp_path, "tag")
    model = build_model(bench.recipe, bench.tokenizer, bench.data.labels)
    ids = [example.ids.tolist() for example in bench.dev[:12]]
    at = [np.flatnonzero(example.supervised).tolist() for example in bench.dev[:12]]
    together = at_positions(model, ids, at)
    for row, places, line in zip(ids, at, together, strict=True):
        with torch.no_grad():
            alone = model(input_ids=torch.tensor([row])).logits[0, places]
        assert np.abs(alone.double().numpy() - line).max() < 1e-5
