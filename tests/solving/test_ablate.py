"""Ablation: arms that differ by the rule alone, the same dev rows, equal tokens, and a result that says what it saw."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hone.errors import InputError
from hone.solving import ablate as ablation
from hone.task.load import load_task

BANKING = Path(__file__).resolve().parent.parent / "data" / "banking"


def test_arms_differ_by_the_rows_that_the_rule_removes(tmp_path: Path) -> None:
    folder = shutil.copytree(BANKING, tmp_path / "banking")
    said: list[str] = []
    base, chance, duplicate = ablation._arms(load_task(folder), folder, ["chance-10", "duplicate"], said.append)
    assert base.name == ablation.BASE
    # Without any of the rules the one duplicate of the cut is there.
    assert duplicate.removed == 1
    assert 0.03 * len(base.data.train) < chance.removed < 0.2 * len(base.data.train)
    for arm in (chance, duplicate):
        assert {row.id for row in arm.data.train} < {row.id for row in base.data.train}
        assert arm.data.dev == base.data.dev
        assert arm.data.id != base.data.id
    assert said[0].startswith(f"chance-10: removes {chance.removed} of {len(base.data.train)} training rows")
    # Arms of longer rows take fewer steps for as many tokens.
    task = load_task(folder)
    chars = [ablation._mean_chars(task, arm.data) for arm in (base, chance)]
    assert ablation._equal_steps(task, base, chance, 1000) == round(1000 * chars[0] / chars[1])


def test_rules_that_are_unknown_or_remove_nothing_are_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(BANKING, tmp_path / "banking")
    with pytest.raises(InputError, match='no rule has this name; did you mean "duplicate"'):
        ablation.ablate(folder, ["duplicat"])
    with pytest.raises(InputError, match="empty removes 0 of 272 training rows: there is nothing to compare"):
        ablation.ablate(folder, ["empty"])
    with pytest.raises(InputError, match="needs at least 3"):
        ablation.ablate(folder, ["duplicate"], seeds=2)


@pytest.mark.slow
def test_a_rule_is_judged_by_models_trained_with_and_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablation, "LEAST_STEPS", 3)
    monkeypatch.setattr(ablation, "MOST_EPOCHS", 0.3)
    monkeypatch.setattr(ablation, "MOST_SEEDS", 3)
    monkeypatch.setattr(ablation, "CALIBRATE_S", 0.5)
    folder = shutil.copytree(BANKING, tmp_path / "banking")
    result = ablation.ablate(folder, ["chance-10"], minutes=10)
    (rule,) = result["rules"]
    assert rule["difference"]["seeds"] == 3
    assert rule["difference"]["low"] <= rule["difference"]["mean"] <= rule["difference"]["high"]
    assert rule["difference"]["mean"] == pytest.approx(rule["with"] - rule["without"], abs=1e-9)
    assert rule["difference"]["detectable"] > 0
    # Repeated, nothing is trained again.
    said: list[str] = []
    again = ablation.ablate(folder, ["chance-10"], minutes=10, say=said.append)
    assert again["rules"] == result["rules"]
    assert not any("seed" in line for line in said)
