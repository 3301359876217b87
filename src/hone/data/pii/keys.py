"""Keys, tokens and passwords of machines."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from hone.data.pii.words import RIGHT

_W = r"[A-Za-z0-9_\-]"
_INSIDE = re.compile(r"(?:[0-9A-Za-z]|[0-9A-Za-z]_)$")

# Name, what a text must hold at all, the form (as each provider documents it), and whether it must look random.
_FORMS = tuple(
    (name, markers, re.compile(form + RIGHT), random)
    for name, markers, form, random in (
        ("aws", ("IA",), r"A[KS]IA[A-Z0-9]{16}", False),
        ("github", ("gh",), r"gh[pousr]_[A-Za-z0-9]{36,251}", False),
        ("github", ("github_pat_",), r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}", False),
        ("gitlab", ("glpat-",), rf"glpat-{_W}{{20,}}", False),
        ("slack", ("xox",), r"xox[abeoprs]-(?:[A-Za-z0-9]+-)*[A-Za-z0-9]{10,}", False),
        ("stripe", ("k_live_", "k_test_"), r"[srp]k_(?:live|test)_[A-Za-z0-9]{16,247}", False),
        ("google", ("AIza",), rf"AIza{_W}{{35}}", False),
        ("openai", ("sk-",), rf"sk-(?:proj-|svcacct-|admin-|ant-[a-z0-9]+-)?{_W}{{19,}}[A-Za-z0-9]", True),
        ("huggingface", ("hf_",), r"hf_[A-Za-z]{34}", False),
        ("npm", ("npm_",), r"npm_[A-Za-z0-9]{36}", False),
        ("sendgrid", ("SG.",), rf"SG\.{_W}{{22}}\.{_W}{{43}}", False),
        ("jwt", ("eyJ",), rf"eyJ{_W}{{8,}}\.eyJ{_W}{{8,}}\.{_W}*", False),
    )
)
_BLOCK = re.compile(
    r"-----BEGIN ((?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?)-----"
    r"[\s\S]{0,16000}?(?:-----END \1-----|\Z|(?=\n[ \t]*\n\S))"
)
_ASSIGNED = re.compile(
    r"[:=]>?(?:[ \t]{0,3}(?:Bearer |Basic |token )?[\"'`]?)"
    r"(?=[A-Za-z+/_\-.~]*[0-9])([A-Za-z0-9+/_\-.~]{16,512}={0,2})(?![A-Za-z0-9])"
)
_NAMED = re.compile(
    r"(?:api|secret|access|auth|private|client|signing|encryption|account|storage|service|bearer|session|refresh|app|master)"
    r"[_\- ]?(?:key|token|secret)[\w\"'\]]{0,4} ?$"
    r"|(?:authorization|passw(?:or)?d|passphrase|pwd|token|secret|credentials?)[\w\"'\]]{0,4} ?$",
    re.IGNORECASE,
)
_IN_URL = re.compile(r"://[^\s/:@\"'<>{}]{1,64}:([^\s/@\"'<>{}$]{3,128})@[\w\-]+")
_CHANGE = re.compile(r"(?<=[0-9])[A-Za-z]|(?<=[A-Za-z])[0-9]|(?<=[a-z])[A-Z]")
_MIN_CHANGES = 0.22
_MIN_BITS = 3.3
"""Shannon entropy per character; 32 random hexadecimal digits have about 3.6 bits, an English word about 3."""


def keys(text: str) -> Iterator[tuple[str, int, int]]:
    """Tokens by their providers' prefixes, private keys, passwords in URLs, and random values that are called keys."""
    for name, markers, form, random in _FORMS:
        if any(marker in text for marker in markers):
            for found in form.finditer(text):
                # A look-behind in the form would take the scan its speed.
                if not _INSIDE.search(text, max(0, found.start() - 2), found.start()) and (
                    not random or _looks_random(found.group())
                ):
                    yield f"key.{name}", *found.span()
    if "PRIVATE KEY" in text:
        for found in _BLOCK.finditer(text):
            if len(found.group()) > 100:  # the words alone, as documentation has them, are no key
                yield "key.private_key", *found.span()
    if "://" in text:
        for found in _IN_URL.finditer(text):
            if _looks_secret(found.group(1)):
                yield "key.password", *found.span(1)
    yield from _assigned(text)


def _assigned(text: str) -> Iterator[tuple[str, int, int]]:
    for found in _ASSIGNED.finditer(text):
        value = found.group(1)
        if _NAMED.search(text, max(0, found.start() - 24), found.start()) and _looks_random(value):
            yield "key.secret", *found.span(1)


def _looks_random(value: str) -> bool:
    """High entropy and classes of characters that change often: not a path, a dotted name or an identifier of words.

    A change is a step between a digit and a letter, or from a small letter to a capital; words in camel case make one
    in five characters, random letters and digits nearly one in two.
    """
    if value.isdigit() or not any(char.isdigit() for char in value) or value.count("/") > 3 or value.count(".") > 2:
        return False
    counts = Counter(value)
    bits = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    return bits >= _MIN_BITS and len(_CHANGE.findall(value)) >= _MIN_CHANGES * len(value)


def _looks_secret(value: str) -> bool:
    placeholder = value.lower().strip("*x.") in {"", "pass", "password", "pwd", "secret", "token", "pw", "user"}
    return not placeholder and not value.isdigit()
