"""Sentences that look as if they held personal data and hold none; see ``pii_cases.py``."""

from __future__ import annotations

import base64
import random
import uuid
from collections.abc import Callable
from datetime import date, timedelta

from pii_cases import ALNUM, DIGITS, LOWER, UPPER, grouped, luhn_digit, some

Rng = random.Random


def version(rng: Rng) -> str:
    """Software versions of four numbers."""
    number = ".".join(str(rng.randrange(top)) for top in (40, 60, 90, 255))
    return rng.choice(
        [
            "version {v}",
            "v{v}",
            "Upgrade to {v} before Friday.",
            "requires libfoo>={v}",
            "foo-{v}.tar.gz",
            "release {v} is out",
            "pip install tool=={v}",
            "build {v} (stable)",
            "In Section {v} we show",
            "changed in version {v}:",
            "Chrome/{v}",
        ]
    ).replace("{v}", number)


def order_number(rng: Rng) -> str:
    """What shops and offices number things with."""
    number = some(rng, DIGITS, rng.choice([8, 9, 9, 10, 11, 11, 12, 13, 16]))
    if rng.random() < 0.3:
        number = grouped(number, 3, 3, len(number) - 6, by="-")
    return rng.choice(
        [
            "Order {v} has shipped.",
            "order number {v}",
            "Invoice no. {v}",
            "ticket #{v}",
            "tracking number {v}",
            "Case {v} is closed.",
            "ref: {v}",
            "customer reference {v}",
            "SKU {v}",
            "Your request ID is {v}.",
            "serial number: {v}",
            "Rechnung {v}",
            "Bestellnummer {v}",
            "transaction {v} went through",
        ]
    ).replace("{v}", number)


def isbn(rng: Rng) -> str:
    """ISBN-10 and ISBN-13 with hyphens, spaces or nothing."""
    body = "978" + rng.choice(["0", "1", "3"]) + some(rng, DIGITS, 8)
    check = -sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(body)) % 10
    thirteen = body + str(check)
    ten = body[3:] + rng.choice(DIGITS + "X")
    form = rng.choice(
        [
            thirteen,
            grouped(thirteen, 3, 1, 4, 4, 1, by="-"),
            grouped(thirteen, 3, 1, 2, 6, 1, by="-"),
            grouped(ten, 1, 4, 4, 1, by="-"),
            grouped(ten, 1, 3, 5, 1, by="-"),
            ten,
        ]
    )
    return rng.choice(["ISBN {v}", "ISBN: {v}", "(ISBN {v})", "Springer 2004, ISBN-13 {v}", "isbn = {{{v}}}"]).replace(
        "{v}", form
    )


def dates(rng: Rng) -> str:
    """Days, times, spans of years."""
    a = date(1950, 1, 1) + timedelta(days=rng.randrange(27000))
    b = a + timedelta(days=rng.randrange(1000))
    return rng.choice(
        [
            f"from {a:%Y-%m-%d} to {b:%Y-%m-%d}",
            f"{a:%d.%m.%Y}",
            f"{a:%d/%m/%Y} {b:%d/%m/%Y}",
            f"{a:%Y%m%d}",
            f"{a:%Y-%m-%dT10:20:30.123Z}",
            f"{a:%Y-%m-%d} 08:15:00",
            f"{a.year}-{b.year}",
            f"log_{a:%Y%m%d}_{b:%H%M%S}.txt",
            f"{a:%d %m %Y}",
            f"({a.year}, {b.year})",
            f"on {a:%m/%d/%Y} at 10:15",
            f"{a:%Y.%m.%d}-{b:%Y.%m.%d}",
            f"{a:%d-%m-%Y}",
        ]
    )


def coordinates(rng: Rng) -> str:
    """Places on the globe."""
    lat, lon = rng.uniform(-90, 90), rng.uniform(-180, 180)
    return rng.choice(
        [
            f"{lat:.6f}, {lon:.6f}",
            f"({lat:.4f},{lon:.4f})",
            f"lat={lat:.7f} lon={lon:.7f}",
            f"geo:{lat:.5f},{lon:.5f}",
            f"{abs(lat):.5f}° N {abs(lon):.5f}° E",
            f"[{lon:.8f}, {lat:.8f}]",
        ]
    )


