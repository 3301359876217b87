"""A name is that of the older folder or of the new one, whenever a writer dies; living ones are left alone."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hone.files import PART_PREFIX, atomic_folder, clear_parts, part_folder, replace_folder

WRITER = """
import os, signal, sys
from pathlib import Path
from hone.files import atomic_folder
rename, names = Path.replace, []
def dies(self, target):
    names.append(target)
    if len(names) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)
Path.replace = dies
with atomic_folder(Path(sys.argv[1])) as part:
    (part / "model").write_text("new")
"""


@pytest.fixture
def named(tmp_path) -> Path:
    with atomic_folder(tmp_path / "voice") as part:
        (part / "model").write_text("old")
    return tmp_path / "voice"


def test_what_a_living_writer_holds_is_not_cleared(tmp_path):
    with part_folder(tmp_path / "voice") as part:
        (tmp_path / f"{PART_PREFIX}7-left").write_text("by a writer that died")
        assert clear_parts(tmp_path) == 1
        assert list(tmp_path.iterdir()) == [part]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("renames", "found"), [(1, "old"), (2, "old"), (3, "new")])
def test_after_a_kill_at_any_rename_one_whole_folder_has_the_name_again(named, renames, found):
    died = subprocess.run([sys.executable, "-c", WRITER, str(named), str(renames)], check=False)
    assert died.returncode == -signal.SIGKILL
    assert clear_parts(named.parent) > 0
    assert [path.name for path in named.parent.iterdir()] == ["voice"]
    assert (named / "model").read_text() == found


def test_a_refused_rename_leaves_the_older_folder_its_name(named, monkeypatch):
    rename = Path.replace

    def refuse(self, target):
        if self.name.startswith("new"):
            raise OSError("the disk is full")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    (new := named.with_name("new")).mkdir()
    with pytest.raises(OSError, match="the disk is full"):
        replace_folder(new, named)
    assert (named / "model").read_text() == "old"
    assert sorted(path.name for path in named.parent.iterdir()) == ["new", "voice"]


def test_a_folder_and_its_files_have_the_modes_that_others_get_here(tmp_path):
    plain, elsewhere = tmp_path / "plain", tmp_path / "elsewhere"
    plain.mkdir()
    elsewhere.write_text("another's")
    elsewhere.chmod(0o600)
    (plain / "file").write_text("x")
    with atomic_folder(tmp_path / "made") as part:
        (part / "secret").write_text("as safetensors writes it")
        (part / "secret").chmod(0o600)
        (part / "tool").write_text("#!/bin/sh")
        (part / "tool").chmod(0o700)
        (part / "below").mkdir(mode=0o700)
        (part / "link").symlink_to(elsewhere)
    made = tmp_path / "made"
    usual, own = plain.stat().st_mode, (plain / "file").stat().st_mode
    assert (made.stat().st_mode, (made / "below").stat().st_mode) == (usual, usual)
    assert (made / "secret").stat().st_mode == own
    assert (made / "tool").stat().st_mode == own | 0o700
    assert elsewhere.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in made.iterdir()) == ["below", "link", "secret", "tool"]


def test_folders_made_for_a_part_go_where_nothing_came_to_lie_in_them(tmp_path):
    with part_folder(tmp_path / "a" / "b" / "voice"):
        pass
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "old").mkdir()
    with part_folder(tmp_path / "old" / "voice"):
        pass
    assert list(tmp_path.iterdir()) == [tmp_path / "old"], "it was there before"
    with part_folder(tmp_path / "c" / "d" / "voice") as part:
        replace_folder(part, tmp_path / "c" / "d" / "voice")
    assert (tmp_path / "c" / "d" / "voice").is_dir()
