"""The page of a certificate: one file, no network, no script; texts are data and never markup."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hone.data.looking.charts import interval, strip
from hone.data.looking.markup import NONE, chip, fold, note, number, percent, section, sub, table, tag, text
from hone.data.looking.skeleton import report_style, whole_page
from hone.deploy.certificate.charts import divergence_by_place, divergence_histogram, runs_chart, time_ranges
from hone.deploy.certificate.corpus import AWKWARD_TEXTS
from hone.deploy.certificate.document import compared_before, minute, told_score
from hone.deploy.certificate.reach import told_longest, told_reach
from hone.deploy.certificate.timing import SLACK_MS
from hone.deploy.measure import measured_here
from hone.task.spec import THIS_MACHINE
from hone.wording import counted

Json = Mapping[str, Any]
WORDS = {
    "certified": ("good", "certified"),
    "contract-checked": ("warn", "contract-checked"),
    "converted": ("bad", "not certified"),
}
FIGURES = {
    "size_mb": ("size of the file", "MB"),
    "ram_mb": ("peak memory", "MB"),
    "first_token_ms": ("first token", "ms"),
    "ms_per_token": ("time per token", "ms"),
}
KEPT = {True: ("kept", "good"), False: ("over", "bad"), None: ("unknown", None)}
"""How a limit is drawn and marked that is kept, broken, or that only a device of another class could tell of."""


def page_of(document: Json, name: str = "") -> str:
    """The page of a certificate (:meth:`hone.deploy.certificate.document.Certificate.to_json`).

    Args:
        document: the certificate's plain values.
        name: of the artifact; by default that of its model file.
    """
    title = name or str(document["artifact"])
    parts = (_gates, _budget, _divergence, _vectors, _greedy, _score, _times, _memory, _how, _versions)
    body = f"<main>{_head(document, title)}{''.join(part(document) for part in parts)}</main>"
    return whole_page(f"{title} · certificate", body, style=style())


def style() -> str:
    """The style sheet of certificates, which other pages with their charts use too."""
    return report_style(Path(__file__).parent / "certificate.css")


def _head(document: Json, title: str) -> str:
    kind, word = WORDS[document["status"]]
    prepared = f", weights prepared by {document['prepared']}" if document["prepared"] else ""
    said = f"{document['weights']}{prepared} · {document['runtime']} · {document['size']} · {minute(document['made'])}"
    head = tag("header", tag("p", "hone certificate", class_="tool") + tag("h1", text(title)) + note(said))
    box = tag("p", text(word), class_="word") + tag("p", text(_told(document)), class_="told")
    if document["failures"]:
        box += tag("ul", "".join(tag("li", text(_sentence(line))) for line in document["failures"]))
    return head + tag("div", box, class_=f"verdict {kind}") + _headline(document)


def _told(document: Json) -> str:
    if before := compared_before(document):
        return f"It opens and renders what it should; {before}."
    if document["status"] == "contract-checked":
        return "It opens and renders what it should, but there was no original to compare it with."
    if document["failures"]:
        count = len(document["failures"])
        return "One thing does not hold." if count == 1 else f"{count} things do not hold."
    over, unknown = (
        [_figure(document, one["name"])[0] for one in document["budget"] if one["within"] is said]
        for said in (False, None)
    )
    kept = "and it keeps the device's budget"
    if over:
        kept = f"but it is over the device's budget in {' and '.join(over)}"
    elif unknown:
        whose = f"{document['device']['class']}'s limits of {' and '.join(unknown)}"
        kept = f"and whether it keeps {whose}, only such a device can tell"
    if all(one["limit"] is None for one in document["budget"]):
        kept = "and no budget is set"
    reach = f" {_sentence(told)}" if (told := told_reach(document)) else ""
    return (
        "Its own runtime, in a fresh process without torch, gave what the original gives within the gates of "
        f"{document['weights']}, {kept}.{reach}"
    )


def _figure(document: Json, name: str) -> tuple[str, str]:
    """What a figure is called, with its unit; an encoder has no first token."""
    called, unit = FIGURES[name]
    return ("a sequence" if name == "first_token_ms" and document["kind"] == "encoder" else called), unit


def _limit(document: Json, name: str) -> Any:
    """The limit that figures of this machine are held to; None where there is none, or it is for another class."""
    return next((one["limit"] for one in document["budget"] if one["name"] == name and one["within"] is not None), None)


def _headline(document: Json) -> str:
    boxes = []
    for figure in document["budget"]:
        name, unit = _figure(document, figure["name"])
        limit = "no limit" if figure["limit"] is None else f"of {number(figure['limit'])} {unit}"
        boxes.append((name, f"{number(figure['measured'])} {unit}", limit, figure["within"]))
    if (parity := document["parity"]) is not None:
        most = "" if parity["kld_high"] is None else f", at most {parity['kld_high']:.2g}"
        boxes.append(("divergence", _nats(parity["kld_mean"]), f"nats{most}", True))
        low = f"at least {_percent(parity['same_top_low'])}"
        boxes.append(("same likeliest", _percent(parity["same_top_or_tie"]), low, True))
    if (like := document.get("likeness")) is not None:
        boxes.append(("mean cosine", _cosine(like["cosine_mean"]), f"at least {_cosine(like['cosine_low'])}", True))
        share = f"of {counted(like['texts'], 'text')}"
        boxes.append(("same nearest text", _percent(like["same_nearest_or_tie"]), share, True))
    if (score := document["score"]) is not None:
        mean = f"{score['mean']:.3f}"
        boxes.append((score["name"], mean, told_score(document).removeprefix(mean).strip(), True))
    inside = "".join(
        tag(
            "div",
            tag("dt", text(name))
            + tag("dd", text(value), class_="over" if within is False else None)
            + tag("dd", text(beside), class_="small"),
        )
        for name, value, beside, within in boxes
    )
    return tag("dl", inside, class_="headline")


def _gates(document: Json) -> str:
    rows = [
        [
            text(gate["name"]),
            text(gate["measured"]),
            text(gate["asked"]),
            text(gate["decided_by"]),
            chip("holds", "chip good") if gate["holds"] else chip("fails", "chip bad"),
        ]
        for gate in document["gates"]
    ]
    heads = ["gate", "measured", "asked", "what decides", ""]
    return section("gates", "Gates", "", table(heads, rows, class_="gates"))


def _budget(document: Json) -> str:
    if all(figure["limit"] is None for figure in document["budget"]):
        return section("budget", "The device's budget", "There are no limits.")
    rows = []
    for figure in document["budget"]:
        name, unit = _figure(document, figure["name"])
        measured, limit = figure["measured"], figure["limit"]
        if limit is None:
            bar, mark = "", note("no limit")
        else:
            kind, look = KEPT[figure["within"]]
            bar = strip([(0.0, min(1.0, measured / limit), kind)], f"{measured:.3g} of {limit:g} {unit}")
            mark = chip(
                "not known: measured here" if look is None else f"{measured / limit:.0%} of it", f"chip {look or ''}"
            )
        asked = NONE if limit is None else f"{number(limit)} {unit}"
        rows.append([text(name), f"{number(measured)} {unit}", asked, bar, mark])
    device = document["device"]
    lead = (
        f"With {counted(device['threads'], 'thread')}, a context of {device['context']} tokens and a prompt of "
        f"{document['measured']['prompt_tokens']}."
    )
    if elsewhere := measured_here(device.get("class", THIS_MACHINE)):
        lead += f" {_sentence(elsewhere)}"
    shown = table(["", "measured", "budget", "", ""], rows, right=(1, 2), class_="budget")
    return section("budget", "The device's budget", lead, shown)


def _divergence(document: Json) -> str:
    parity = document["parity"]
    if parity is None:
        return ""
    gate = document["bounds"]["kld_mean"]
    by_place, spread = divergence_by_place(parity["by_place"], gate), divergence_histogram(parity["histogram"], gate)
    where = "its outputs" if document["kind"] == "encoder" else "the answers"
    lead = (
        f"How far the artifact's probabilities are from the original's at {parity['positions']:,} positions of {where} "
        f"of {parity['rows']:,} dev rows: sum p ln(p / q), in nats."
    )
    figures = (
        f"Median {_nats(parity['kld_median'])}, 99 % below {_nats(parity['kld_p99'])}, largest "
        f"{_nats(parity['kld_max'])}; ties aside the most likely is the same at {_percent(parity['same_top'])}."
    )
    charts = tag("div", by_place + spread, class_="two")
    return section("divergence", "Divergence from the original", lead, charts, note(figures))


def _vectors(document: Json) -> str:
    like = document.get("likeness")
    if like is None:
        return ""
    lead = (
        f"How like the original's the artifact's vectors of {like['width']:,} numbers are, over "
        f"{counted(like['texts'], 'text')} of plain prose."
    )
    rows = [
        ["mean cosine", f"{_cosine(like['cosine_mean'])}, at least {_cosine(like['cosine_low'])}"],
        [text(f"least cosine, of {like['least_row']}"), _cosine(like["cosine_least"])],
        ["largest difference of a number", _nats(like["largest"])],
        ["largest difference of a length", _percent(like["length_apart"])],
        ["nearest of the original's vectors is that of the same text", _percent(like["own_text"])],
        ["same nearest other text", _percent(like["same_nearest"])],
        ["the same, or one that the original finds as near", _percent(like["same_nearest_or_tie"])],
    ]
    return section("vectors", "Vectors beside the original's", lead, table(["", ""], rows, class_="compact"))


def _greedy(document: Json) -> str:
    parity = document["parity"]
    if parity is None or not parity["greedy_prompts"]:
        return ""
    count = parity["greedy_prompts"]
    if not parity["divergences"]:
        told = f"All {count} greedy answers are the original's, token for token."
        return section("greedy", "Greedy answers", "", tag("p", text(told)))
    rows = [
        [
            text(one["row"] or one["prompt"]),
            str(one["position"]),
            *(
                "nothing more" if one[who] is None else tag("code", text(repr(one[f"{who}_text"]))) + f" {one[who]}"
                for who in ("original", "artifact")
            ),
            _nats(one["gap_nats"]),
        ]
        for one in parity["divergences"]
    ]
    lead = (
        f"{percent(parity['greedy_equal_share'])} of {count} are the original's, token for token; "
        f"{percent(parity['greedy_agree_share'])} are so or part where the original finds both tokens within "
        f"{parity['tie_nats']:g} nats. The first that part:"
    )
    heads = ["row", "token", "original, id", "artifact, id", "gap in nats"]
    return section("greedy", "Greedy answers", lead, table(heads, rows, right=(1, 4)))


def _score(document: Json) -> str:
    compared = document["compared"]
    if compared is None:
        return ""
    rows = [
        [text(who), f"{one['mean']:.4f}", f"{one['low']:.4f} to {one['high']:.4f}"]
        for who, one in (("original", compared["original"]), ("artifact", compared["artifact"]))
    ]
    mean, low, high = compared["points"]
    shown = table([text(compared["metric"]), "score", "95 % interval"], rows, right=(1, 2), class_="compact")
    told = ""
    if None not in (mean, low, high):
        reach = max(2.0, abs(low), abs(high)) * 1.1
        told = (
            f"difference {mean:+.2f} points, {low:+.2f} to {high:+.2f}; a point is a hundredth {compared['point_is']}"
        )
        told = (
            tag("p", text(told)) + interval(low, mean, high, reach) + note(f"from -{reach:.1f} to +{reach:.1f} points")
        )
    lead = f"The same {compared['rows']:,} dev rows answered by both; the difference is paired, row by row."
    return section("score", "The task's score", lead, tag("div", shown + tag("div", told), class_="two"))


def _times(document: Json) -> str:
    times, device = document["times"], document["device"]
    paces = times["by_threads"]

    def named(pace: Json) -> str:
        return counted(pace["threads"], "thread")

    firsts = [(named(one), one["first_token_p50_ms"], one["first_token_p95_ms"]) for one in paces]
    tokens = [
        (named(one), one["token_p50_ms"], one["token_p95_ms"]) for one in paces if one["token_p50_ms"] is not None
    ]
    own = next(one for one in paces if one["threads"] == device["threads"])
    encoder = document["kind"] == "encoder"
    head = f"{'a sequence' if encoder else 'first token after a prompt'} of {own['prompt_tokens']} tokens"
    charts = sub(head, time_ranges(firsts, _limit(document, "first_token_ms")))
    if tokens:
        charts += sub("each further token", time_ranges(tokens, _limit(document, "ms_per_token")))
    runs = sub(f"{named(own)}, run by run", runs_chart(own["runs"])) if len(own["runs"]) > 1 else ""
    lengths = [[counted(one["tokens"], "token"), f"{number(one['first_token_ms'])} ms"] for one in times["prompts"]]
    what = "a sequence of" if encoder else "first token after a prompt of"
    prompts = sub(what, table(["", ""], lengths, right=(1,), class_="compact"))
    lead = "The dot is the median, the band reaches to the 95th percentile. A warm-up is not counted."
    if tokens:
        lead += " Charts are of single tokens; the figure that the budget limits is the median run's mean."
    body = (tag("div", charts, class_="two"), tag("div", runs + prompts, class_="two"))
    return section("times", "Times", lead, *body, *map(note, _time_notes(document, own)))


def _time_notes(document: Json, own: Json) -> list[str]:
    times, measured = document["times"], document["measured"]
    notes = [f"Opening took {number(times['load_ms'])} ms, the first token of the warm-up {number(own['cold_ms'])} ms."]
    if len(own["runs"]) > 1:
        notes.append(
            f"Run 1 took {number(own['first_run'])} ms per token, run {len(own['runs'])} {number(own['last_run'])} ms."
        )
    if (at := times["positions"]) is not None:
        notes.append(
            f"A token after {at['far']} tokens took {number(at['far_ms'])} ms in the median, one after {at['near']} "
            f"{number(at['near_ms'])} ms; at their quickest {number(at['far_least_ms'])} and "
            f"{number(at['near_least_ms'])} ms, {at['ratio']:.2f}x when {SLACK_MS:g} ms are left to measuring."
        )
    if measured["runtime_ms_per_token"] is not None:
        notes.append(
            f"Beside it, by {measured['runtime_source'] or 'the runtime itself'}: "
            f"{number(measured['runtime_first_token_ms'])} ms for the first token and "
            f"{number(measured['runtime_ms_per_token'])} ms for each further one."
        )
    past = times["past_context"]
    if past["refusal"]:
        notes.append(f"One token past the context it refuses: “{past['refusal']}”.")
    return notes


def _memory(document: Json) -> str:
    measured = document["measured"]
    python, library, whole = measured["interpreter_mb"], measured["without_model_mb"], measured["ram_mb"]
    parts = [
        (0.0, python / whole, "python"),
        (python / whole, library / whole, "library"),
        (library / whole, 1.0, "model"),
    ]
    keys = (
        ("python", f"Python, numpy and hone {number(python)} MB"),
        ("library", f"the runtime's library {number(library - python)} MB"),
        ("model", f"the model and its context {number(whole - library)} MB"),
    )
    shown = tag("p", "".join(tag("span", text(told), class_=f"key {kind}") for kind, told in keys), class_="keys")
    lead = (
        f"{number(whole)} MB at its peak, a prompt that fills the context included; {number(library)} MB of them are "
        "taken by the same process before a model is opened."
    )
    return section("memory", "Memory", lead, strip(parts, f"{whole:.3g} MB"), shown)


def _how(document: Json) -> str:
    modules = ", ".join(document["training_modules"]) or "none of torch or transformers"
    opened = (
        f"A fresh process opened {document['artifact']} with {document['runtime']}. It held "
        f"{document['modules_in_process']:,} modules at the end, {modules}."
    )
    own = ", texts of the task" if document["ids_checked"] > len(AWKWARD_TEXTS) else ""
    checked = (
        f"{document['ids_checked']:,} texts (Unicode, leading spaces, text that looks special{own}) were "
        f"made into ids by both tokenizers, {counted(document['examples_checked'], 'stored example')} rendered again."
    )
    machine = f"Measured on {document['machine']}; it took {number(document['seconds'])} s."
    reach = map(_sentence, filter(None, [told_longest(document), told_reach(document)]))
    lines = [opened, checked, _intervals(document), *reach, machine, *map(_sentence, document["notes"])]
    return section("how", "How it was measured", "", *(tag("p", text(line)) for line in lines))


def _intervals(document: Json) -> str:
    if document.get("likeness"):
        return (
            "Intervals resample paragraphs (95 %, percentile bootstrap), because sentences of one are not independent. "
            "The lower end of the mean cosine decides."
        )
    return (
        "Intervals resample dev rows (95 %, percentile bootstrap), because positions of one row are not independent. "
        "The upper end of the divergence decides, and the lower end of the share of equal tokens where so many "
        "positions can prove it."
    )


def _versions(document: Json) -> str:
    rows = [[text(name), tag("code", text(value))] for name, value in document["versions"].items()]
    rows.append(["SHA-256 of the model file", tag("code", text(document["artifact_hash"]))])
    rows += [[f"hash of {text(name)}", tag("code", text(value))] for name, value in document["hashes"].items()]
    lead = "The hash is compared whenever the artifact's folder is opened."
    shown = fold("all of them", table(["", ""], rows, class_="compact"))
    return section("versions", "Versions and hashes", lead, shown)


def _sentence(told: str) -> str:
    return told[:1].upper() + told[1:].rstrip(".") + "."


def _nats(value: float | None) -> str:
    return NONE if value is None else f"{value:.2g}"


def _cosine(value: float | None) -> str:
    return NONE if value is None else f"{value:.6f}"


def _percent(value: float | None) -> str:
    return NONE if value is None else percent(value)