def hashes(rng: Rng) -> str:
    """Digests and commits, with and without a word."""
    digest = rng.randbytes(rng.choice([4, 16, 20, 32])).hex()
    return rng.choice(
        ["{v}", "sha256:{v}", "commit {v}", "md5 = {v}", 'etag: "{v}"', "{v}  file.bin", "image@sha256:{v}"]
    ).replace("{v}", digest)


def uuids(rng: Rng) -> str:
    """Identifiers of 128 bits."""
    value = str(uuid.UUID(int=rng.getrandbits(128), version=4))
    return rng.choice(["{v}", "id: {v}", "job {v} done", "urn:uuid:{v}", "/api/v1/items/{v}"]).replace("{v}", value)


def prices(rng: Rng) -> str:
    """Amounts as they are written here and there."""
    n = rng.randrange(1000, 999_999_999)
    return rng.choice(
        [
            f"${n:,}.{rng.randrange(100):02d}",
            f"{n:,}".replace(",", ".") + ",00 €",
            f"EUR {n}",
            f"{n:,}".replace(",", " ") + " people",
            f"{n / 100:.2f} USD",
            f"{n} bytes",
            f"a budget of {n:,}".replace(",", "'"),
        ]
    )


def part_number(rng: Rng) -> str:
    """Parts with hyphens, like phone numbers."""
    d = lambda n: some(rng, DIGITS, n)  # noqa: E731
    number = rng.choice(
        [
            f"{d(3)}-{d(3)}-{d(4)}",
            f"{d(3)}-{d(4)}",
            f"{d(4)}-{d(3)}-{d(3)}",
            f"{d(2)}-{d(6)}-{d(2)}",
            f"{d(3)}-{d(2)}-{d(4)}",
            f"0{d(3)}-{d(6)}",
            f"{rng.choice(UPPER)}{d(3)}-{d(3)}-{d(4)}",
            f"{d(5)}-{d(5)}",
        ]
    )
    return rng.choice(
        [
            "part number {v}",
            "Part no. {v}",
            "P/N {v}",
            "model {v}",
            "catalog {v}",
            "item {v} is out of stock",
            "S/N: {v}",
        ]
    ).replace("{v}", number)


def wrong_card(rng: Rng) -> str:
    """A card number with a wrong last digit, or a right one that no issuer begins so."""
    if rng.random() < 0.6:
        body = rng.choice(["4", "51", "37", "6011"]) + some(rng, DIGITS, 14)
        body = body[:15]
        number = body + str((int(luhn_digit(body)) + rng.randrange(1, 10)) % 10)
    else:
        body = rng.choice("0189") + some(rng, DIGITS, 14)
        number = body + luhn_digit(body)
    return rng.choice(["{v}", "Use {v} for nothing.", "number {v}", "[{v}]"]).replace(
        "{v}", grouped(number, 4, 4, 4, 4, by=rng.choice([" ", "-", ""]))
    )


def decimals(rng: Rng) -> str:
    """Columns of numbers."""
    values = [rng.uniform(0, 100) for _ in range(rng.randrange(3, 9))]
    form = rng.choice([".2f", ".4f", ".6f", ".0f", ".1f"])
    return rng.choice([" ", ", ", "\t", "  ", " | ", ","]).join(format(value, form) for value in values)


def integers(rng: Rng) -> str:
    """Lists and grids of whole numbers."""
    values = [rng.randrange(10 ** rng.randrange(1, 5)) for _ in range(rng.randrange(4, 12))]
    return rng.choice(["[{v}]", "{v}", "shape = ({v})", 'viewBox="{v}"', "ids: {v}"]).replace(
        "{v}", rng.choice([" ", ", ", ","]).join(map(str, values))
    )


