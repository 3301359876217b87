"""The diagnosis of a run folder: what is read, what is said, and a page that needs nothing but itself."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import hone
from hone.attempts.diagnosing import diagnose_run, page_of, rates_page
from hone.attempts.diagnosing.charts import LEFT, NARROW, RIGHT, WIDE
from hone.cli import main
from hone.data.looking.skeleton import REPORT
from hone.lab.lab import Lab
from hone.lab.run import Run
from hone.task.recipe import Recipe
from hone.task.scores import Score

WRAPPERS = (":root {", "@media (prefers-color-scheme: dark) {", "@media (max-width: 700px) {")
HOSTILE = '</style><script>alert(1)</script><img src="https://example.org/x.png">'


def overfitting_run(folder: Path) -> Run:
    """A stopped run that turned at step 300 of 1,000, with a guard's word and all figures of its end."""
    lab = Lab(folder, say=lambda line: None)
    recipe = Recipe(steps=1000, eval_every=50, warmup_steps=20)
    run = lab.new_run(recipe, "task", "data", name="too long", metric="field_f1")
    with run.working():
        for step in range(10, 1001, 10):
            wave = 1 + 0.04 * math.sin(step)
            run.log(step, loss=(0.2 + 4 * 0.993**step) * wave, learning_rate=5e-3, grad_norm=1.5 * wave)
        for step in range(0, 1001, 50):
            run.log(step, dev_loss=1 + 3.2 * 0.99**step + 0.002 * max(0, step - 300))
            value = 0.8 * (1 - 0.99**step)
            run.score(step, [Score(name="field_f1", mean=value, low=value - 0.02, high=value + 0.02, n=256)])
        run.guard(420, guard="spikes", kind="say", line=f"step 420: the loss leapt {HOSTILE}")
        verdict = {"verdict": "too high", "sentence": "learning rate too high: try 0.002", "suggested": 0.002}
        run.guard(440, guard="rates", kind="say", line=verdict["sentence"], **verdict)
        layers = [{"layer": "layer 0", "gradient": 0.2, "weight": 8.0, "dead_share": 0.0, "update": 1e-3}]
        run.guard(450, guard="flow", kind="flow", layers=layers)
        run.log(1000, seconds_compute=90.0, seconds_evaluation=10.0, peak_bytes=50e6, estimated_bytes=40e6)
        run.log(1000, padding_share=0.31)
    return run


