"""Precision and recall of the personal data signal, per kind, on sentences made here; and its speed on documentation.

A find counts when kind and both ends are right. Whatever else is found anywhere, in the sentences of other kinds or in
those that only look like personal data, counts against the precision of its kind. ``--data FOLDER`` adds real text:
speed on ``techdocs/``, and how many pages of ``cc_web_raw/`` hold what.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pii_cases as made
from pii_cases import Case
from pii_keys import KEYS, random_value
from pii_national import NATIONAL, SPOKEN
from pii_traps import TRAPS

OPEN = [
    "{v}",
    "Hi team, {v} is what she gave me yesterday.",
    "Please use {v} from now on.",
    "- {v}",
    "({v})",
    "Contact details: {v}.",
    "Sent from {v}, I think, but ask Maria to be sure.",
    "name,age,contact\nLiu,41,{v}\n",
    'He wrote "{v}" on the form.',
    "Reach out to {v} or come by the office; we close at 18:00.",
    "<td>{v}</td>",
    "In 2019 we wrote down {v} and forgot it.",
    "{v}\nKind regards,\nOskar",
    "Her old one was wrong: {v} is right!",
    "see {v}, please",
    "* customer: {v}",
    "user={v}",
    "Dear Sir or Madam,\nI moved house; kindly update your records to {v} before 1 March.",
    "| Ana | {v} | Lisbon |\n",
    "To: {v}\nSubject: hi",
    "{v} / second line",
    "id,value\n1,{v}\n2,none",
    "contact={v}&lang=en",
    "**{v}**",
    '"{v}","x"',
    "It was {v}, wasn't it? 100% sure.",
    "In room 12, {v} was found on 3 pages",
    "Name: Bo\nValue: {v}",
    "{v}...",
    "`{v}`",
    "\u8054\u7cfb\u6211{v}\u8c22\u8c22",  # a script without spaces
    "\u041f\u0438\u0448\u0438\u0442\u0435: {v}.",
]
CALL = [
    "Tel. {v}",
    "Phone: {v}",
    "my mobile is {v}",
    "call me at {v} after six",
    "Telefon {v}",
    "fax {v}",
    "WhatsApp {v}, any time",
    "phone_number: {v}",
    "Tél : {v}",
    "móvil {v}",
    "cell {v}",
    "Handy: {v}",
    "You can phone us on {v}.",
    "tel:{v}",
    '"phone": "{v}"',
    "contactNumber: {v}",
    "\u7535\u8bdd\uff1a{v}",
    "\u043c\u043e\u0431\u0438\u043b\u044c\u043d\u044b\u0439 {v}",
    "Handynummer {v}",
    "call {v}",
    "my number is {v}",
    "Phone (home): {v}",
    "Numéro de téléphone : {v}",
    "Give me a call on {v}.",
]
NAMED = [
    "{n}: {v}",
    "{n} {v}",
    "My {n} is {v}.",
    "the {n} of the applicant, {v}, was wrong",
    "Please enter your {n} ({v}).",
    "{n} = {v}",
]
ASSIGNED = [
    'api_key = "{v}"',
    "API_KEY={v}",
    "secret: {v}",
    '"access_token": "{v}"',
    "Authorization: Bearer {v}",
    "client_secret='{v}'",
    "export AUTH_TOKEN={v}",
    'password = "{v}"',
    "auth-key: {v}",
    "x-api-key: {v}",
]

Make = Callable[[random.Random], str]
ROWS: list[tuple[str, str, Make, list[str]]] = [
    ("email", "email", made.email, OPEN),
    ("phone", "phone, international", made.phone_international, OPEN),
    ("phone", "phone, national form", made.phone_national, OPEN),
    ("phone", "phone, bare and named", made.phone_bare, CALL),
    (
        "ip",
        "ip, version 4",
        made.ipv4,
        [*OPEN, "ping {v}", "from {v} port 22", "http://{v}/index.html", "{v}:8080 is up"],
    ),
    ("ip", "ip, version 6", made.ipv6, [*OPEN, "ping6 {v}", "http://[{v}]:80/"]),
    ("card", "card", made.card, OPEN),
    ("iban", "iban", made.iban, OPEN),
    ("iban", "iban, small letters", made.iban_small, OPEN),
    ("phone", "phone, full-width", made.phone_wide, OPEN),
    *((kind, kind, make, OPEN) for kind, make in NATIONAL.items() if kind not in SPOKEN),
    *(
        (kind, kind, NATIONAL[kind], [t.replace("{n}", n) for t in NAMED for n in names])
        for kind, names in SPOKEN.items()
    ),
    *((kind, kind, make, OPEN) for kind, make in KEYS.items()),
    ("key.secret", "key.secret", random_value, ASSIGNED),
]


def cases(per_row: int, seed: int = 7) -> Iterator[Case]:
    """``per_row`` sentences for each row of the table, and as many again that hold no personal data."""
    for kind, what, make, templates in ROWS:
        rng = random.Random(f"{seed} {what}")
        for _ in range(per_row):
            value = make(rng)
            yield Case(text=rng.choice(templates).replace("{v}", value), kind=kind, value=value, what=what)
    rng = random.Random(f"{seed} traps")
    traps = {**TRAPS, "small_codes": made.small_codes}
    names = list(traps)
    for index in range(per_row * len(ROWS)):
        what = names[index % len(names)]
        yield Case(text=traps[what](rng), kind=None, value=None, what=what)


def measured(held: list[Case]) -> tuple[dict[str, dict[str, float]], Counter[str], list[str]]:
    """Recall per row, precision per kind; how often each trap was fallen into; and examples of what went wrong."""
    from hone.data.pii.find import find

    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    recalled: Counter[str] = Counter()
    total: Counter[str] = Counter()
    fallen: Counter[str] = Counter()
    examples = []
    for case in held:
        total[case.what] += 1
        hit = False
        for found in find(case.text):
            if (found.kind, case.text[found.start : found.end]) == (case.kind, case.value) and not hit:
                hit = True
                right[found.kind] += 1
            else:
                wrong[found.kind] += 1
                fallen[case.what] += case.kind is None
                examples.append(
                    f"+ {found.kind} {case.text[found.start : found.end]!r} in {case.what}: {case.text[:150]!r}"
                )
        recalled[case.what] += hit
        if case.kind is not None and not hit:
            examples.append(f"- {case.what} {case.value!r} in {case.text[:150]!r}")
    rows = {
        what: {
            "n": total[what],
            "recall": recalled[what] / total[what],
            "precision": right[kind] / max(1, right[kind] + wrong[kind]),
        }
        for kind, what, _, _ in ROWS
    }
    return rows, fallen, examples


def real_text(data: Path) -> dict[str, float]:
    """Speed on documentation, and counts on web pages, in documents."""
    from hone.data.pii.find import KINDS, find, group

    with gzip.open(data / "techdocs" / "techdocs.jsonl.gz", "rt", encoding="utf-8") as lines:
        docs = [json.loads(line)["text"] for line in lines]
    size = sum(len(text.encode()) for text in docs) / 1e6
    spent = []
    for _ in range(3):
        began = time.process_time()
        for text in docs:
            find(text)
        spent.append(time.process_time() - began)
    short = [text[:200] for text in docs[:1000]]
    began = time.process_time()
    for text in short:
        find(text)
    figures = {
        "techdocs_mb_per_cpu_second": size / min(spent),
        "short_rows_1000_cpu_seconds": time.process_time() - began,
    }
    with (data / "cc_web_raw" / "CC-MAIN-20190717-00140.jsonl").open(encoding="utf-8") as lines:
        found = [{group(span.kind) for span in find(json.loads(line)["text"])} for line in lines]
    figures |= {f"web_pages_with_{kind}": float(sum(kind in kinds for kinds in found)) for kind in KINDS}
    return figures


def main() -> None:
    """Print tables, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-kind", type=int, default=500)
    parser.add_argument("--data", type=Path, help="folder with techdocs/ and cc_web_raw/")
    parser.add_argument("--wrong", type=int, default=0, help="show so many mistakes")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows, fallen, examples = measured(list(cases(given.per_kind)))
    print(f"{'':28} {'n':>6} {'recall':>8} {'precision of kind':>18}")
    for what, row in rows.items():
        low = row["recall"] < 0.95 or row["precision"] < 0.98
        print(f"{what:28} {row['n']:6.0f} {row['recall']:8.4f} {row['precision']:18.4f}{'   below the bound' * low}")
    print("traps fallen into:", dict(fallen.most_common(20)))
    random.Random(1).shuffle(examples)
    for line in examples[: given.wrong]:
        print(line)
    figures = real_text(given.data) if given.data else {}
    for name, figure in figures.items():
        print(f"{name:34} {figure:10.3f}")
    if given.json:
        print(json.dumps({"rows": rows, "traps": fallen, **figures}))


if __name__ == "__main__":
    main()
