from __future__ import annotations

import shutil

import pytest

from hone.errors import InputError
from hone.lab.lab import Lab
from hone.task.recipe import Recipe

NEW_RUNS = """
lab = Lab(sys.argv[1])
for _ in range(5):
    print(lab.new_run(Recipe(), "task0", "data0", name="default").number)
"""


def test_numbers_are_given_once_among_four_processes(lab, together):
    printed = together(NEW_RUNS, [str(lab.folder)] * 4)
    numbers = sorted(int(number) for text in printed for number in text.split())
    assert numbers == list(range(1, 21))
    assert [run.number for run in lab.runs()] == numbers
    assert [row["number"] for row in lab.query("SELECT number FROM runs ORDER BY number")] == numbers


def test_a_number_is_not_used_again_after_its_folder_was_deleted(lab, finished):
    finished("first", 0.5)
    shutil.rmtree(finished("second", 0.6).folder)
    assert finished("third", 0.7).number == 3
    assert [run.number for run in lab.runs()] == [1, 3]


def test_only_a_run_that_has_kept_nothing_is_discarded_and_its_number_is_not_given_again(lab, finished):
    done = finished("done", 0.5)
    paused = lab.new_run(Recipe(), "task0", "data0")
    with paused.working():
        paused.log(1, loss=2.0)
    empty = lab.new_run(Recipe(), "task0", "data0")
    assert empty.number == 3
    assert [lab.discard(run) for run in (done, paused, empty)] == [False, False, True]
    assert [run.number for run in lab.runs()] == [1, 2]
    assert lab.new_run(Recipe(), "task0", "data0").number == 4


def test_the_lab_writes_nothing_before_something_happens(tmp_path):
    lab = Lab(tmp_path / "empty")
    assert (lab.runs(), lab.artifacts(), lab.test_readings()) == ([], [], [])
    assert not (tmp_path / "empty").exists()


@pytest.mark.parametrize(
    ("ref", "number"),
    [(2, 2), ("2", 2), ("0002", 2), ("wider", 2), ("0002-wider", 2), ("wi", 2), ("0003", 3), ("wide", 4), ("best", 3),
     ("deep", 3)],
)  # fmt: skip
def test_a_run_is_found_by_number_name_unique_beginning_or_best(lab, finished, ref, number):
    finished("default", 0.5)
    finished("wider", 0.6)
    finished("deeper", 0.9)
    if ref == "wide":  # an exact name goes before the beginning of another
        finished("wide", 0.1)
    assert lab.run(ref).number == number


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("widr", r'no run "widr" among the 3 .* \(numbers 1 to 3\); did you mean "wider"\?'),
        ("7", r"no run 7 among the 3 in [^;]*; the newest: 0003-[^,]*, 0002-[^,]*, 0001-[^,;]*$"),
        ("default", '"default" means 2 runs in .*: 0001-default, 0003-default; give the number'),
        ("bset", 'did you mean "best"'),
    ],
)
def test_a_wrong_reference_names_the_nearest_or_all_that_fit(lab, finished, ref, message):
    finished("default", 0.5)
    finished("wider", 0.6)
    finished("default", 0.7)
    with pytest.raises(InputError, match=message):
        lab.run(ref)


def test_a_reference_into_an_empty_lab_says_how_to_start(lab):
    with pytest.raises(InputError, match=r"there are no runs in .* start one with hone solve"):
        lab.run("wider")
    with pytest.raises(InputError, match=r"no best run: there are no runs in"):
        lab.run("best")


def test_best_is_decided_by_the_pessimistic_end(lab, finished):
    finished("certain", 0.80, half=0.01)
    finished("lucky", 0.82, half=0.10)
    assert lab.run("best").name == "certain"


def test_best_is_the_smallest_where_lower_is_better(lab, f1):
    for name, bits in [("large", 2.5), ("small", 2.1)]:
        run = lab.new_run(Recipe(), "task0", "data0", name=name)
        run.finish({"scores": [f1(bits, name="bits_per_byte", higher=False)]})
    assert lab.best().name == "small"


def test_a_copy_for_rounded_weights_is_never_the_best_beside_the_run_that_it_is_of(lab, f1):
    def finished(name, mean, **more):
        parent = more.pop("parent", None)
        run = lab.new_run(Recipe(**more), "task0", "data0", parent, name=name, metric="field_f1")
        run.finish({"scores": {"field_f1": f1(mean)}})
        return run

    floats = finished("floats", 0.80)
    finished("copy", 0.81, parent=floats, base="runs/0001-floats/model", aware="q4_0")
    assert lab.best().name == "floats"
    # Trained from nothing it is an attempt like another, and so is one whose own run has no score.
    finished("from-nothing", 0.82, parent=floats, aware="q4_0")
    assert lab.best().name == "from-nothing"
    unscored = lab.new_run(Recipe(), "task0", "data0", name="unscored")
    finished("alone", 0.83, parent=unscored, base="runs/0004-unscored/model", aware="q4_0")
    assert lab.best().name == "alone"
    # And so is one from the base that its parent began from too.
    finished("of-a-hub", 0.84, parent=floats, base="sentence-transformers/all-MiniLM-L6-v2", aware="q4_0")
    assert lab.best().name == "of-a-hub"


def test_best_asks_which_metric_when_runs_have_several(lab, f1):
    run = lab.new_run(Recipe(), "task0", "data0")
    run.finish({"scores": [f1(0.5), f1(0.4, name="exact_match")]})
    with pytest.raises(InputError, match=r"which metric decides.* exact_match, field_f1"):
        lab.best()
    assert lab.best("exact_match").number == 1
    with pytest.raises(InputError, match=r'no run .* has a score "exact_mach" on dev; did you mean "exact_match"'):
        lab.best("exact_mach")


def test_a_folder_that_is_no_whole_run_is_left_out_and_said(lab, finished, said):
    finished("default", 0.5)
    (lab.runs_folder / "0002-half").mkdir()
    broken = finished("broken", 0.9)
    (broken.folder / "run.json").write_text("{")
    assert [run.number for run in lab.runs()] == [1]
    assert any("0002-half has no run.json and is left out" in sentence for sentence in said)
    assert any("0003-broken is left out" in sentence and "not valid JSON" in sentence for sentence in said)
    assert [row["number"] for row in lab.query("SELECT number FROM runs")] == [1]
    assert lab.reindex()["runs"] == 1


def test_a_child_of_a_run_that_is_not_there_is_refused(lab, finished):
    finished("default", 0.5)
    with pytest.raises(InputError, match="no run 9 "):
        lab.new_run(Recipe(), "task0", "data0", parent=9)
    assert len(lab.runs()) == 1