def long_number(rng: Rng) -> str:
    """Long numbers of machines."""
    n = rng.choice([10, 13, 17, 18, 20, 22, 24])
    return rng.choice(
        [
            f"timestamp {some(rng, '1', 1)}{some(rng, DIGITS, n)}",
            f"0.{some(rng, DIGITS, n)}",
            f"seed={some(rng, DIGITS, n)}",
            f"pi is 3.{some(rng, DIGITS, 16)}",
            f"{some(rng, DIGITS, 30)}",
            f"/status/{rng.choice('89')}{some(rng, DIGITS, 17)}",
            f"loss={rng.uniform(0, 1):.16f}",
            f"1e-{some(rng, DIGITS, 2)} and 2.{some(rng, DIGITS, 12)}e+03",
        ]
    )


def private_address(rng: Rng) -> str:
    """Addresses that are no one's in public, and what looks like one."""
    o = lambda: rng.randrange(1, 255)  # noqa: E731
    return rng.choice(
        [
            f"ping 10.{o()}.{o()}.{o()}",
            f"192.168.{o()}.{o()}",
            f"server at 172.{rng.randrange(16, 32)}.{o()}.{o()}",
            f"127.0.0.{o()}",
            f"host 192.0.2.{o()}",
            f"198.51.100.{o()} is an example",
            f"203.0.113.{o()}",
            f"169.254.{o()}.{o()}",
            "255.255.255.0",
            f"224.0.0.{o()}",
            f"fe80::{o():x}:{o():x}",
            f"2001:db8::{o():x}",
            f"fd12:3456::{o():x}",
            f"300.{o()}.{o()}.{o()}",
            f"{o()}.{o()}.{o()}.999",
            f"1.3.6.1.4.1.{o()}.{o()}",
            f"{o():02x}:{o():02x}:{o():02x}:{o():02x}:{o():02x}:{o():02x}",
            f"10:{rng.randrange(10, 60)}:{rng.randrange(10, 60)}:{rng.randrange(100, 999)}",
        ]
    )


def no_email(rng: Rng) -> str:
    """At signs that are no addresses."""
    word = some(rng, LOWER, 6)
    return rng.choice(
        [
            f"git clone git@github.com:{word}/{word}.git",
            f"@app.route('/{word}')",
            f"ask @{word} on the forum",
            f"{word}@2x.png",
            f"{word}@localhost",
            f"npm i @{word}/core@1.2.3",
            f"{word} @ {word}.com",
            f"image@sha256:{some(rng, '0123456789abcdef', 64)}",
            "x = y @ z.T",
            f"@media.screen and {word}",
            f"ssh root@{word}",
            f"https://medium.com/@{word}/post",
            f"actions/checkout@v4.{rng.randrange(9)}",
            f"{word}@{word}.service",
            f"@pytest.mark.{word}",
        ]
    )


def no_key(rng: Rng) -> str:
    """Placeholders, names and values that are no secrets."""
    word = some(rng, LOWER, 7)
    return rng.choice(
        [
            'api_key = "YOUR_API_KEY_HERE"',
            "token: ${{ secrets.GITHUB_TOKEN }}",
            "password: changeme",
            "API_KEY=<your-api-key>",
            'class="sk-fading-circle sk-circle-container-wrapper"',
            f"task-{word}-manager-integration-service",
            f"AKIA{some(rng, UPPER, 5)}",
            "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkq\n-----END PUBLIC KEY-----",
            "primary_key = customer_address_identifier",
            "tokenizer = AutoTokenizer.from_pretrained('bert-base-uncased')",
            f"commit = {rng.randbytes(20).hex()}",
            f"max_tokens: {some(rng, '123456789', 5)}",
            "access_token = get_access_token_from_environment()",
            "auth_token: xxxxxxxxxxxxxxxxxxxxxxxx",
            "key = 'content-security-policy-report-only'",
            f'integrity="sha384-{base64.b64encode(rng.randbytes(48)).decode()}"',
            "password_reset_token_expires_in_minutes = 15",
            f'src="data:image/png;base64,{base64.b64encode(rng.randbytes(60)).decode()}"',
            "-----BEGIN PRIVATE KEY-----",
            'secret = "/etc/ssl/private/server-2024-01.pem"',
            f"eyJ{some(rng, ALNUM, 6)}",
            "token_endpoint = 'https://login.example.com/oauth2/v2.0/token'",
            "sk-learn-compatible-estimators-and-pipelines",
        ]
    )


