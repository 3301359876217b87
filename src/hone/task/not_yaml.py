"""Why a text is no YAML, and where: an open quote is named where it opens, not where the parser gives up."""

from __future__ import annotations

from typing import NamedTuple

import yaml

_AFTER_A_QUOTE = frozenset("\n\r \t,:]}")
"""What may stand behind a quote that closes."""


class _Quote(NamedTuple):
    """A quote that opens in one line and does not close there; lines and columns from 1."""

    line: int
    column: int
    closed_in: int | None


def why_not_yaml(error: yaml.YAMLError, text: str, name: str) -> str:
    """A sentence with file, line and column.

    Args:
        error: of PyYAML.
        text: that was read.
        name: stands before the line.
    """
    if (quote := _open_quote(text)) is not None:
        closed = "never closed" if quote.closed_in is None else f"closed in line {quote.closed_in} only"
        return f"{name}:{quote.line}:{quote.column}: not valid YAML: the quote that opens here is {closed}"
    mark, context = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
    why = f"{where}: not valid YAML: {getattr(error, 'problem', None) or error}"
    if context is not None and "flow" in (getattr(error, "context", None) or ""):
        why += f"; the bracket opens at {context.line + 1}:{context.column + 1}"
    return why


def _open_quote(text: str) -> _Quote | None:
    """The first quote that is closed by what was to open another one, or by nothing."""
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if not isinstance(token, yaml.ScalarToken) or token.style not in ("'", '"'):
                continue
            begin, end = token.start_mark, token.end_mark
            if end.line > begin.line and text[end.index : end.index + 1] not in {"", *_AFTER_A_QUOTE}:
                return _Quote(begin.line + 1, begin.column + 1, end.line + 1)
    except yaml.scanner.ScannerError as error:
        if error.context_mark is not None and "quoted scalar" in (error.context or ""):
            return _Quote(error.context_mark.line + 1, error.context_mark.column + 1, None)
    except yaml.YAMLError:
        pass
    return None
