"""Raw pages cleaned by the web preset: lines go, the rules judge what is left, and a second time changes nothing."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from hone.cli import main

LINES = (
    "The river rises in the hills and {} it to the sea within three days of the year.",
    "It was dammed with stones by people who had come from the north that {} winter.",
    "Of the {} mills that stood at the water when the war began, two are left and they have no wheels.",
    "You can walk there in the summer, but be careful: the path is not as wide as it {} be.",
    "What they grew with the water was {}, and that is what the town still sells to its visitors.",
    "In the end the {} was bought by the county, which keeps it open for all of the people who want to see it.",
)
FRAME = (
    "Menu",
    "Sign in",
    "We use cookies to show you more of what you like.",
    "Enable JavaScript to see the map.",
    "",
)


def page(number: int) -> str:
    """Six sentences of prose with words of its own and citations, between the lines of a page's frame."""
    words = [f"{name}{number}" for name in ("follows", "cold", "seven", "should", "barley", "valley")]
    prose = [f"{line.format(word)}[{number}][edit]" for line, word in zip(LINES, words, strict=True)]
    return "\n".join([*FRAME, *(line for one in prose for line in (one, "")), *FRAME])


def clean(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[dict[str, Any], str]:
    assert main(["clean", *arguments, "--preset", "web", "--text", "text", "--json"]) == 0
    captured = capsys.readouterr()
    return json.loads(captured.out.splitlines()[-1]), captured.out + captured.err


def kept(document: dict[str, Any]) -> list[dict[str, Any]]:
    with gzip.open(Path(document["place"]) / "kept.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def test_pages_lose_lines_are_judged_without_them_and_a_second_time_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The title is no text that is measured: it may speak of whatever it is about.
    rows = [{"text": page(number), "title": "JavaScript", "more": "See our terms of use"} for number in range(6)]
    rows.append({"text": "\n".join(["Menu", "Use cookies"] * 40), "title": "", "more": ""})
    file = tmp_path / "pages.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    near = ["--rule", "near-duplicate=off"]  # the six tell nearly the same
    first, said = clean(capsys, str(file), "--out", str(tmp_path / "one"), "--workers", "1", *near)
    assert "transform c4-lines: 7 rows changed" in said
    assert first["kept"] == 6
    for number, row in enumerate(kept(first)):
        prose = page(number).replace(f"[{number}][edit]", "").split("\n")
        assert row["text"].split("\n") == [line for line in prose if line not in FRAME]
        assert (row["title"], row["more"]) == ("JavaScript", "See our terms of use")
    assert kept(clean(capsys, str(file), "--out", str(tmp_path / "two"), "--workers", "2", *near)[0]) == kept(first)
    source = str(Path(first["place"]) / "kept.jsonl.gz")
    again, _ = clean(capsys, source, "--out", str(tmp_path / "again"), "--workers", "1", *near)
    assert not any(again["changed"].values())
    assert kept(again) == kept(first)


def test_without_its_lines_a_page_is_judged_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The frame's short lines and empty lines are what FineWeb's rules would leave these pages out for."""
    file = tmp_path / "pages.jsonl"
    pages = ["\n\n".join(["Menu", "Sign in", "Home"] * 9) + "\n" + page(number) for number in range(3)]
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in pages))
    near = ["--rule", "near-duplicate=off"]
    whole, _ = clean(capsys, str(file), "--dry-run", *near)
    framed, _ = clean(capsys, str(file), "--dry-run", "--transform", "c4-lines=off", *near)
    assert (whole["kept"], framed["kept"]) == (3, 0)
    assert {"fineweb-newlines", "fineweb-short-lines"} <= set(framed["left_out"])
