"""The page of a certificate: self-contained, texts never markup, whatever the certificate says; and the frontier."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from hone.deploy.certificate.charts import time_ranges
from hone.deploy.certificate.document import Certificate, write_certificate
from hone.deploy.certificate.frontier import Candidate, candidate_of, frontier_svg, on_frontier, short_names
from hone.deploy.certificate.gates import parity_gates, timing_gates
from hone.deploy.certificate.greedy import Divergence
from hone.deploy.certificate.page import page_of
from hone.deploy.certificate.parity import Parity
from hone.deploy.certificate.scoring import Comparison
from hone.deploy.certificate.spread import Spread
from hone.deploy.certificate.timing import PastContext, Positions, PromptTime, Times
from hone.deploy.measure import Figure, Measured, Pace
from hone.deploy.weights import FORMATS
from hone.evaluate.significance import Difference
from hone.files import read_json
from hone.task.scores import Score

NASTY = '<script>alert("x")</script>'
SPREAD = Spread(
    positions=2000,
    rows=150,
    kld_mean=0.00051,
    kld_low=0.00045,
    kld_high=0.00058,
    kld_median=0.0001,
    kld_p99=0.004,
    kld_max=0.03,
    same_top=0.997,
    same_top_or_tie=0.999,
    same_top_low=0.997,
    by_place=((0, 1, 0.0009, 150), (1, 2, 0.0002, 150), (2, 3, 0.0004, 90)),
    histogram=((-10.0, 3), (-4.5, 900), (-4.0, 700), (-2.0, 397)),
)
PARITY = Parity(
    positions=2000,
    sequences=150,
    finite=True,
    tie_nats=0.1,
    spread=SPREAD,
    perplexity_original=2.1,
    perplexity_artifact=2.1003,
    log_ratio_low=-0.0001,
    log_ratio_high=0.0003,
    greedy_prompts=16,
    greedy_equal_share=0.9375,
    divergences=(
        Divergence(
            prompt=4,
            row="dev:17",
            position=6,
            original=9,
            artifact=31,
            gap_nats=0.04,
            original_text=NASTY,
            artifact_text=" paris",
        ),
    ),
)
MEASURED = Measured(
    size_mb=3.2,
    ram_mb=71.0,
    interpreter_mb=33.0,
    without_model_mb=45.0,
    load_ms=12.0,
    first_token_ms=8.1,
    ms_per_token=0.61,
    runtime_first_token_ms=7.9,
    runtime_ms_per_token=0.58,
    prompt_tokens=32,
    new_tokens=64,
    threads=1,
    context=256,
    repeats=3,
)
PACE = Pace(
    threads=1,
    repeats=3,
    prompt_tokens=32,
    new_tokens=64,
    cold_ms=9.4,
    first_token_p50_ms=8.1,
    first_token_p95_ms=8.6,
    token_p50_ms=0.6,
    token_p95_ms=0.83,
    first_run=0.6,
    last_run=0.61,
    runs=(0.6, 0.62, 0.61),
)
TIMES = Times(
    load_ms=12.0,
    by_threads=(PACE, replace(PACE, threads=2, token_p50_ms=0.4, token_p95_ms=1.4)),
    prompts=(PromptTime(tokens=1, first_token_ms=0.7), PromptTime(tokens=255, first_token_ms=55.0)),
    positions=Positions(near=10, far=200, near_ms=0.6, far_ms=0.66, near_least_ms=0.58, far_least_ms=0.63),
    past_context=PastContext(context=256, refusal="prompt 0: 257 tokens; this session takes 1 to 256", stops=True),
)
SCORE = Score(name="field_f1", mean=0.8, low=0.76, high=0.84, n=64)
COMPARED = Comparison(
    metric="field_f1",
    original=replace(SCORE, mean=0.802),
    artifact=SCORE,
    difference=Difference(metric="field_f1", mean=-0.002, low=-0.006, high=0.001, n=64, share_better=0.2),
    point=0.01,
    point_is="of 0 to 1",
    rows=64,
)
BOUNDS = FORMATS["q8_0"].bounds
CERTIFICATE = Certificate(
    status="certified",
    failures=(),
    size="quick",
    kind="decoder",
    artifact="model.gguf",
    artifact_hash="ab" * 32,
    weights="q8_0",
    prepared="",
    runtime="xllamacpp 1, gguf 2",
    runtime_name="gguf",
    machine="a CPU, 2 cores",
    versions={"python": "3.11", "numpy": "2"},
    modules_in_process=412,
    training_modules=(),
    ids_checked=128,
    examples_checked=8,
    measured=MEASURED,
    times=TIMES,
    budget=(Figure(name="size_mb", measured=3.2, limit=3.0), Figure(name="ms_per_token", measured=0.61, limit=None)),
    device={"threads": 1, "context": 256, "first_token_ms": 20.0, "ms_per_token": None},
    parity=PARITY,
    bounds=BOUNDS,
    gates=(*parity_gates(PARITY, BOUNDS), *timing_gates(TIMES)),
    compared=COMPARED,
    score=SCORE.to_json(),
    notes=("a note",),
    hashes={"data": "d1"},
    made="2026-01-02T03:04:05+00:00",
)


def visible(page: str) -> str:
    return re.sub(r"<[^>]+>", " ", page.partition("<body")[2])


def test_the_page_asks_nobody_for_anything_and_texts_are_no_markup():
    page = page_of(CERTIFICATE.to_json(), f"voice {NASTY}")
    assert "default-src 'none'" in page
    assert not re.search(r'(?:src|href)="|https?://|@import|url\(', page)
    assert NASTY not in page
    assert "&lt;script&gt;" in page
    assert page.count("<script") == 0


def test_the_page_tells_what_the_certificate_says():
    said = visible(page_of(CERTIFICATE.to_json(), "voice-gguf-q8_0"))
    for told in (
        "voice-gguf-q8_0",
        "certified",
        "over the device's budget in size of the file",
        "257 tokens",
        "dev:17",
    ):
        assert told.replace("'", "&#x27;") in said, told
    assert said.count("holds") == len(CERTIFICATE.gates)


def test_what_does_not_hold_stands_at_the_top_and_numbers_that_are_none_are_no_error():
    nan = float("nan")
    bad = replace(PARITY, finite=False, spread=replace(SPREAD, kld_mean=nan, kld_high=nan), perplexity_artifact=nan)
    gates = tuple(parity_gates(bad, BOUNDS))
    failures = tuple(gate.sentence for gate in gates if not gate.holds)
    document = replace(CERTIFICATE, status="converted", failures=failures, parity=bad, gates=gates).to_json()
    assert document["parity"]["kld_mean"] is None
    said = visible(page_of(document))
    assert "not certified" in said
    assert "not finite" in said
    assert said.count("fails") == len(failures)


def test_an_encoder_without_scores_or_tokens_has_a_page():
    measured = replace(
        MEASURED, ms_per_token=None, runtime_first_token_ms=None, runtime_ms_per_token=None, new_tokens=0
    )
    pace = replace(PACE, token_p50_ms=None, token_p95_ms=None, runs=(), new_tokens=0)
    parity = replace(PARITY, perplexity_original=None, perplexity_artifact=None, greedy_prompts=0, divergences=())
    times = replace(TIMES, by_threads=(pace,), positions=None)
    changes = {"kind": "encoder", "measured": measured, "times": times, "compared": None, "score": None}
    said = visible(page_of(replace(CERTIFICATE, parity=parity, **changes).to_json()))
    assert "a sequence of 32 tokens" in said
    assert "Greedy" not in said
    none = replace(CERTIFICATE, status="contract-checked", parity=None, compared=None, score=None)
    assert "no original" in visible(page_of(none.to_json()))


def test_certificate_and_page_lie_in_the_folder_or_beside_the_file(tmp_path: Path):
    folder = tmp_path / "voice-gguf-q8_0"
    folder.mkdir()
    (folder / "model.gguf").write_bytes(b"x")
    (folder / "hone.json").write_text("{}")
    written = CERTIFICATE.write(folder)
    assert written == folder / "certificate.json"
    assert "<h1>voice-gguf-q8_0</h1>" in (folder / "certificate.html").read_text()
    assert read_json(written) == CERTIFICATE.to_json()
    alone = tmp_path / "toy.gguf"
    alone.write_bytes(b"x")
    write_certificate(alone, CERTIFICATE.to_json())
    assert sorted(one.name for one in tmp_path.glob("toy*")) == [
        "toy.gguf",
        "toy.gguf.certificate.html",
        "toy.gguf.certificate.json",
    ]


def candidate(name: str, score: float, size_mb: float, ms: float | None = 1.0) -> Candidate:
    return Candidate(name=name, score=score, low=score - 0.01, high=score + 0.01, size_mb=size_mb, ms_per_token=ms)


def test_a_time_far_beyond_the_others_is_told_and_does_not_press_them_to_the_axis():
    rows = [("1 thread", 0.3, 0.4), ("2 threads", 0.2, 260.0)]

    def places(drawn):
        return [float(at) for at in re.findall(r'<circle class="mid" cx="([\d.]+)"', drawn)]

    drawn = time_ranges(rows, limit=5.0)
    assert places(drawn) == places(time_ranges(rows)) == places(time_ranges([rows[0], ("2 threads", 0.2, 0.3)]))
    assert "to 260 " in drawn
    assert "budget 5 " in drawn
    assert '<line class="limit"' not in drawn
    assert '<line class="limit"' in time_ranges(rows, limit=0.5)


def test_the_frontier_is_what_nothing_beats_in_both():
    q8, q4, f16 = candidate("q8", 0.8, 8), candidate("q4", 0.78, 4), candidate("f16", 0.8, 16)
    assert on_frontier([f16, q8, q4], lambda one: one.size_mb, higher=True) == [q4, q8]
    assert on_frontier([f16, q8, q4], lambda one: one.size_mb, higher=False) == [q4]


def test_the_frontier_is_drawn_with_its_box_and_names_every_artifact():
    points = [candidate("q8", 0.8, 8), candidate("q4", 0.78, 4, None), candidate("<b>", 0.8, 16)]
    legend, _, drawn = frontier_svg(points, metric="field_f1", target=0.75, size_mb=10).partition('<div class="two">')
    for told in ("full certificate", "95 % interval", "the task's target", "within the budget and target"):
        assert told.replace("'", "&#x27;") in legend
    assert drawn.count("<svg") == 2
    assert drawn.count('class="box"') == 2
    assert drawn.count('class="out"') == 2
    assert "target 0.75" in drawn
    assert "<b>" not in drawn
    assert "q4" not in drawn.partition("</svg>")[2]
    assert frontier_svg([], metric="field_f1") == ""
    free = frontier_svg(points, metric="field_f1")
    assert "budget" not in free
    assert 'class="box"' not in free


def test_scores_of_few_rows_and_of_all_rows_are_on_frontiers_of_their_own():
    """0.911 on 64 rows beats no 0.893 on 700: each extent has its marks and its line."""
    full, small = candidate("full", 0.893, 8), candidate("small", 0.88, 4)
    lucky, other = (replace(candidate(*one), extent="quick") for one in (("lucky", 0.911, 6), ("other", 0.85, 3)))
    assert set(on_frontier([full, small, lucky, other], lambda one: one.size_mb, higher=True)) == {
        full, small, lucky, other
    }  # fmt: skip
    whole = frontier_svg([full, small, lucky, other], metric="field_f1")
    drawn = whole.partition('<div class="two">')[2].partition("</svg>")[0]
    assert drawn.count('<polyline class="front full"') == drawn.count('<polyline class="front quick"') == 1
    assert drawn.count('<circle class="mid"') == drawn.count('<rect class="mid"') == 2
    assert "quick certificate (few rows)" in whole.partition('<div class="two">')[0]


def test_a_limit_far_beyond_every_artifact_is_told_and_does_not_press_them_together():
    points = [candidate("q8", 0.8, 0.8), candidate("q4", 0.78, 0.4)]

    def reach(limit):
        drawn = frontier_svg(points, metric="field_f1", size_mb=limit).partition('<div class="two">')[2]
        return max(float(at) for at in re.findall(r'<circle class="mid" cx="([\d.]+)"', drawn.partition("</svg>")[0]))

    assert "budget 50 MB" in frontier_svg(points, metric="field_f1", size_mb=50)
    assert reach(50) == reach(1e6) > reach(1.0) > 200


@pytest.mark.parametrize("seed", range(8))
def test_labels_of_a_frontier_lie_on_no_other_label(seed):
    random = Random(seed)
    sizes = [0.4 + 0.02 * random.random() + 0.3 * random.choice((0, 0, 1)) for _ in range(9)]
    points = [candidate(f"voice-{at}-q{at}_0", 0.9 + 0.01 * random.random(), size) for at, size in enumerate(sizes)]
    for chart in frontier_svg(points, metric="field_f1", target=0.9, size_mb=5).split("</svg>")[-3:-1]:
        found = re.findall(r'<text class="name" x="([-\d.]+)" y="([-\d.]+)">([^<]+)<', chart)
        assert len(found) == len(points)
        boxes = [(float(x), float(x) + 5.8 * len(name), float(y)) for x, y, name in found]
        for one, (left, right, y) in enumerate(boxes):
            assert 0 < left < right < 445
            for other_left, other_right, other_y in boxes[one + 1 :]:
                assert right <= other_left or other_right <= left or abs(y - other_y) > 11


def test_a_long_name_is_drawn_without_its_middle_and_is_never_cut_at_an_edge():
    long = "mixed/voice-run0001-gguf-q4_0-emb-q8_0-head-q6_k"
    points = [candidate(long, 0.9, 9), candidate("voice-run0001-onnx-int4", 0.9, 9), candidate(f"{long}x", 0.9, 0.1)]
    for chart in frontier_svg(points, metric="field_f1").split("</svg>")[-3:-1]:
        found = re.findall(r'<text class="name" x="([-\d.]+)" y="[-\d.]+">([^<]+)<', chart)
        assert len(found) == 3
        assert all(float(x) >= 52 and float(x) + 6.6 * len(name) < 440 for x, name in found)
        assert sum("\N{HORIZONTAL ELLIPSIS}" in name for _, name in found) == 2
        assert chart.count(f"<title>{long}") == 2, "the whole name under the pointer"


def test_names_are_shown_without_what_all_of_them_begin_with():
    assert short_names(["voice-run0001-gguf-q8_0", "voice-run0001-onnx-int8"]) == ["gguf-q8_0", "onnx-int8"]
    assert short_names(["a-b", "a-b-c"]) == ["b", "b-c"]
    assert short_names(["voice-q8_0"]) == ["voice-q8_0"]
    assert short_names(["same", "same"]) == ["same", "same"]


def test_an_artifact_without_a_score_has_no_place_on_the_frontier():
    assert candidate_of("a", replace(CERTIFICATE, score=None).to_json()) is None
    found = candidate_of("a", CERTIFICATE.to_json())
    assert (found.score, found.size_mb, found.ms_per_token) == (0.8, 3.2, 0.61)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_has_no_word_for_become_null(value):
    assert replace(CERTIFICATE, seconds=value).to_json()["seconds"] is None
