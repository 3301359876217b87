"""Files in stores that fsspec knows (``s3://``, ``https://``, ``gs://``, ``memory://`` and others)."""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hone.data.readers.addresses import needs, with_variables, without_secrets
from hone.errors import InputError

_AHEAD_BYTES = 4 << 20
_BUFFER_BYTES = 1 << 18
_PATIENCE_S = 60
_WEB = ("http://", "https://")
_PACKAGES = {"smbclient": "smbprotocol", "libarchive": "libarchive-c", "dask": "distributed"}
"""Packages with another name than the module that they bring."""


def _store(address: str) -> tuple[Any, str]:
    """The file system of an address and the path in it."""
    try:
        fsspec = importlib.import_module("fsspec")
    except ImportError:
        raise needs(f"{without_secrets(address)}: reading from a store", "fsspec", "stores") from None
    shown = without_secrets(address)
    protocol = address.partition("://")[0]
    try:
        store, path = fsspec.core.url_to_fs(with_variables(address), **_settings(address))
    except ImportError as error:
        # fsspec's own sentence says what to install in many ways; its cause names the module that is not there.
        module = (getattr(error.__cause__, "name", None) or "").partition(".")[0]
        if not module:
            raise InputError(f"{shown}: {protocol}:// needs a package that is not installed: {error}") from None
        package = _PACKAGES.get(module, module.replace("_", "-"))
        raise InputError(f"{shown}: {protocol}:// needs the package {package}: pip install {package}") from None
    except ValueError as error:
        raise InputError(f"{shown}: {protocol}:// is no protocol that fsspec knows ({error})") from None
    return store, path


def _settings(address: str) -> dict[str, Any]:
    """Web servers may take as long as they go on sending; aiohttp's own limit is five minutes for a whole file."""
    if not address.startswith(_WEB):
        return {}
    aiohttp = importlib.import_module("aiohttp")
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_PATIENCE_S, sock_read=_PATIENCE_S)
    return {"client_kwargs": {"timeout": timeout}}


@contextmanager
def _named(address: str) -> Iterator[None]:
    """Whatever a store raises, with its address; stores have no common base for their errors."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{without_secrets(address)}: there is no such file") from None
    except Exception as error:
        told = without_secrets(f"{type(error).__name__}: {error}")
        raise InputError(f"{without_secrets(address)}: the store could not be read: {told}") from None


def listed(address: str) -> list[tuple[str, str, int]]:
    """The files of an address (a file, a folder or a glob) as (name, address, size in bytes or 0).

    Raises:
        InputError: when nothing is there, the store refuses, or a package is missing.
    """
    store, path = _store(address)
    with _named(address):
        # A question mark starts the query of a web address and is no pattern there.
        if any(sign in path for sign in ("*[" if address.startswith(_WEB) else "*?[")):
            root = path[: min(path.find(sign) for sign in "*?[" if sign in path)].rpartition("/")[0]
            found = sorted(entry for entry in store.glob(path) if not entry.endswith("/"))
            return [_entry(store, entry, root) for entry in found]
        if address.endswith("/") or store.info(path).get("type") == "directory":
            return [_entry(store, entry, path) for entry in sorted(store.find(path))]
        return [_entry(store, path, path.rpartition("/")[0])]


def _entry(store: Any, path: str, root: str) -> tuple[str, str, int]:
    name = path.removeprefix(root).lstrip("/").partition("?")[0]
    return name, store.unstrip_protocol(path), int(store.info(path).get("size") or 0)


def open_in_store(address: str) -> io.BufferedReader:
    """Open a file of a store for reading once from its beginning; a few megabytes of it are held.

    Raises:
        InputError: as :func:`listed`; on reading, whatever the store raises.
    """
    store, path = _store(address)
    # A web server need not answer for parts of a file: it is read as one answer, in blocks of size 0 to fsspec.
    how = {"block_size": 0} if address.startswith(_WEB) else {"block_size": _AHEAD_BYTES, "cache_type": "readahead"}
    with _named(address):
        return io.BufferedReader(_Stored(store.open(path, "rb", **how), address), _BUFFER_BYTES)


class _Stored(io.RawIOBase):
    """A handle of fsspec that says what went wrong with its address; ``tell`` counts what was read."""

    def __init__(self, handle: Any, address: str) -> None:
        self._handle, self._address, self._position = handle, address, 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        with _named(self._address):
            data = self._handle.read(len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._handle.close()
        super().close()
