"""Rows of a query against any database that SQLAlchemy speaks to, streamed from the server."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from hone.data.readers.addresses import Query, needs, with_variables, without_secrets
from hone.data.readers.plain_values import PlainValues
from hone.data.readers.progress import Progress
from hone.data.rows import Bad, Row
from hone.errors import InputError

_FETCHED_ROWS = 1000


def read_query(source: Query, progress: Progress) -> Iterator[Row | Bad]:
    """Rows of ``URL::SELECT ...``; ids are ``query:1`` and so on, in the order in which the database gives them.

    Their values are made plain and what was turned is noted, see :class:`~hone.data.readers.plain_values.PlainValues`.
    The connection is read-only in effect: nothing is committed. ``${NAME}`` in the URL comes from the environment.

    Raises:
        InputError: without SQLAlchemy or the database's driver (with the command that adds it), for whatever the
            database refuses, and for a query with two columns of one name. No message shows the password.
    """
    try:
        alchemy = importlib.import_module("sqlalchemy")
    except ImportError:
        raise needs(f"{without_secrets(source.url)}: reading a database", "sqlalchemy", "sql") from None
    try:
        engine = alchemy.create_engine(with_variables(source.url))
    except ModuleNotFoundError as error:
        raise InputError(
            f"{without_secrets(source.url)}: the driver {error.name} is not installed: pip install {error.name}"
        ) from None
    except alchemy.exc.SQLAlchemyError as error:
        raise InputError(f"{without_secrets(source.url)}: no database URL: {without_secrets(str(error))}") from None
    _check_is_there(source, engine)
    try:
        with engine.connect() as connection:
            streaming = connection.execution_options(stream_results=True, max_row_buffer=_FETCHED_ROWS)
            result = streaming.execute(alchemy.text(source.query.replace(":", "\\:")))
            names = list(result.keys())
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise InputError(f'{source}: the query gives the column "{twice[0]}" twice; name each with AS')
            number, plain = 0, PlainValues(progress)
            for part in result.yield_per(_FETCHED_ROWS).partitions():
                for values in part:
                    number += 1
                    yield plain.row(f"query:{number}", names, values)
    except alchemy.exc.SQLAlchemyError as error:
        told = without_secrets(str(getattr(error, "orig", None) or error)).splitlines()[0]
        raise InputError(f"{source}: the database refuses: {told}") from None
    finally:
        engine.dispose()


def _check_is_there(source: Query, engine: Any) -> None:
    """SQLite makes an empty file of a name that is not there; nothing may be made by reading."""
    if engine.url.get_backend_name() != "sqlite":
        return
    # What the driver will be asked to open, which is not what the address says where that is a URI itself.
    (name, *_), options = engine.dialect.create_connect_args(engine.url)
    file = _file_of_uri(name) if options.get("uri") and name.startswith("file:") else name
    if file and file != ":memory:" and not Path(file).is_file():
        raise InputError(f"{source}: there is no file {Path(file).absolute()}")


def _file_of_uri(uri: str) -> str:
    """The path of an SQLite URI (sqlite.org/uri.html); nothing for a database in memory."""
    parts = urlsplit(uri)
    in_memory = {"mode": ["memory"]}.items() <= parse_qs(parts.query).items()
    return "" if in_memory else unquote(parts.path)
