"""Plans: bytes are counted, constants come back from what they made, the best that holds wins, changes are priced."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from hone.errors import InputError
from hone.model.encoders import ENCODER_PRESETS
from hone.model.footprint import (
    Storage,
    activation_bytes_of,
    blueprint,
    cache_bytes,
    multiplied,
    prompt_operations,
    read_bytes,
    refusal,
    rows_multiplied,
    stored_as,
    uniform,
    weight_bytes,
)
from hone.model.least_squares import nonnegative_least_squares
from hone.model.machine_fit import Constants, MachineFit, Measurement, features, fit, through
from hone.model.plan import Plan, Planner, narrower, widths, with_width
from hone.model.presets import PRESETS, Shape, matrix_parameters, parameters
from hone.model.published import MIB, PUBLISHED, published_fit
from hone.task.spec import DEVICE_CLASSES, THIS_MACHINE, Device

STORIES_15M = Shape(hidden=288, layers=6, heads=6, kv_heads=6, ffn=768, vocab=32_000, context=256)
"""Of llama2.c."""
SMOLLM2_135M = Shape(hidden=576, layers=30, heads=9, kv_heads=3, ffn=1536, vocab=49_152, context=2048)
Q8, Q4, F32 = uniform("q8_0", "gguf", 8.5, 32), uniform("q4_0", "gguf", 4.5, 32), uniform("f32", "gguf", 32.0, 1)
TRUE: Constants = {
    "size_mb": {"weights": 1.0, "file": 0.01, "tensors": 0.0001, "vocabulary": 0.03},
    "ram_mb": {"process": 50.0, "session": 8.0, "hold any": 1.0, "cache": 1.0, "activations": 0.5, "vocabulary": 0.5},
    "first_token_ms": {"prompt": 0.5, "layers": 0.1, "multiply any": 25.0},
    "ms_per_token": {
        "token": 0.06,
        "layers": 0.02,
        "read": 0.08,
        "unpack q8_0": 0.05,
        "unpack q4_0": 0.07,
        "unpack any": 0.1,
        "rows q8_0": 0.003,
        "rows any": 0.001,
        "cache": 0.1,
    },
}
FIT = MachineFit(
    name="this-machine", runtime="gguf", threads=1, constants=TRUE, errors=dict.fromkeys(TRUE, 0.1), smallest_mb=1.0
)


def test_cache_bytes_are_those_of_the_published_examples() -> None:
    assert cache_bytes(blueprint(STORIES_15M)) == 2 * 6 * 6 * 48 * 256 * 2 == 1_769_472  # 1.77 MB
    assert cache_bytes(blueprint(SMOLLM2_135M)) / 1e6 == pytest.approx(47.2, abs=0.05)
    assert cache_bytes(blueprint(ENCODER_PRESETS["bert-1m"])) == 0


@pytest.mark.parametrize("name", PRESETS)
def test_a_blueprint_counts_what_the_preset_has_and_a_token_reads_every_matrix_once(name: str) -> None:
    shape = PRESETS[name]
    model = blueprint(shape)
    assert model.parameters == parameters(shape)
    assert read_bytes(F32.layout(model)) == 4 * matrix_parameters(shape)
    assert multiplied(Q8.layout(model)) == {"q8_0": matrix_parameters(shape)}
    inner, kv = shape.hidden, shape.hidden // shape.heads * shape.kv_heads
    rows = shape.vocab + shape.layers * (2 * inner + 2 * kv + 2 * shape.ffn + inner)
    assert rows_multiplied(Q8.layout(model)) == {"q8_0": rows}
    assert model.body_parameters == parameters(shape) - shape.vocab * shape.hidden


def test_an_untied_embedding_is_looked_up_and_not_read() -> None:
    model = blueprint(replace(STORIES_15M, tied=False))
    stored = F32.layout(model)
    assert [one.name for one in stored if not one.is_read] == ["model.embed_tokens.weight"]
    assert weight_bytes(model, stored) == 4 * model.parameters


def test_weights_take_the_bits_of_their_block_and_vectors_four_bytes() -> None:
    model = blueprint(Shape(hidden=64, layers=1, heads=2, kv_heads=1, ffn=96, vocab=300, context=16))
    values = 300 * 64 + 2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 96
    assert weight_bytes(model, Q8.layout(model)) == values * 34 / 32 + 3 * 64 * 4
    assert weight_bytes(model, Q4.layout(model)) == values * 18 / 32 + 3 * 64 * 4


def test_kinds_may_differ_by_matrix_and_rows_that_do_not_divide_are_refused() -> None:
    def layout(name: str) -> tuple[str, float, int]:
        return ("q6_k", 6.5625, 256) if "embed" in name else ("q4_k", 4.5, 256)

    mixed = Storage(name="q4_k_m", runtime="gguf", bits=4.5, layout=lambda model: stored_as(model, layout))
    model = blueprint(PRESETS["5m"])
    assert refusal(mixed.layout(model)) == "rows of 704 do not divide by the 256 of q4_k"
    model = blueprint(PRESETS["15m"])
    assert refusal(mixed.layout(model)) is None
    embedding = 4096 * 512
    body = model.body_parameters - 9 * 512
    assert weight_bytes(model, mixed.layout(model)) == embedding * 210 / 256 + body * 144 / 256 + 9 * 512 * 4


def test_operations_of_a_prompt_are_two_per_weight_and_token_and_the_output_is_made_once() -> None:
    model = blueprint(STORIES_15M)
    inner, output = matrix_parameters(STORIES_15M) - 32_000 * 288, 32_000 * 288
    found = prompt_operations(model, Q8.layout(model), 10)
    assert found == {"q8_0": 2 * (10 * inner + output), "attention": 4 * 6 * 288 * 50}
    # One token of width 288: 4 h + 2 kv + 3 f + heads values, and the logits.
    assert activation_bytes_of(model, 1) == 4 * (4 * 288 + 2 * 288 + 3 * 768 + 6 + 32_000)


def test_least_squares_are_those_of_a_hand_worked_example_and_never_negative() -> None:
    # The unconstrained answer is (-1, 2); with x >= 0 the first is 0 and the second the mean of what is left, 1.5.
    design = np.array([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
    square = np.array([[1.0, 1.0], [0.0, 1.0]])
    assert nonnegative_least_squares(square, np.array([1.0, 2.0])) == pytest.approx([0.0, 1.5])
    assert nonnegative_least_squares(design, np.array([3.0, 3.0, 2.0])) == pytest.approx([1.0, 2.0])
    assert nonnegative_least_squares(design, np.array([-1.0, -1.0, -1.0])) == pytest.approx([0.0, 0.0])


def _measured(shape: Shape, storage: Storage) -> Measurement:
    """What a machine with the constants ``TRUE`` would measure."""
    found = features(blueprint(shape), storage, Device(context=shape.context))
    values = {figure: one.value for figure, one in FIT.predict(found).items()}
    return Measurement(name=f"{shape.hidden} {storage.name}", features=found, measured=values)


PROBES = [
    _measured(replace(PRESETS["tiny"], layers=12), Q4),
    _measured(PRESETS["15m"], Q8),
    _measured(PRESETS["15m"], Q4),
    _measured(PRESETS["tiny"], Q8),
]


@pytest.mark.parametrize("faster", [1.0, 0.3])
def test_a_fit_to_four_artifacts_predicts_others_of_the_same_machine(faster: float) -> None:
    reference = {
        figure: {name: one if name == "weights" else one * faster for name, one in own.items()}
        for figure, own in TRUE.items()
    }
    found = fit(PROBES, reference, name="this-machine", runtime="gguf", threads=1)
    for shape in (PRESETS["1m"], PRESETS["5m"], PRESETS["20m"]):
        for storage in (Q8, Q4):
            wanted = _measured(shape, storage)
            predicted = found.predict(wanted.features)
            for figure, least in (("size_mb", 0.02), ("ram_mb", 0.1), ("ms_per_token", 0.15), ("first_token_ms", 0.25)):
                assert predicted[figure].value == pytest.approx(wanted.measured[figure], rel=least), figure


def test_what_fits_a_cache_is_read_faster_and_the_curve_goes_on_at_its_last_bandwidth() -> None:
    stream = ((1.0, 0.01), (3.0, 0.11), (10.0, 1.0))
    for megabytes, milliseconds in ((0.5, 0.005), (2.0, 0.06), (10.0, 1.0), (40.0, 4.0)):
        assert through(stream, {"token": 1.0, "read": megabytes})["read"] == pytest.approx(milliseconds)
    assert through((), {"read": 7.0}) == {"read": 7.0}
    assert through(stream, {"layers": 2.0}) == {"layers": 2.0}
    kept = fit(PROBES, TRUE, name="this-machine", runtime="gguf", threads=1, stream=stream)
    assert MachineFit.from_json(json.loads(json.dumps(kept.to_json()))) == kept


def test_memory_that_was_timed_by_itself_is_not_blamed_for_slow_arithmetic() -> None:
    stream = ((100.0, 8.0),)  # 0.08 ms a megabyte, as the machine of these artifacts has
    reference = {
        **TRUE,
        "ms_per_token": {**TRUE["ms_per_token"], "read": 1.0, "unpack q8_0": 0.02, "unpack q4_0": 0.03},
    }
    timed = fit(PROBES[:2], reference, name="this-machine", runtime="gguf", threads=1, stream=stream)
    assert timed.constants["ms_per_token"]["read"] == pytest.approx(1.0, abs=0.25)
    for shape in (PRESETS["1m"], PRESETS["5m"], PRESETS["15m"]):
        for storage in (Q8, Q4):
            wanted = _measured(shape, storage)
            predicted = timed.predict(wanted.features)["ms_per_token"].value
            assert predicted == pytest.approx(wanted.measured["ms_per_token"], rel=0.15)


def test_a_kind_that_was_not_measured_keeps_its_ratio_to_those_that_were() -> None:
    # The machine is twice as slow as the reference and only Q8_0 was measured.
    slow = [
        replace(one, measured={**one.measured, "ms_per_token": 2 * one.measured["ms_per_token"]})
        for one in (PROBES[1], PROBES[3])
    ]
    found = fit(slow, TRUE, name="this-machine", runtime="gguf", threads=1)
    constants = found.constants["ms_per_token"]
    assert constants["unpack q8_0"] > 1.5 * 0.05
    assert constants["unpack q4_0"] / constants["unpack q8_0"] == pytest.approx(0.07 / 0.05)
    for measured in slow:
        predicted = found.predict(measured.features)["ms_per_token"].value
        assert predicted == pytest.approx(measured.measured["ms_per_token"], rel=0.05)


def test_a_fit_survives_json_and_refuses_a_kind_that_it_has_no_constant_for() -> None:
    about = {"versions": {"runtime": "1"}, "date": "2026-01-01"}
    found = fit(PROBES, TRUE, name="this-machine", runtime="gguf", threads=1, **about)
    assert MachineFit.from_json(found.to_json()) == found
    with pytest.raises(InputError, match="a fit of format 0 is not read; this version reads 3"):
        MachineFit.from_json({**found.to_json(), "format": 0})
    earlier = {key: value for key, value in found.to_json().items() if key != "stream"}
    with pytest.raises(InputError, match="other keys than this version's: later, stream"):
        MachineFit.from_json({**earlier, "later": 1})
    with pytest.raises(InputError, match="values that are none"):
        MachineFit.from_json({**found.to_json(), "stream": 1})
    only = {"ms_per_token": {"token": 0.1, "unpack q8_0": 0.1}}
    bare = MachineFit(name="m", runtime="gguf", threads=1, constants=only, errors={"ms_per_token": 0.1})
    with pytest.raises(InputError, match='has no constant for "unpack q4_0"; it has unpack q8_0'):
        bare.predict({**PROBES[0].features, "ms_per_token": {"token": 1.0, "unpack q4_0": 1.0}})
    with pytest.raises(InputError, match="at least one measured artifact"):
        fit([], TRUE, name="m", runtime="gguf", threads=1)


def test_a_task_may_name_exactly_the_classes_of_which_something_is_published() -> None:
    assert {THIS_MACHINE, *PUBLISHED} == set(DEVICE_CLASSES)


def test_published_rows_give_the_bandwidth_that_they_are_known_for() -> None:
    # OnePlus 12: 50.2 tokens/s of 1,083 MiB are 57 GB/s, 19.2 of 2,358 are 47 (four bits and sixteen).
    found = published_fit("oneplus-12", "gguf", TRUE)
    assert 47 < 1 / found.constants["ms_per_token"]["read"] < 65
    for row in PUBLISHED["oneplus-12"].rows:
        predicted = found.predict(row.measurement().features)["ms_per_token"]
        # A plan says the sustained time; the rows are peaks.
        assert predicted.low <= found.slowdown * 1e3 / row.tokens_per_s <= predicted.high
    assert PUBLISHED["oneplus-12"].rows[1].weights_mb == 1083 * MIB
    assert "ram_mb" not in published_fit("iphone-17-pro", "gguf", TRUE).constants, "nothing was published of it"
    with pytest.raises(InputError, match='"onplus-12" is not known; did you mean "oneplus-12"'):
        published_fit("onplus-12", "gguf", TRUE)


def test_the_error_widens_beyond_what_was_measured() -> None:
    found = published_fit("oneplus-12", "gguf", TRUE)
    small = found.predict(features(blueprint(PRESETS["1m"]), Q8, Device()))
    assert small["ms_per_token"].error == 1.0 > found.errors["ms_per_token"]
    assert not small["ms_per_token"].known, "so far beyond every measurement 100 % is no bound"
    assert small["ms_per_token"].high == float("inf")
    assert small["ms_per_token"].to_json()["high"] is None
    assert small["size_mb"].error == found.errors["size_mb"], "a file is as large everywhere"
    inside = FIT.predict(features(blueprint(PRESETS["1m"]), Q8, Device()))
    assert inside["ms_per_token"].error == 0.1


def _planner(**limits: float) -> Planner:
    return Planner(Device(context=256, **limits), [Q8, Q4, F32], {"gguf": FIT})


def _plan(name: str = "15m", **limits: float) -> Plan:
    presets = {one: replace(shape, vocab=1024, context=256) for one, shape in PRESETS.items()}
    return _planner(**limits).plan(name, presets[name], presets)


def test_without_a_limit_everything_holds_in_the_first_format() -> None:
    plan = _plan()
    assert plan.chosen is not None
    assert plan.chosen.storage.name == "q8_0"
    assert [one.storage.name for one in plan.asked] == ["q8_0", "q4_0", "f32"]
    assert all(one.holds for one in plan.presets)
    assert plan.advice == ()


def test_a_limit_of_which_nothing_is_known_is_never_said_to_hold() -> None:
    known = {figure: TRUE[figure] for figure in ("size_mb", "ms_per_token")}
    fits = {"gguf": replace(FIT, constants=known)}
    model = replace(PRESETS["15m"], vocab=1024, context=256)

    def of(**limits: float) -> Plan:
        return Planner(Device(context=256, **limits), [Q8, Q4], fits).plan("15m", model, {"15m": model})

    unknown = of(size_mb=50, ram_mb=1)
    first = unknown.asked[0]
    assert first.not_known == ("ram_mb",)
    assert first.may_hold
    assert not first.holds
    assert not first.surely(unknown.device)
    assert (unknown.chosen, unknown.best, unknown.undecided, unknown.advice) == (None, None, first, ())
    assert first.to_json()["not_known"] == ["ram_mb"]
    over = of(size_mb=5, ram_mb=1)
    assert over.undecided is None
    assert over.asked[0].over.keys() == {"size_mb"}
    assert not any(one.enough for one in over.advice)
    assert over.advice[0].line().endswith("; memory not known")
    assert of(size_mb=50).chosen is not None


def test_the_best_that_holds_has_the_most_parameters_outside_embeddings_then_bits() -> None:
    plan = _plan(size_mb=5)
    assert plan.best is not None
    assert plan.best.estimates["size_mb"].value <= 5
    assert all(one.rank <= plan.best.rank for one in (*plan.presets, *plan.asked) if one.holds)
    ranks = [one.rank for one in plan.presets]
    assert ranks == sorted(ranks, reverse=True)
    assert {one.name.partition(",")[0] for one in plan.presets} <= set(PRESETS)


def test_over_the_budget_each_change_comes_with_what_it_gains() -> None:
    plan = _plan(size_mb=5)
    assert plan.chosen is None
    worst = plan.asked[1]
    assert worst.storage.name == "q4_0"
    assert worst.over == {"size_mb": pytest.approx(worst.estimates["size_mb"].value - 5)}
    advice = {one.lever: one for one in plan.advice}
    assert advice["width"].enough
    assert advice["width"].after == "256 (q8_0)"
    assert not advice["vocabulary"].enough
    # Half of 1,024 entries of width 512 at 4.5 bits, and half a thousand merges of 0.03 MB.
    assert advice["vocabulary"].gains["size_mb"] == pytest.approx(512 * 512 * 4.5 / 8e6 + 0.512 * 0.03)
    assert plan.advice[0].enough, "what is enough alone comes first"
    assert "size -" in plan.advice[0].line()
    assert all(one.gains["size_mb"] > 0.01 * worst.over["size_mb"] for one in plan.advice)
    assert "context" not in advice, "a shorter context makes no smaller file"
    assert "still over by" in advice["vocabulary"].line()


def test_a_context_is_shortened_where_memory_is_over() -> None:
    shape = replace(PRESETS["15m"], vocab=1024, context=8192)
    # Format and context are what there is to change of a pretrained base.
    model = blueprint(shape)
    device = Device(context=8192, ram_mb=150)
    plan = Planner(device, [Q8], {"gguf": FIT}).plan("base", model, {})
    context = next(one for one in plan.advice if one.lever == "context")
    assert context.enough
    assert {one.lever for one in plan.advice} == {"context"}
    assert plan.presets == ()


def test_a_format_that_cannot_store_the_model_is_refused_with_the_reason() -> None:
    shape = Shape(hidden=96, layers=1, heads=3, kv_heads=3, ffn=160, vocab=300, context=64)
    blocks = uniform("q4_k_m", "gguf", 4.5, 256)
    plan = Planner(Device(context=64, prompt_tokens=32), [blocks, Q8], {"gguf": FIT}).plan("own", shape, {})
    refused = next(one for one in plan.asked if one.storage.name == "q4_k_m")
    assert refused.refused == "rows of 96 do not divide by the 256 of q4_k_m"
    assert not refused.holds
    assert refused.to_json()["predicted"] == {}


def test_an_encoder_is_planned_by_its_sequence_and_writes_no_tokens() -> None:
    shape = replace(ENCODER_PRESETS["bert-1m"], vocab=2048)
    plan = _planner(first_token_ms=50, ms_per_token=0.001).plan("bert-1m", shape, {"bert-1m": shape})
    assert plan.chosen is not None
    assert set(plan.chosen.estimates) == {"size_mb", "ram_mb", "first_token_ms"}


def test_widths_are_multiples_of_256_and_of_64_for_toys() -> None:
    assert widths()[:5] == (64, 128, 192, 256, 512)
    assert all(width % 256 == 0 for width in widths() if width > 256)
    for width in widths():
        shape = with_width(PRESETS["15m"], width)
        step = 256 if width >= 256 else 64
        assert (shape.hidden, shape.ffn % step, shape.layers) == (width, 0, 4)
    assert narrower(PRESETS["5m"]) == [192, 128, 64]
    grouped = Shape(hidden=512, layers=1, heads=8, kv_heads=2, ffn=1024, vocab=512, context=64)
    assert with_width(grouped, 256).kv_heads == 1


def test_how_far_vocabulary_and_context_can_grow() -> None:
    shape = replace(PRESETS["1m"], vocab=1024, context=256)
    planner = _planner(size_mb=2)
    held = planner.candidate("1m", blueprint(shape), Q8)
    # 128 * 8.5 / 8 bytes and 30 bytes of text for an entry: 0.84 MB of layers leave room for 4,096 and not for 8,192.
    assert planner.largest(held, shape, "vocab") == 4096
    assert planner.largest(held, replace(shape, vocab=8192), "vocab") is None