def wrong_id(rng: Rng) -> str:
    """National numbers and accounts that break their own rules."""
    d = lambda n: some(rng, DIGITS, n)  # noqa: E731
    eight = d(8)
    letters = "TRWAGMYFPDXBNJZSQVHLCKE"
    return rng.choice(
        [
            f"000-{d(2)}-{d(4)}",
            f"666-12-{d(4)}",
            f"9{d(2)}-45-{d(4)}",
            f"{rng.choice('1234')}{d(2)}-00-{d(4)}",
            f"BG{d(6)}A",
            f"QQ{d(6)}C",
            f"AB{d(6)}E",
            f"{eight}{letters[(int(eight) + rng.randrange(1, 23)) % 23]}",
            f"DE00{d(18)}",
            f"GB29 NWBK 6016 1331 9268 {rng.choice(['10', '29', '77'])}",
            f"529.982.247-{rng.choice(['24', '26', '00'])}",
            "RSSMRA85T10A562A",
            f"1 84 13 76 451 089 {d(2)}",
            "756.9217.0769.80",
            "11010119900230123X",
            f"We saw {d(9)} ants.",
            f"about {d(11)} of them",
            f"the value {d(9)}",
            f"2341 2341 234{rng.choice('0123457')}",
            f"FR76{d(10)}",
            f"XX{d(20)}",
            f"{d(2)}.{d(2)}.{d(2)}-{d(2)}",
        ]
    )


def identifiers(rng: Rng) -> str:
    """Papers, norms, faults, plates, roads."""
    d = lambda n: some(rng, DIGITS, n)  # noqa: E731
    return rng.choice(
        [
            f"arXiv:{rng.randrange(10, 26)}{rng.randrange(1, 13):02d}.{d(5)}",
            f"doi:10.{d(4)}/{d(6)}.{d(7)}",
            f"CVE-20{d(2)}-{d(5)}",
            f"PMID: {d(8)}",
            f"EAN 40{d(11)}",
            f"0x{some(rng, '0123456789abcdef', 12)}",
            f"({d(4)}) {d(2)}: {d(3)}-{d(3)}",
            f"DIN EN {d(5)}-{d(1)}-{d(1)}",
            f"+{d(5)} -{d(4)}",
            f"+{d(2)}%",
            f"@@ -{d(3)},{d(2)} +{d(3)},{d(2)} @@",
            f"{d(2)}:{d(2)}:{d(2)}.{d(6)}",
        ]
    )


def formulas(rng: Rng) -> str:
    """Numbers that are reckoned with, near the word phone."""
    a, b = rng.randrange(1000, 99999), rng.randrange(100, 9999)
    return rng.choice(
        [
            f"The phone can hold {a}-{b}=<<{a}-{b}={a - b}>>{a - b} pictures.",
            f"Each phone costs $<<{a}/{b}={a // b}>>{a // b}.",
            f"= {a}00000 + {b}64262 + {a}{b}",
            f"They sold {a} / {b} = {a // b} phones",
            f"a mobile with {a}{b} = {a}{b} pixels",
            f"{a}*{b}*{a} calls",
        ]
    )


TRAPS: dict[str, Callable[[Rng], str]] = {
    make.__name__: make
    for make in (
        version,
        order_number,
        isbn,
        dates,
        coordinates,
        hashes,
        uuids,
        prices,
        part_number,
        wrong_card,
        decimals,
        integers,
        long_number,
        private_address,
        no_email,
        no_key,
        wrong_id,
        identifiers,
        formulas,
    )
}
