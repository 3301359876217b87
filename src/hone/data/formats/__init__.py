"""The schemas of the field: alpaca, ShareGPT, OpenAI messages, preference pairs, verdicts, SQuAD, token tags, pieces.

:func:`recognise` says which one a sample of rows has; :func:`converted` adds the canonical columns to a stream.
"""

from __future__ import annotations

from hone.data.formats.base import Format
from hone.data.formats.recognition import converted, recognise

__all__ = ["Format", "converted", "recognise"]
