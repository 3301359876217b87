"""Addresses of stores and databases, and how they are shown: a secret in one is never printed or kept in an error."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from hone.errors import InputError

_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@/\s]*@")
_SECRET = re.compile(
    r"([?&;][^=&;\s]*(?:password|passwd|pwd|token|secret|signature|credential|key|sig)[^=&;\s]*=)[^&;\s]+",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_QUERY = re.compile(
    r"(?P<url>[A-Za-z][A-Za-z0-9+._-]*://.*?)::\s*(?P<query>(?:select|with)\b.*)", re.IGNORECASE | re.DOTALL
)
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_DATABASES = frozenset({"sqlite", "postgresql", "postgres", "mysql", "mariadb", "oracle", "mssql", "duckdb"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A database by its SQLAlchemy URL and the query whose rows are read. ``str()`` hides the password."""

    url: str
    query: str

    def __repr__(self) -> str:
        return f"{without_secrets(self.url)}::{self.query}"

    __str__ = __repr__


def without_secrets(text: str) -> str:
    """The text with passwords of addresses, and parameters that name a secret, shown as ``***``."""
    return _SECRET.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))


def is_address(text: str) -> bool:
    """Whether a source begins with a scheme such as ``s3://``."""
    return _SCHEME.match(text) is not None


def as_query(text: str) -> Query | None:
    """``URL::SELECT ...`` taken apart; None for any other source.

    Raises:
        InputError: for the URL of a database without a query.
    """
    if match := _QUERY.fullmatch(text.strip()):
        return Query(url=match["url"], query=match["query"])
    scheme = text.partition("://")[0].partition("+")[0].lower()
    if is_address(text) and scheme in _DATABASES:
        example = f'"{scheme}://host/db::SELECT text, label FROM rows"'  # noqa: S608 - shown, never run
        raise InputError(f"{without_secrets(text)}: a database needs a query; write URL::SELECT ..., such as {example}")
    return None


def with_variables(text: str) -> str:
    """``${NAME}`` taken from the environment, so that no secret stands in ``hone.yaml``.

    Raises:
        InputError: naming each variable that is not set.
    """
    missing = sorted({name for name in _VARIABLE.findall(text) if name not in os.environ})
    if missing:
        raise InputError([f"{without_secrets(text)}: the environment has no variable {name}" for name in missing])
    return _VARIABLE.sub(lambda match: os.environ[match[1]], text)


def needs(what: str, package: str, extra: str) -> InputError:
    """The error for a package that is not installed, with the command that adds it."""
    return InputError(f'{what} needs the package {package}: pip install "hone-lm[{extra}]"')
