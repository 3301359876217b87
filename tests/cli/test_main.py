"""What every verb shares: options in any order, exit statuses, errors as sentences and as JSON, a clean stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from hone import cli
from hone.cli import VERBS, main
from hone.cli.interrupt import Stopped, stoppable
from hone.errors import FailedError, InputError

HELP_OF_ALL = """
import sys
from hone.cli import VERBS, main
for verb in VERBS:
    assert main([verb, "--help"]) == 0, verb
foreign = {name.split(".")[0] for name in sys.modules} - set(sys.stdlib_module_names) - {"hone", "__main__"}
foreign = {name for name in foreign if not name.startswith(("_", "sitecustomize")) and "editable" not in name}
print("foreign:", *sorted(foreign))
"""


def test_the_help_of_every_verb_needs_the_standard_library_only():
    before = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    run = subprocess.run([sys.executable, "-c", HELP_OF_ALL], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    started_with = {name.split(".")[0] for name in before.stdout.split()}
    assert set(run.stdout.splitlines()[-1].split()[1:]) <= started_with


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_takes_json_and_quiet_anywhere(verb, capsys):
    assert main([verb, "--json", "--quiet", "--help"]) == 0
    assert "--json" in capsys.readouterr().out


def test_an_unknown_verb_and_an_unknown_option_name_the_nearest(capsys):
    assert main(["slove"]) == 2
    assert 'did you mean "solve"?' in capsys.readouterr().err
    assert main(["solve", "here", "--minuts", "3"]) == 2
    assert 'did you mean "--minutes"?' in capsys.readouterr().err


def test_an_option_is_not_guessed_from_its_beginning(capsys):
    assert main(["solve", "here", "--min", "3"]) == 2
    assert "--min" in capsys.readouterr().err


class Verb:
    """A verb that fails as it is told to."""

    def __init__(self, error):
        self.error = error

    def add_arguments(self, parser):
        parser.add_argument("words", nargs="*")

    def run(self, args):
        if self.error is not None:
            raise self.error
        return 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, 1),
        (InputError(["one", "two"]), 2),
        (FailedError("a full disk"), 3),
        (KeyboardInterrupt(), 130),
        (Stopped(signal.SIGTERM), 143),
        (PermissionError(13, "Permission denied", "/x"), 3),
        (ZeroDivisionError("division by zero"), 3),
    ],
)
def test_exit_statuses(monkeypatch, capsys, error, status):
    monkeypatch.setattr(cli, "import_module", lambda name: Verb(error))
    assert main(["check", "--json"]) == status
    written = capsys.readouterr()
    if status > 1:
        assert json.loads(written.out.splitlines()[-1])["error"]["problems"]
    if status in (2, 3):
        assert "hone: " in written.err


def test_all_problems_are_in_the_json_document(monkeypatch, capsys):
    monkeypatch.setattr(cli, "import_module", lambda name: Verb(InputError(["one", "two"])))
    main(["check", "--json"])
    assert json.loads(capsys.readouterr().out)["error"] == {"type": "InputError", "problems": ["one", "two"]}


def press_twice_inside():
    """Whether the first press only asked; the second must end the block."""
    asked = False
    try:
        with stoppable() as pressed:
            os.kill(os.getpid(), signal.SIGINT)
            asked = pressed.is_set()
            os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        return asked
    return False


def test_the_first_press_asks_and_the_second_insists(capsys):
    handler = signal.getsignal(signal.SIGINT)
    asked = press_twice_inside()
    assert asked
    assert "press again to stop at once" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_press_while_the_command_line_starts_is_clean(monkeypatch, capsys):
    def pressed(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "import_module", pressed)
    assert main(["check"]) == 130
    assert "stopped" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["train", "--steps"], ["solve", "--minutes", "soon"], ["chekc"], ["look", "--colour"]]
)
def test_a_usage_error_is_a_json_document_too(capsys, words):
    assert main([*words, "--json"]) == 2
    written = capsys.readouterr()
    (problem,) = json.loads(written.out)["error"]["problems"]
    assert problem in written.err
