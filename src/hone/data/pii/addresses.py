"""Public addresses of the Internet Protocol."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from hone.data.pii.words import RIGHT, meaning

# Begins with what is rarest, so that the scan runs at memory speed; then the whole address around it.
_DOTS = re.compile(r"\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]")
V4 = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?!\.\d)" + RIGHT)
_PROTOCOLS = ipaddress.ip_network("192.0.0.0/24")  # RFC 6890; older Pythons call most of it global
_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
V6 = re.compile(r"[23][0-9A-Fa-f]{3}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{0,4}(?!:|\.\d)" + RIGHT)
_BEFORE_V4 = re.compile(r"(?:[0-9A-Za-z@#$&]|[^\W_][\-./_]|\.|[<>=~!^]= ?|[~^])$")
_BEFORE_V6 = re.compile(r"(?:[0-9A-Za-z:.]|[0-9A-Za-z]_)$")
_NETWORK = re.compile(r"/(?:[0-9]|[12][0-9]|3[01])(?![0-9./])")


def addresses(text: str) -> Iterator[tuple[str, int, int]]:
    """Globally routed IPv4 and IPv6 addresses.

    Private, loopback, link-local, documentation (RFC 5737, RFC 3849), multicast and reserved ranges are not public; a
    network (``8.8.8.0/24``) is no one's address. Four numbers after "version", "v", ``==`` or a name and a hyphen are a
    version; four numbers below 32 need a word that speaks of addresses, unless they repeat one number (``1.1.1.1``).
    """
    for dots in _DOTS.finditer(text):
        found = V4.search(text, max(0, dots.start() - 3), dots.end() + 3)
        if found is None:
            continue
        start, end = found.span()
        if _is_v4(found.group()) and not _BEFORE_V4.search(text, max(0, start - 4), start):
            named = meaning(text, start, end)
            parts = found.group().split(".")
            small = all(int(part) < 32 for part in parts) and len(set(parts)) > 1
            listed = text[end : end + 1] == "-" and text[end + 1 : end + 2].isalpha()
            if named != "version" and not (small and named != "ip") and not listed and not _NETWORK.match(text, end):
                yield "ip", start, end
    last = 0
    for colons in _COLONS.finditer(text):
        start = colons.start() - 4
        found = V6.match(text, start) if start >= last else None
        if found is None or _BEFORE_V6.search(text, max(0, start - 2), start):
            continue
        last = found.end()
        if _is_global(found.group()) and not _is_net6(text, last):
            yield "ip", start, last


def _is_v4(address: str) -> bool:
    return not re.search(r"(?:^|\.)0\d", address) and _is_global(address)


def _is_global(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved and parsed not in _PROTOCOLS


def _is_net6(text: str, end: int) -> bool:
    found = re.match(r"/(\d{1,3})", text[end : end + 4])
    return found is not None and int(found.group(1)) < 128
