"""What happened in a run: its files read, its curves judged, a document and a page of it.

``reading`` (the run's files as curves), ``document`` (everything that is said, as plain values), ``charts`` and
``page`` (one HTML file that needs no network and no script). ``rates``: the page of a test of learning rates, likewise.
"""

from __future__ import annotations

from hone.attempts.diagnosing.document import diagnose_run
from hone.attempts.diagnosing.page import page_of
from hone.attempts.diagnosing.rates import rates_page

__all__ = ["diagnose_run", "page_of", "rates_page"]
