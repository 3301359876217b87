"""From a survey to the report's document: the same builder for bare files and for a task."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hone.data.clusters import notes
from hone.data.looking.document import build
from hone.data.looking.figures import LookOptions
from hone.data.looking.sampling import order_by_hash
from hone.data.measure import OnProgress
from hone.data.parts import Of
from hone.data.signals.contamination import Contamination
from hone.data.survey import Survey
from hone.task.templates import columns as template_columns

MOST_SHARING = 20_000
"""Rows that share text with a test, of which the shared runs are looked up again."""
PROVED_ON = 32
"""Rows into copies of which passages are planted for the self-test of the search for test text."""


def document_of(survey: Survey, options: LookOptions, on_progress: OnProgress | None = None) -> dict[str, Any]:
    """The document of a survey (:func:`hone.data.looking.document.build`).

    What the survey knows (sample, bad rows, labels of the test) is filled into the options, and the search for test
    text has to find planted passages first.
    """
    known = replace(
        options,
        of=survey.num_rows if survey.sampled else None,
        changed=dict(survey.changed),
        notes=tuple(dict.fromkeys((*survey.plan.notes, *notes(survey.columns)))),
        bad=tuple((bad.id, bad.expected, bad.found) for bad in survey.bad),
        test_labels=survey.test_labels,
        canaries=_canaries(survey, options.seed),
        tests=_tests(survey),
        label_column=_label_column(survey) or options.label_column,
    )
    measured = replace(survey.measured, columns=survey.columns)
    return build(measured, survey.plan.rules, survey.decisions, known, on_progress)


def _label_column(survey: Survey) -> str:
    """The column of the label, where the label is one column as it stands."""
    if isinstance(survey.view.label, str):
        columns = template_columns(survey.view.label)
        return columns[0] if len(columns) == 1 else ""
    return survey.view.label.column if isinstance(survey.view.label, Of) else ""


def _contamination(survey: Survey) -> Contamination | None:
    return next((signal for signal in survey.plan.signals if isinstance(signal, Contamination)), None)


def _tests(survey: Survey) -> tuple[dict[str, Any], ...]:
    """How much of each test is in these rows; not where so many share text that all would be read again."""
    signal = _contamination(survey)
    if signal is None:
        return ()
    against = survey.columns.column("contamination.against")
    if len(against) - against.null_count > MOST_SHARING:
        return ()
    from hone.data.decontamination import overlaps

    found = overlaps(signal, survey.columns, survey.measured.store.take)
    return tuple(
        {
            "test": one.test,
            "rows": one.test_rows,
            "equal": one.test_rows_equal,
            "sharing": dict(one.test_rows_sharing),
            "causes": [{"row": row, "test_rows": count} for _, row, _, count in one.causes if count > 1],
        }
        for one in found
    )


def _canaries(survey: Survey, seed: int) -> tuple[dict[str, Any], ...]:
    signal = _contamination(survey)
    if signal is None or not survey.measured.store.num_rows:
        return ()
    from hone.data.decontamination import prove

    few = min(survey.measured.store.num_rows, 4 * PROVED_ON)
    positions = np.asarray(order_by_hash([str(at) for at in range(few)], seed)[:PROVED_ON], np.int64)
    texts = survey.measured.store.take(positions).column("text").to_pylist()
    return prove(signal, [text or "" for text in texts]).canaries()
