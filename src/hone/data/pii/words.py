"""What the words near a number say that it is: the nearest one decides."""

from __future__ import annotations

import re
from functools import cache

BEFORE_CHARS, AFTER_CHARS = 48, 28
"""How far a word may be from what it names."""

LEFT, RIGHT = r"(?<![0-9A-Za-z])(?<![0-9A-Za-z]_)", r"(?![0-9A-Za-z])(?!_[0-9A-Za-z])"
"""Where a number may begin and end: not inside a name; scripts without spaces and ``_emphasis_`` may touch it."""

OTHER_CHARS = 18
"""How far before a number a word may be that says it is no personal data ("order number is")."""

_MEANINGS: dict[str, str] = {
    "phone": r"tele?(?:ph?one?|fon[oe]?|foon)?|phone|mobiles?|mobil|cell(?:phone|ular)?|celular|m[oó]vil|handy\w*|"
    r"portable|t[ée]l(?:[ée]phone)?|tel[ée]fono|fax|whats ?app|sms|hotline|helpline|"
    r"(?:call|ring|text)(?: me| us| her| him| them| at| on|:|(?=[ *`]{1,2}\Z))|"
    r"dial|ph|my (?:new )?number|"
    r"telefon\w*|telefoonnummer|rufnummer|numer telefonu|gsm|"
    r"тел|телефон\w*|мобильн\w*|appel\w*|ll[aá]m\w+|chiama\w*|anrufen|bel|"
    r"contact[ _]?(?:number|no)|callback",
    "us_ssn": r"ssn|social[ -]security(?: number| no)?|my social(?! insur)|soc\.? ?sec",
    "uk_nino": r"nino|n\.?i\.? (?:number|no)|national insurance(?: number| no)?",
    "es_dni": r"d\.?n\.?i|nif|documento nacional",
    "es_nie": r"n\.?i\.?e|foreigner\w*",
    "it_cf": r"codice fiscale|c\.f",
    "fr_nir": r"nir|s[ée]curit[ée] sociale|num[ée]ro de s[ée]cu",
    "de_tax": r"steuer\W{0,2}id\w*(?:[ -]?n(?:umme)?r)?|steuernummer|id\W?nr|tin|tax (?:id\w*|number)(?: number)?|"
    r"identifikationsnummer",
    "nl_bsn": r"bsn(?:[ -]nummer)?|burgerservice\w*|sofi\W?n\w+|citizen service number",
    "br_cpf": r"cpf|cadastro de pessoas?",
    "in_aadhaar": r"aadh?aa?r|uid(?:ai)?",
    "ca_sin": r"s\.?i\.?n|social insurance(?: number| no)?|nas|assurance sociale",
    "pl_pesel": r"pesel",
    "be_national": r"rijksregister\w*|registre national|national register(?: number)?|niss|insz",
    "ch_ahv": r"ahv\w*|avs|navs13",
    "cn_resident": r"resident id\w*|id card(?: number)?",
    "ip": r"ip(?:v[46])?(?:[ -]?addr\w*)?|addr(?:ess)?|hosts?|servers?|dns|ping|gateway|client|remote|login from|"
    r"nameserver|resolver|traceroute|ssh|connect\w*|requests? from|traffic|firewall|peer|endpoint",
    "card": r"(?:credit|debit|bank)?[ -]?cards?|visa|master ?card|amex|american express|pan|kreditkarte|carte|tarjeta",
    "version": r"v(?:er(?:sion)?s?)?|release[ds]?|rev(?:ision)?|build|firmware|driver|sdk|package|upgrade[ds]?|"
    r"section|chapter|clause|figure|fig|oid|install(?:ed)?|sec|paragraph|article|requires?|patch|changelog|table|step",
    "other": r"orders?|invoices?|parts?|p/n|s/n|sku|serial|model|isbn(?:-1[03])?|issn|ticket|case|ref(?:erence)?|"
    r"tracking|catalog(?:ue)?|item|products?|batch|lot|doi|patent|po|shipment|parcel|barcode|ean|upc|gtin|hash|"
    r"uuid|guid|sha\d*|md5|commit|checksum|bytes|timestamp|epoch|coordinates?|latitude|longitude|lat|lon|pixels?|price|"
    r"usd|eur|population|transaction|asin|hex|job|seed|docket|bestell\w+|rechnung\w*|commande|pedido|factura|asset|claim|policy|"
    r"request id|session id|thread|pid|process|port|meter|licen[sc]e|vol(?:ume)?|arxiv|pmid|cve",
}  # fmt: skip
_HAN = {"phone": "电话|手机|電話|携帯|联系方式|전화|[☎📞📱]", "cn_resident": "身份证|身份證", "other": "订单|訂單|注文"}


@cache
def _pattern() -> re.Pattern[str]:
    # Longer meanings win over shorter ones that begin alike, since the pattern is greedy within a group.
    groups = []
    for name, words in _MEANINGS.items():
        han = f"|(?:{_HAN[name]})" if name in _HAN else ""
        groups.append(rf"(?P<{name}>(?<![^\W_])(?:{words})(?![^\W\d_]){han})")
    return re.compile("|".join(groups), re.IGNORECASE)


def in_row(text: str, start: int, end: int) -> bool:
    """True when a number written with spaces has more digits a space away: a row of a table, and not one number."""
    if " " not in text[start:end]:
        return False
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    return (before[-1:] == " " and before[:1].isdigit()) or (after[:1] == " " and after[1:].isdigit())


def touches(text: str, position: int) -> bool:
    """True when an ASCII letter or digit stands at a position: what ends before it is part of something longer."""
    char = text[position : position + 1] if position >= 0 else ""
    return char.isascii() and char.isalnum()


def meaning(text: str, start: int, end: int) -> str | None:
    """What the nearest naming word before ``text[start:end]`` says it is, or else the first one after it on its line.

    Returns:
        A key such as "phone", "us_ssn", "version" or "other"; None when no word says anything.
    """
    last = None
    for found in _pattern().finditer(text, max(0, start - BEFORE_CHARS), start):
        if found.lastgroup not in {"other", "version"} or start - found.end() <= OTHER_CHARS:
            last = found.lastgroup
    if last is not None:
        return last
    stop = text.find("\n", end, end + AFTER_CHARS)
    after = _pattern().search(text, end, end + AFTER_CHARS if stop < 0 else stop)
    return None if after is None else after.lastgroup