class Elements(HTMLParser):
    """Names and attributes of all elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_a_run_that_was_stopped_is_diagnosed_from_its_files(tmp_path: Path) -> None:
    document = diagnose_run(overfitting_run(tmp_path))
    assert json.loads(json.dumps(document, allow_nan=False)) == json.loads(json.dumps(document))
    verdict = document["verdict"]
    assert verdict["verdict"] == "overfit"
    assert 250 <= verdict["stop_step"] <= 350
    assert document["run"]["status"] == "paused"
    assert [part["part"] for part in document["slow"]] == ["compute", "evaluation"]
    assert "31% of the tokens are padding, which packing saves" in document["slow"][0]["sentence"]
    assert document["memory"]["error"] == pytest.approx(-0.2)
    assert document["layers"]["step"] == 450
    assert [event["guard"] for event in document["events"]] == ["spikes", "rates"]
    assert document["rate"]["suggested"] == 0.002
    assert verdict["advice"][0] == "learning rate too high: try 0.002"


@pytest.mark.parametrize(
    ("objective", "written", "unit"),
    [
        ("next-token", None, "nats per token"),
        ("masked-tokens", None, "nats per masked token"),
        ("classify-sequence", None, "nats per row"),
        ("classify-sequence", "nats per row and class", "nats per row and class"),
    ],
)
def test_the_page_tells_losses_in_the_unit_of_the_run(
    tmp_path: Path, objective: str, written: str | None, unit: str
) -> None:
    """As its lines do; whether rows have several labels is known to the run, and no part of a recipe."""
    base = "scratch:1m" if objective == "next-token" else "scratch:bert-tiny"
    lab = Lab(tmp_path, say=lambda line: None)
    run = lab.new_run(Recipe(base=base, objective=objective), "task", "data", name="units")
    with run.working():
        if written:
            run.log(0, loss_unit=written)
        for step in range(1, 6):
            run.log(step, loss=1.0 / step)
    assert f'class="unit" x="4" y="11">{unit}<' in page_of(diagnose_run(run))


def test_the_page_is_one_file_without_script_or_network_and_texts_stay_texts(tmp_path: Path) -> None:
    page = page_of(diagnose_run(overfitting_run(tmp_path)))
    elements = Elements(page)
    names = {name for name, _ in elements.found}
    assert not names & {"script", "img", "link", "iframe", "object", "form"}
    assert not [key for _, attributes in elements.found for key in attributes if key in ("src", "href", "style")]
    assert "default-src 'none'" in str(elements.named("meta")[1]["content"])
    assert "&lt;script&gt;alert(1)" in page
    assert "url(" not in page
    assert len([one for one in elements.named("svg") if one.get("class") in ("curve", "curve wide")]) == 4
    stop = re.search(r"stop here: (\d+)", page)
    assert stop is not None
    assert 250 <= int(stop[1]) <= 350
    assert "guard: spikes" in page


def test_a_run_that_its_rate_threw_off_is_told_so_and_not_that_it_is_done(tmp_path: Path) -> None:
    lab = Lab(tmp_path, say=lambda line: None)
    for name, thrown in (("thrown", 1.5), ("calm", 0.0)):
        run = lab.new_run(Recipe(steps=120, eval_every=10), "task", "data", name=name, metric="field_f1")
        with run.working():
            for step in range(1, 121):
                loss = 4.2 + 2.3 * 0.96**step + thrown * max(0.0, 1 - abs(step - 12) / 12) * 2
                run.log(step, loss=loss + 0.05 * math.sin(step), learning_rate=0.5, grad_norm=4.0)
            for step in range(0, 121, 10):
                run.log(step, dev_loss=5.5 + 1.05 * 0.96**step + 0.02 * math.cos(step))
        verdict = diagnose_run(run)["verdict"]
        assert ("learning rate was too high" in verdict["sentence"]) is bool(thrown), verdict["sentence"]
        assert not thrown or verdict["verdict"] == "underfit"


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"label_smoothing": 0.1}, False),
        ({"class_weights": "balanced", "objective": "classify-sequence", "dropout": 0.0}, False),
        ({"replay": "old.txt", "replay_share": 0.5}, False),
        ({"swap_values": 0.5}, False),
        ({"dropout": 0.1}, False),
        ({"objective": "masked-tokens"}, False),
        ({"objective": "masked-tokens", "dropout": 0.0}, True),
        ({"base": "scratch:1m", "swap_values": 0.5}, True),
        ({"base": "scratch:1m", "label_smoothing": 0.1}, False),
    ],
)
def test_only_a_loss_of_devs_kind_is_held_against_that_of_the_untrained_model(
    changes: dict[str, Any], same: bool, tmp_path: Path
) -> None:
    # The training loss stands half above dev's: that is its kind (a smoothed one, of other rows), or its rate.
    lab = Lab(tmp_path, say=lambda line: None)
    run = lab.new_run(Recipe(**{"base": "some/base", "steps": 400, **changes}), "task", "data", name="base")
    with run.working():
        for step in range(1, 401):
            loss = 2.2 + 0.8 * 0.975**step + 0.03 * math.sin(7 * step)
            run.log(step, loss=loss, learning_rate=1e-4, grad_norm=0.5)
        for step in range(0, 401, 100):
            run.log(step, dev_loss=1.2 + 0.8 * 0.99**step)
    assert (diagnose_run(run)["rate"] is not None) is same


def test_the_page_says_which_way_a_metric_goes_and_gives_each_curve_a_colour(tmp_path: Path) -> None:
    lab = Lab(tmp_path, say=lambda line: None)
    run = lab.new_run(Recipe(steps=40), "task", "data", name="bits", metric="bits_per_byte")
    with run.working():
        for step in range(1, 41):
            run.log(step, loss=6 * 0.97**step, learning_rate=0.005, grad_norm=1.0)
        for step in range(0, 41, 8):
            run.log(step, dev_loss=6 * 0.97**step)
            bits = Score(name="bits_per_byte", mean=5 * 0.97**step, low=0, high=9, n=9, higher_is_better=False)
            run.score(step, [bits])
    page = page_of(diagnose_run(run))
    assert "lower is better" in page
    assert "go on rising" not in page
    keys = [str(one["class"]) for one in Elements(page).named("span") if str(one.get("class")).startswith("key ")]
    loss = [key for key in keys if not key.startswith("key part")][:3]
    assert len(set(loss)) == 3
    colours = dict(re.findall(r"\.(key \w+)::before \{ background: (var\(--\w+\))", page.replace(".key.", ".key ")))
    assert len({colours[key] for key in loss}) == 3


def test_a_run_without_any_step_and_one_that_blew_up_have_pages_too(tmp_path: Path) -> None:
    lab = Lab(tmp_path, say=lambda line: None)
    empty = lab.new_run(Recipe(), "task", "data", name="nothing")
    document = diagnose_run(empty)
    assert document["verdict"]["verdict"] == "unclear"
    assert "<main>" in page_of(document)
    blown = lab.new_run(Recipe(), "task", "data", name="blown")
    with blown.working():
        for step in range(10, 101, 10):
            blown.log(step, loss=float("nan") if step > 60 else 4.0, learning_rate=1.0, grad_norm=float("inf"))
    document = diagnose_run(blown)
    assert "not finite at step 70" in document["verdict"]["sentence"]
    assert "not finite at step 70" in page_of(document)
    json.dumps(document, allow_nan=False)


def test_the_command_writes_the_page_and_says_the_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = overfitting_run(tmp_path)
    assert main(["runs", "diagnose", "1", str(tmp_path), "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("overfit: dev loss fell to")
    document = json.loads(lines[-1])
    assert document["page"] == str(run.folder / "diagnosis.html")
    assert (run.folder / "diagnosis.html").read_text().startswith("<!doctype html>")
    out = tmp_path / "elsewhere.html"
    assert main(["runs", "diagnose", "1", str(tmp_path), "--out", str(out)]) == 0
    assert out.exists()
    assert main(["runs", "list", str(tmp_path), "--out", str(out)]) == 2
    assert "hone runs list writes none" in capsys.readouterr().err


def rates(**changes: Any) -> dict[str, Any]:
    """A test of rates from 1e-5 to 1, whose loss falls around 1e-3."""
    tried = [10 ** (-5 + 5 * at / 49) for at in range(50)]
    points = [{"rate": rate, "loss": 5 - 2 / (1 + (1e-3 / rate) ** 2), "smoothed": 4.0} for rate in tried]
    found = {"points": points, "steepest": 1e-3, "diverged_at": 0.1, "suggested": 1e-3}
    return {**found, "suggestion": {"learning_rate": 1e-3, "matrix_learning_rate": 0.02}, **changes}


def test_the_page_of_a_test_of_rates_marks_what_is_suggested_where_it_lies_between_its_ends() -> None:
    page = rates_page(rates(), f"voice {HOSTILE}", f"hone train --set a={HOSTILE}")
    assert not {name for name, _ in Elements(page).found} & {"script", "img", "link"}
    assert "learning_rate 0.001, matrix_learning_rate 0.02" in page
    marks = dict(re.findall(r'<line class="stop" x1="([\d.]+)"[^>]*><title>([^<]+)<', page))
    # 1e-3 is two of five decades from the left end, in the wide picture and in the narrow one.
    wide, narrow = (LEFT + 0.4 * (width - RIGHT - LEFT) for width in (WIDE, NARROW))
    assert sorted(map(float, marks)) == pytest.approx([narrow, wide], abs=0.1)
    assert set(marks.values()) == {"suggested: 0.001"}
    assert "diverged: 0.1" in page
    assert "steepest: " not in page, "it is the suggestion itself"


def test_a_suggestion_below_the_steepest_descent_marks_both_and_none_marks_none() -> None:
    page = rates_page(rates(steepest=0.05, diverged_at=0.1, suggested=0.01), "voice", "hone train")
    assert "suggested: 0.01" in page
    assert "steepest: 0.05" in page
    page = rates_page(rates(steepest=None, diverged_at=None, suggested=None, suggestion={}), "voice", "hone train")
    assert "nothing is suggested" in page
    assert "It did not diverge in this range" in page
    assert "To use it" not in page


def test_what_pages_have_in_common_is_written_once() -> None:
    common = set(REPORT.read_text().splitlines())
    for own in ("attempts/diagnosing/diagnosis.css", "deploy/certificate/certificate.css"):
        sheet = (Path(hone.__file__).parent / own).read_text().splitlines()
        assert [line for line in sheet if line in common and "{" in line and line.strip() not in WRAPPERS] == []
