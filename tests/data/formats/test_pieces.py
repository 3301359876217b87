"""Sentences in pieces after their text was changed, and their whole way from bare files to kept rows."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hone.data.cleaned_files import clean_files
from hone.data.formats import converted
from hone.data.formats.pieces import entities, joined
from hone.data.read import read
from hone.data.rows import Row
from hone.data.survey import Survey, Wishes, survey_files
from hone.data.transforms.registry import open_transforms
from hone.data.view import transformed, view_of_rows
from hone.task.spec import Clean

PIECES = [{"text": "Mail  "}, {"text": "ann@example.org ", "entity": "who"}, {"text": "in "}, {"text": "Rome"}]


def single_spaced(text: str) -> str:
    return " ".join(text.split())


def changed(pieces: list[dict[str, str]], *steps: Callable[[str], str]) -> dict[str, Any]:
    fields = {"data": pieces, "text": joined(pieces), "entities": entities(pieces), "id": 3}
    for apply in steps:
        fields = transformed(fields, apply, ("text", "entities", "data"))
    return fields


def redact(text: str) -> str:
    (transform,) = open_transforms([("redact", {"kinds": ["email"]})])
    return transform.apply(text)


def test_pieces_stay_the_text_when_blanks_go_and_secrets_are_taken_out() -> None:
    made = changed(PIECES, single_spaced, redact)
    assert "ann@" not in json.dumps(made)
    assert made["text"].startswith("Mail <")
    assert joined(made["data"]) == made["text"]
    assert entities(made["data"]) == made["entities"]
    assert [entity["type"] for entity in made["entities"]] == ["who"]


def test_pieces_of_a_text_that_does_not_change_keep_the_blanks_at_their_ends() -> None:
    pieces = [{"text": "Play "}, {"text": "Adele", "entity": "artist"}, {"text": " now"}]
    made = changed(pieces, single_spaced)
    assert (made["data"], made["entities"]) == (pieces, [{"type": "artist", "text": "Adele"}])


def test_what_stands_across_two_pieces_goes_from_both() -> None:
    pieces = [{"text": "Mail ann@"}, {"text": "example.org", "entity": "host"}, {"text": " now"}]
    made = changed(pieces, redact)
    assert "example.org" not in json.dumps(made)
    assert joined(made["data"]) == made["text"]
    assert made["entities"] == []


def test_equal_entities_are_told_apart_by_where_they_stand() -> None:
    pieces = [{"text": "a  "}, {"text": "b", "entity": "x"}, {"text": " b "}, {"text": "b", "entity": "y"}]
    made = changed(pieces, single_spaced)
    assert made["data"] == [{"text": "a "}, {"text": "b", "entity": "x"}, {"text": " b "}, {"text": "b", "entity": "y"}]


def spoken(place: str, verb: str = "Show") -> dict[str, Any]:
    return {"data": [{"text": f"{verb} "}, {"text": place, "entity": "place"}, {"text": " on the map"}]}


def written(folder: Path, rows: list[dict[str, Any]], test: list[dict[str, Any]]) -> Survey:
    (folder / "train.json").write_text(json.dumps({"ShowMap": rows}))
    (folder / "test.json").write_text(json.dumps({"ShowMap": test}))
    wishes = Wishes(test="test.json")
    return survey_files(["train.json"], folder, Clean(), folder / ".cache", lambda line: None, wishes=wishes)


def test_words_are_those_of_the_sentences_and_not_of_the_keys(tmp_path: Path) -> None:
    places = [f"{a}{b}" for a in ("Ber", "Ro", "Pra", "Li") for b in ("lin", "me", "gue")]
    rows = [*map(spoken, places), spoken("rome"), {"data": [{"text": "show Rome "}, {"text": "on the map"}]}]
    found = written(tmp_path, rows, [spoken("rome", "SHOW"), spoken("Vienna", "Find")])
    assert found.view.kind == "extract"
    column = found.columns.column
    # "Show Rome" three times; another answer is a contradiction, and all three are in the test.
    assert sum(column("exact.repeats").to_pylist()) == 2
    assert column("exact.survivor").null_count == len(rows)
    assert len(rows) - column("leak.test").null_count == 3
    assert sum(column("contamination.whole").to_pylist()) == 3
    assert column("contamination.against").null_count == len(rows) - 3


def test_kept_rows_are_recognised_again_and_cleaning_them_changes_nothing(tmp_path: Path) -> None:
    rows = [spoken(f"Rome\u00a0{number}") for number in range(6)]
    (tmp_path / "a.json").write_text(json.dumps({"ShowMap": rows}))
    section = Clean(transforms=["unicode", "whitespace"])
    kept: list[bytes] = []
    source = "a.json"
    for number in range(2):
        found = survey_files([source], tmp_path, section, tmp_path / ".cache", lambda line: None)
        version = clean_files(found, section, tmp_path / f"out{number}", lambda line: None)
        source = f"out{number}/versions/{version.id}/kept.jsonl.gz"
        kept.append(gzip.decompress((tmp_path / source).read_bytes()))
        assert found.changed["unicode"] + found.changed["whitespace"] == (6 if number == 0 else 0)
    assert kept[0] == kept[1]
    again = [row for row in converted(read(source, tmp_path), lambda line: None) if isinstance(row, Row)]
    assert [row.fields["text"] for row in again] == [f"Show Rome {number} on the map" for number in range(6)]
    assert view_of_rows(again).kind == "extract"
