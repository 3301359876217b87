"""Answers in their context after text was changed: the start is where the answer stands now, or null, and counted."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hone.data.changing import Changing
from hone.data.cleaned_files import clean_files
from hone.data.formats import recognise
from hone.data.patch_record import Patch
from hone.data.patches import Patches
from hone.data.read import read
from hone.data.rows import Bad, Row
from hone.data.survey import survey_files
from hone.data.transforms.registry import open_transforms
from hone.data.view import transformed
from hone.task.spec import Clean

# "cafÃ©" is "café" whose UTF-8 was read as Latin-1; the no-break space and the blank lines are white space.
BROKEN = "The cafÃ© of\u00a0Brno  \n\n\n\n\n\nstands since 1924; it burned in 1924 and in 1930."
SECOND = BROKEN.rindex("1924")


def row_of(context: str, *answers: tuple[str, int], **more: Any) -> dict[str, Any]:
    fields = {"context": context, "question": "When?", **more}
    fields["answers"] = {"text": [text for text, _ in answers], "answer_start": [start for _, start in answers]}
    found = recognise([fields])
    assert found is not None
    (row,) = found.convert(Row("f:1", fields))
    assert isinstance(row, Row), row
    return row.fields


def spans(fields: dict[str, Any]) -> list[tuple[str, int | None]]:
    answers = fields["answers"]
    return list(zip(answers["text"], answers["answer_start"], strict=True))


def test_a_start_goes_along_when_unicode_and_white_space_are_repaired() -> None:
    changing = Changing(transforms=open_transforms(["unicode", "whitespace"]))
    row = row_of(BROKEN, ("1924", SECOND), ("cafÃ©", 4), ("1930", BROKEN.index("1930")))
    new = changing.of(Row("f:1", row)).fields
    # The second of two equal answers stays the second.
    assert new["answer_start"] == new["context"].rindex("1924") != new["context"].index("1924")
    assert [text for text, _ in spans(new)] == ["1924", "café", "1930"]
    assert all(new["context"].startswith(text, start) for text, start in spans(new))
    assert changing.said() == [
        "transform unicode: 1 row changed",
        "transform whitespace: 1 row changed",
        "transform unicode (answer_start moved): 1 row changed",
        "transform whitespace (answer_start moved): 1 row changed",
    ]
    assert changing.of(Row("f:1", new)).fields == new


def test_an_answer_that_leaves_its_context_has_no_start_and_the_row_can_be_read_again() -> None:
    row = row_of("He was born in 1924 in Brno.", ("in 1924", 12))
    new = transformed(row, lambda text: text.replace("in 1924 ", "").replace("1924 ", ""), ["context"])
    assert (new["answer"], new["answer_start"], spans(new)) == ("in 1924", None, [("in 1924", None)])
    (again,) = recognise([new]).convert(Row("f:1", new))  # type: ignore[union-attr]
    assert again == Row("f:1", new)


@given(
    before=st.text("ab ", max_size=12),
    answer=st.text("abc", min_size=1, max_size=3),
    behind=st.text("ab ", max_size=6),
    as_objects=st.booleans(),
)
def test_letters_that_go_before_an_answer_move_it_by_their_number(
    before: str, answer: str, behind: str, as_objects: bool
) -> None:
    row = row_of(before + answer + behind, (answer, len(before)))
    if as_objects:
        row["answers"] = [{"text": answer, "answer_start": len(before)}]
    new = transformed(row, lambda text: text.replace(" ", ""), ["context", "answers", "answer"])
    start = len(before.replace(" ", ""))
    assert new["answer_start"] == start
    assert (new["answers"][0]["answer_start"] if as_objects else new["answers"]["answer_start"][0]) == start


def test_what_is_no_span_of_the_context_is_left_as_it_is() -> None:
    for fields in (
        {"context": "a b", "answer_start": 1, "answer": "z"},
        {"context": "a b", "answer_start": "2", "answer": "b"},
        {"context": "a b", "answers": ["b"], "answer_start": None},
        {"context": "a b", "answers": {"text": "b", "answer_start": [2]}},
        {"context": 5, "answer_start": 1, "text": "a b"},
    ):
        new = transformed(fields, lambda text: text.replace(" ", ""), ["context", "text"])
        assert {name: value for name, value in new.items() if name not in ("context", "text")} == {
            name: value for name, value in fields.items() if name not in ("context", "text")
        }


def test_an_edited_context_takes_its_start_along_and_an_edited_start_stays() -> None:
    row = Row("f:1", row_of("Built in 1924.", ("1924", 9)))
    edit = Patch(row="f:1", set={"context": "It was built in 1924."}, was={"context": "Built in 1924."})
    changing = Changing(patches=Patches([edit]))
    (new,) = changing.over("train", [row])
    assert isinstance(new, Row)
    assert new.fields["answer_start"] == 16
    assert changing.said() == ["edits (answer_start moved): 1 row changed"]
    both = Patch(row="f:1", set={**edit.set, "answer_start": 0}, was={**edit.was, "answer_start": 9})
    (by_hand,) = Changing(patches=Patches([both])).over("train", [row])
    assert isinstance(by_hand, Row)
    assert by_hand.fields["answer_start"] == 0


def test_the_kept_rows_of_cleaned_files_have_right_starts_and_the_count_is_known(tmp_path: Path) -> None:
    contexts = [f"{BROKEN} Again {number}." for number in range(4)]
    rows = [
        {"context": context, "question": f"When {n}?", "answers": {"text": ["1924"], "answer_start": [SECOND]}}
        for n, context in enumerate(contexts)
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    section = Clean(preset="none", transforms=["unicode", "whitespace"])
    found = survey_files(["a.jsonl"], tmp_path, section, tmp_path / ".cache", lambda line: None)
    assert found.changed["unicode (answer_start moved)"] == 4
    version = clean_files(found, section, tmp_path / "out", lambda line: None)
    kept = tmp_path / "out" / "versions" / version.id / "kept.jsonl.gz"
    assert not any(isinstance(row, Bad) for row in read(kept, tmp_path))
    for line in gzip.decompress(kept.read_bytes()).splitlines():
        fields = json.loads(line)
        assert fields["context"].startswith("1924", fields["answer_start"])
        assert fields["answers"]["answer_start"] == [fields["answer_start"]]
