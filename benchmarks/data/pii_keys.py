"""Keys and tokens as their providers document them; see ``pii_cases.py``."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable

from pii_cases import ALNUM, DIGITS, UPPER, some

Rng = random.Random


def key_block(rng: Rng) -> str:
    """A PEM block of random bytes."""
    name = rng.choice(
        ["RSA PRIVATE KEY", "PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY", "ENCRYPTED PRIVATE KEY"]
    )
    body = base64.encodebytes(rng.randbytes(rng.randrange(200, 900))).decode().strip()
    return f"-----BEGIN {name}-----\n{body}\n-----END {name}-----"


def jwt(rng: Rng) -> str:
    """Header, claims and signature (RFC 7519)."""

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).decode().rstrip("=")

    claims = {"sub": some(rng, DIGITS, 10), "iat": rng.randrange(1_500_000_000, 1_900_000_000)}
    return ".".join(
        [
            part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()),
            part(json.dumps(claims).encode()),
            part(rng.randbytes(32)),
        ]
    )


def slack(rng: Rng) -> str:
    """A bot or user token."""
    return f"xox{rng.choice('bp')}-{some(rng, DIGITS, 12)}-{some(rng, DIGITS, 12)}-{some(rng, ALNUM, 24)}"


def random_value(rng: Rng) -> str:
    """What a generator of secrets gives: hexadecimal, base 64, or letters and digits."""
    return rng.choice(
        [
            rng.randbytes(16).hex(),
            rng.randbytes(20).hex(),
            base64.b64encode(rng.randbytes(30)).decode(),
            some(rng, ALNUM, 24),
            some(rng, ALNUM, 32),
            base64.urlsafe_b64encode(rng.randbytes(24)).decode().rstrip("="),
        ]
    )


KEYS: dict[str, Callable[[Rng], str]] = {
    "key.aws": lambda rng: rng.choice(["AKIA", "ASIA"]) + some(rng, UPPER + "234567", 16),
    "key.github": lambda rng: rng.choice(
        [
            f"gh{rng.choice('pousr')}_{some(rng, ALNUM, 36)}",
            f"github_pat_{some(rng, ALNUM, 22)}_{some(rng, ALNUM, 59)}",
        ]
    ),
    "key.slack": slack,
    "key.stripe": lambda rng: (
        f"{rng.choice('sr')}k_{rng.choice(['live', 'test'])}_{some(rng, ALNUM, rng.choice([24, 99]))}"
    ),
    "key.google": lambda rng: "AIza" + some(rng, ALNUM + "_-", 34) + rng.choice(ALNUM),
    "key.openai": lambda rng: rng.choice(["sk-", "sk-proj-", "sk-ant-api03-"]) + some(rng, ALNUM, 48),
    "key.jwt": jwt,
    "key.private_key": key_block,
}
