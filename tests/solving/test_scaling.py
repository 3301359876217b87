"""The data-scaling curve against an exact power law, and its honesty with few points."""

from __future__ import annotations

import pytest

from hone.solving.scaling import Point, curve_line, fit_curve


def test_an_exact_power_law_is_recovered() -> None:
    # The error is twice the inverse square root of the rows.
    points = [Point(rows=rows, value=1 - 2 * rows**-0.5) for rows in (100, 400, 1600)]
    curve = fit_curve(points, higher_is_better=True)
    assert curve is not None
    assert curve.exponent == pytest.approx(0.5)
    assert curve.scale == pytest.approx(2.0)
    assert curve.residual == pytest.approx(0.0, abs=1e-9)
    # error 0.02 needs (2 / 0.02)^2 = 10,000 rows.
    assert curve.rows_for(0.02) == pytest.approx(10_000)
    assert "about 10,000 rows" in curve_line(curve, 3, 0.98, higher_is_better=True)


def test_two_points_are_too_few() -> None:
    points = [Point(rows=100, value=0.5), Point(rows=200, value=0.6), Point(rows=200, value=0.6)]
    assert fit_curve(points, higher_is_better=True) is None
    assert "too few points" in curve_line(None, 2, 0.8, higher_is_better=True)


def test_a_curve_that_does_not_fall_promises_nothing() -> None:
    flat = fit_curve([Point(rows=rows, value=0.5) for rows in (10, 100, 1000)], higher_is_better=True)
    assert flat is not None
    assert "will not reach" in curve_line(flat, 3, 0.8, higher_is_better=True)
