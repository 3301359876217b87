from __future__ import annotations

import json
import os

from hone.lab.lab import Lab


def test_a_reading_is_on_the_disk_before_the_rows_are_returned(lab):
    order = []

    class Sealed:
        """As data's sealed split does: record first, then hand out."""

        def read(self, record, reason):
            record(reason)
            order.append([reading.reason for reading in Lab(lab.folder).test_readings()])
            return ("row",)

    rows = Sealed().read(lab.readings.recorder(data_id="data0", artifact="abc", run=3), "the verdict")
    assert rows == ("row",)
    assert order == [["the verdict"]]
    (reading,) = lab.test_readings()
    assert (reading.data_id, reading.artifact, reading.run) == ("data0", "abc", 3)
    assert [row["reason"] for row in lab.query("SELECT reason FROM test_readings")] == ["the verdict"]


def test_a_process_that_dies_right_after_reading_has_left_its_record(lab):
    pid = os.fork()
    if pid == 0:
        lab.record_test_reading("before the crash")
        os._exit(9)
    os.waitpid(pid, 0)
    assert [reading.reason for reading in lab.test_readings()] == ["before the crash"]


def test_no_reading_is_ever_taken_away(lab):
    for number in range(3):
        lab.record_test_reading(f"reading {number}")
    lines = (lab.folder / "test_readings.jsonl").read_text().splitlines()
    assert [json.loads(line)["reason"] for line in lines] == ["reading 0", "reading 1", "reading 2"]


def test_a_torn_record_counts_as_a_reading(lab, said):
    lab.record_test_reading("first")
    with (lab.folder / "test_readings.jsonl").open("a") as handle:
        handle.write('{"reason": "sec')
    assert len(lab.test_readings()) == 2
    assert "test_readings.jsonl:2: left out" in said[0]
    lab.record_test_reading("third")
    assert {reading.reason for reading in lab.test_readings()} >= {"first", "third"}
    assert lab.query("SELECT count(*) AS n FROM test_readings") == [{"n": 3}]
