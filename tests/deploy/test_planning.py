"""What a machine needs is measured once and kept, anew for another version; predicted sizes are those of files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from hone.deploy import planning, probing
from hone.deploy.artifact.making import foreseen_bytes
from hone.deploy.planning import (
    MOST_PROBES,
    REFERENCE,
    SMALL,
    fit_of,
    fits_of_this_machine,
    measure_machine,
    probes,
    storage_of,
    stored_fits,
    verdict_line,
    versions,
)
from hone.deploy.probing import (
    Probe,
    Probed,
    device_of,
    export_probe,
    measured_probe,
    median_of,
    random_folder,
    stream_curve,
)
from hone.deploy.runtime import RUNTIMES
from hone.deploy.tensors import Tensors
from hone.deploy.weights import FORMATS, stored_bytes
from hone.errors import FailedError, InputError
from hone.model.encoders import ENCODER_PRESETS
from hone.model.footprint import blueprint, weight_bytes
from hone.model.machine_fit import METHOD_ERROR, Constants, MachineFit, Measurement, features, fit
from hone.model.presets import PRESETS, Shape
from hone.task.spec import Device

TOY = Shape(hidden=64, layers=2, heads=4, kv_heads=2, ffn=192, vocab=700, context=96)
WIDER = Shape(hidden=256, layers=2, heads=4, kv_heads=4, ffn=512, vocab=1500, context=96, arch="qwen3")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Shape], Path]:
    made: dict[Shape, Path] = {}

    def folder(shape: Shape) -> Path:
        if shape not in made:
            made[shape] = random_folder(shape, tmp_path_factory.mktemp("model"))
        return made[shape]

    return folder


def test_a_random_folder_holds_the_tensors_that_a_shape_has(folders: Callable[[Shape], Path]) -> None:
    found = Tensors(folders(WIDER)).shapes
    assert found == dict(blueprint(WIDER).tensors)


@pytest.mark.parametrize("name", FORMATS)
def test_a_layout_has_the_bytes_that_a_writer_is_said_to_store(name: str) -> None:
    for shape in (PRESETS["15m"], replace(PRESETS["15m"], tied=False), ENCODER_PRESETS["bert-15m"]):
        model = blueprint(shape)
        counted = weight_bytes(model, storage_of(FORMATS[name]).layout(model))
        assert counted == pytest.approx(stored_bytes(model.tensors, FORMATS[name]), abs=1)


@pytest.mark.parametrize(
    "name", ["f32", "f16", "q8_0", "q6_k", "q5_k_m", "q4_k_m", "q4_0", "fp32", "int8", "int4", "int4-g128"]
)
def test_a_predicted_size_is_that_of_the_exported_file_to_2_percent(
    name: str, folders: Callable[[Shape], Path], tmp_path: Path
) -> None:
    storage = storage_of(FORMATS[name])
    fit = MachineFit(
        name="reference", runtime=storage.runtime, threads=1, constants=REFERENCE[storage.runtime], errors=_NO_ERROR
    )
    for shape in (TOY, WIDER) if FORMATS[name].block <= 32 else (WIDER,):
        artifact = export_probe(Probe(name="toy", shape=shape, storage=storage), folders(shape), tmp_path / name)
        wanted = fit.predict(features(blueprint(shape), storage, _device(shape)))["size_mb"].value
        assert artifact.stat().st_size / 1e6 == pytest.approx(wanted, rel=0.02)
        # With the folder at hand the words are counted too; of ONNX they lie beside the file.
        assert foreseen_bytes(folders(shape), FORMATS[name]) == pytest.approx(artifact.stat().st_size, rel=0.01)


_NO_ERROR = dict.fromkeys(("size_mb", "ram_mb", "first_token_ms", "ms_per_token"), 0.0)


def _device(shape: Shape) -> Device:
    return device_of(shape, Device())


def test_at_most_four_artifacts_are_made_small_and_large_ones_of_every_runtime() -> None:
    for runtimes in (("gguf",), ("gguf", "onnx")):
        found = probes(runtimes)
        assert len(found) == MOST_PROBES == 4
        assert len({(one.storage.name, one.shape) for one in found}) == 4
        for name in runtimes:
            own = [one for one in found if one.storage.runtime == name]
            assert len({one.shape.hidden for one in own}) == len({one.storage.bits for one in own}) == 2


def test_memory_without_a_model_and_of_an_artifact_come_from_its_own_process(
    folders: Callable[[Shape], Path], tmp_path: Path
) -> None:
    probe = Probe(name="toy", shape=TOY, storage=storage_of(FORMATS["q8_0"]))
    artifact = export_probe(probe, folders(TOY), tmp_path)
    found = measured_probe(probe, artifact, Device(), repeats=2)
    whole, empty = found.whole, found.empty
    assert whole.measured["size_mb"] == artifact.stat().st_size / 1e6
    assert 0 < empty.measured["ram_mb"] < whole.measured["ram_mb"]
    assert min(whole.measured.values()) > 0
    assert set(whole.measured) == set(whole.features)
    fitted = fit_of("gguf", 1, [found])
    predicted = fitted.predict(whole.features)
    assert predicted["ram_mb"].value == pytest.approx(whole.measured["ram_mb"], rel=0.05)
    assert fitted.fitted_on == ("toy", "gguf without a model")


def test_rounds_count_by_their_median_and_are_as_unsteady_as_their_runs() -> None:
    def told(ms: float, median_ms: float, ram: float) -> Probed:
        figures = {"size_mb": 1.0, "ram_mb": ram, "first_token_ms": 10 * ms, "ms_per_token": ms}
        empty = Measurement(name="nothing", features={}, measured={"ram_mb": ram / 2})
        return Probed(whole=Measurement(name="toy", features={}, measured=figures), empty=empty, median_ms=median_ms)

    found = median_of([told(1.0, 1.1, 80.0), told(9.0, 9.5, 70.0), told(1.2, 1.5, 90.0)])
    assert found.whole.measured == {"size_mb": 1.0, "ram_mb": 80.0, "first_token_ms": 12.0, "ms_per_token": 1.2}
    assert found.empty.measured == {"ram_mb": 40.0}
    assert found.unsteady == pytest.approx(1.5 / 1.2 - 1.0)


def test_a_process_beside_which_a_fixed_piece_of_work_took_longer_is_measured_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    figures = {"size_mb": 1.0, "ram_mb": 60.0, "first_token_ms": 9.0}
    empty = Measurement(name="nothing", features={}, measured={"ram_mb": 30.0})
    times = iter([1.0, 9.0, 1.1, 5.0, 6.0, 7.0])

    def told(*_: object) -> Probed:
        ms = next(times)
        whole = Measurement(name="toy", features={}, measured={**figures, "ms_per_token": ms})
        return Probed(whole=whole, empty=empty, median_ms=ms)

    # One before the first round, then one before and one after each process: the second process is disturbed, and
    # of the third round every one, so that the tries run out.
    sticks = iter([1.0, 1.0, 1.0, 1.0, 1.5, 1.0, 1.0, *([1.5] * 6)])
    monkeypatch.setattr(probing, "yardstick_ms", lambda: next(sticks))
    monkeypatch.setattr(probing, "measured_probe", told)
    probe = Probe(name="toy", shape=TOY, storage=storage_of(FORMATS["q8_0"]))
    found = probing.measured_in_turns([(probe, Path("toy.gguf"))], Device(), 3, lambda line: None)
    assert [one.median_ms for one in found["toy"]] == [1.0, 1.1]
    assert next(sticks, None) is None
    assert median_of(found["toy"]).disturbed == 0.0


def test_where_every_process_was_disturbed_all_count_and_the_fit_is_unsteady(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {"size_mb": 1.0, "ram_mb": 60.0, "first_token_ms": 9.0, "ms_per_token": 2.0}
    whole = Measurement(name="toy", features={}, measured=figures)
    told = Probed(whole=whole, empty=replace(whole, measured={"ram_mb": 30.0}), median_ms=2.0)
    sticks = iter([1.0, *([1.5] * 6)])
    monkeypatch.setattr(probing, "yardstick_ms", lambda: next(sticks))
    monkeypatch.setattr(probing, "measured_probe", lambda *_: told)
    probe = Probe(name="toy", shape=TOY, storage=storage_of(FORMATS["q8_0"]))
    found = probing.measured_in_turns([(probe, Path("toy.gguf"))], Device(), 1, lambda line: None)
    assert len(found["toy"]) == 3
    assert median_of(found["toy"]).unsteady == pytest.approx(0.5)


def test_an_artifact_that_cannot_be_measured_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> Probed:
        raise FailedError("the process died")

    monkeypatch.setattr(probing, "measured_probe", fails)
    said: list[str] = []
    probe = Probe(name="toy", shape=TOY, storage=storage_of(FORMATS["q8_0"]))
    assert probing.measured_in_turns([(probe, Path("toy.gguf"))], Device(), 3, said.append) == {}
    assert said == ["toy could not be measured, so gguf may be left out: the process died"]


def _pretend(name: str, threads: int, unsteady: float = 0.0) -> MachineFit:
    """A fit without measuring: the reference's own figures of one probe."""
    reference = MachineFit(name="reference", runtime=name, threads=threads, constants=REFERENCE[name], errors=_NO_ERROR)
    probe = next(one for one in probes(tuple(RUNTIMES)) if one.storage.runtime == name)
    found = features(blueprint(probe.shape), probe.storage, _device(probe.shape))
    values = {figure: one.value for figure, one in reference.predict(found).items()}
    whole = Measurement(name=probe.name, features=found, measured=values)
    empty = Measurement(name="nothing", features={"ram_mb": {"process": 1.0}}, measured={"ram_mb": 60.0})
    median_ms = values["ms_per_token"] * (1.0 + unsteady)
    return fit_of(name, threads, [Probed(whole=whole, empty=empty, median_ms=median_ms)])


def _slow_machine(reference: Constants) -> MachineFit:
    """An ONNX fit of probes in int8 and int4 on a machine whose calls take twice and whose bytes thrice as long."""
    slow = {"token": 2.0, "layers": 2.0, "prompt": 2.0, "read": 3.0, "unpack any": 1.4, "multiply any": 1.7}
    constants = {
        figure: {name: one * slow.get(name, 1.0) for name, one in own.items()} for figure, own in reference.items()
    }
    machine = MachineFit(name="slow", runtime="onnx", threads=1, constants=constants, errors=_NO_ERROR)
    probed = [one for one in probes(tuple(RUNTIMES)) if one.storage.runtime == "onnx"]
    found = [(one, features(blueprint(one.shape), one.storage, _device(one.shape))) for one in probed]
    measurements = [
        Measurement(name=one.name, features=own, measured={at: it.value for at, it in machine.predict(own).items()})
        for one, own in found
    ]
    return fit(measurements, reference, name="here", runtime="onnx", threads=1)


def test_groups_of_4_bits_have_constants_of_their_own_which_change_no_other_format() -> None:
    """More scales, more time: in the order in which ONNX Runtime's products take it, on any machine."""
    own = REFERENCE["onnx"]
    without = {figure: {name: one for name, one in of.items() if "int4-g" not in name} for figure, of in own.items()}
    fitted, plain, asked = _slow_machine(own), _slow_machine(without), _device(WIDER)
    for shape in (WIDER, PRESETS["15m"]):
        by_name = {
            name: features(blueprint(shape), storage_of(FORMATS[name]), asked)
            for name in ("fp32", "fp16", "int8", "int4", "int4-g16", "int4-g64", "int4-g128")
            if shape.hidden % FORMATS[name].block == shape.ffn % FORMATS[name].block == 0
        }
        for name in ("fp32", "fp16", "int8", "int4"):
            for figure, one in plain.predict(by_name[name]).items():
                assert fitted.predict(by_name[name])[figure].value == pytest.approx(one.value, rel=1e-9), (name, figure)
        for figure in ("ms_per_token", "first_token_ms"):
            more_scales_first = [
                fitted.predict(by_name[name])[figure].value
                for name in ("int4-g16", "int4", "int4-g64", "int4-g128")
                if name in by_name
            ]
            assert more_scales_first == sorted(more_scales_first, reverse=True)
            assert len(set(more_scales_first)) == len(more_scales_first) >= 3


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads of each measuring, which is pretended; fits are kept in ``tmp_path``."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked: list[int] = []

    def pretend(device: Device, say: object) -> dict[str, MachineFit]:
        asked.append(device.threads)
        return {name: _pretend(name, device.threads) for name in RUNTIMES}

    monkeypatch.setattr(planning, "measure_machine", pretend)
    return asked


def test_a_fit_is_kept_by_machine_runtime_and_threads_and_measured_anew_for_another_version(
    measured: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fits_of_this_machine(Device(), print)
    assert fits_of_this_machine(Device(), print) == first == stored_fits(1)
    assert measured == [1]
    assert first["gguf"].versions == versions("gguf")
    assert all(path.is_relative_to(tmp_path / "hone") for path in tmp_path.rglob("*.json"))
    fits_of_this_machine(Device(threads=2), print)
    fits_of_this_machine(Device(), print, anew=True)
    assert measured == [1, 2, 1]
    monkeypatch.setattr(planning, "versions", lambda name: {**versions(name), "runtime": "another"})
    assert stored_fits(1) == {}
    fits_of_this_machine(Device(), print)
    assert measured == [1, 2, 1, 1]


@pytest.mark.parametrize("kept", ["format", "keys", "values", "cut"])
def test_a_kept_fit_that_cannot_be_read_is_measured_anew(kept: str, measured: list[int], tmp_path: Path) -> None:
    first = fits_of_this_machine(Device(), print)
    file = next(path for path in tmp_path.rglob("*.json") if path.name.startswith("gguf"))
    text = file.read_text()
    value = json.loads(text)
    without = {key: one for key, one in value.items() if key != "stream"}
    damaged = {
        "format": json.dumps({**value, "format": 1}),
        "keys": json.dumps(without),
        "values": json.dumps({**value, "stream": 3}),
        "cut": text[: len(text) // 2],
    }
    file.write_text(damaged[kept])
    assert set(stored_fits(1)) == set(RUNTIMES) - {"gguf"}
    assert fits_of_this_machine(Device(), print) == first == stored_fits(1)
    assert measured == [1, 1]


def test_a_verdict_is_one_line_from_fits_that_are_kept_and_none_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model, device = blueprint(PRESETS["1m"]), Device(size_mb=2, ms_per_token=50)
    assert verdict_line("1m", model, device) is None
    monkeypatch.setattr(planning, "measure_machine", lambda device, say: {"gguf": _pretend("gguf", device.threads)})
    fits_of_this_machine(device, print)
    line = verdict_line("1m", model, device)
    assert line is not None
    assert line.startswith(
        "plan: 1m is expected to hold the device's budget in q8_0: size 1.03 of 2 MB, time per token "
    )
    over = verdict_line("1m", model, Device(size_mb=0.1))
    assert over == "plan: 1m is expected to hold the device's budget in no format; hone plan says what to change"
    assert verdict_line("1m", model, Device()) is None, "there is nothing to hold"


def test_more_megabytes_are_never_read_in_less_time() -> None:
    curve = stream_curve()
    assert [mb for mb, _ in curve] == sorted(mb for mb, _ in curve)
    assert all(0 < before[1] <= after[1] for before, after in pairwise(curve))


def test_a_figure_that_no_probe_measured_is_not_taken_from_the_reference() -> None:
    found = features(blueprint(SMALL), storage_of(FORMATS["q8_0"]), _device(SMALL))
    whole = Measurement(name="small", features=found, measured={"size_mb": 1.0, "ms_per_token": 1.0})
    empty = Measurement(name="nothing", features={"ram_mb": {"process": 1.0}}, measured={})
    assert set(fit_of("gguf", 1, [Probed(whole=whole, empty=empty, median_ms=1.0)]).constants) == {
        "size_mb",
        "ms_per_token",
    }


def test_runs_that_differ_widen_the_error_of_times_alone() -> None:
    steady, busy = _pretend("gguf", 1), _pretend("gguf", 1, unsteady=0.6)
    assert (steady.unsteady, busy.unsteady) == (0.0, pytest.approx(0.6))
    assert steady.errors["ms_per_token"] == METHOD_ERROR["ms_per_token"]
    assert busy.errors == {**steady.errors, **dict.fromkeys(("ms_per_token", "first_token_ms"), pytest.approx(0.6))}


def test_a_fit_of_a_busy_machine_says_so_whenever_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fits = {name: _pretend(name, 1, unsteady=0.69 if name == "onnx" else 0.0) for name in RUNTIMES}
    monkeypatch.setattr(planning, "measure_machine", lambda device, say: fits)
    fits_of_this_machine(Device(), print)
    said: list[str] = []
    assert fits_of_this_machine(Device(), said.append) == fits
    (line,) = said
    assert "work took 69% longer than it can" in line
    assert "--measure" in line


def test_more_threads_than_cores_are_refused_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "usable_cores", lambda: 2)
    monkeypatch.setattr(planning, "probes", None)
    with pytest.raises(InputError, match=r"device.threads 64: this machine has 2 cores .*device.threads=2"):
        measure_machine(Device(threads=64), print)


def test_a_runtime_that_cannot_be_measured_is_left_out_with_a_line(
    folders: Callable[[Shape], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = [
        Probe(name="toy q8_0", shape=TOY, storage=storage_of(FORMATS["q8_0"])),
        Probe(name="toy q6_k", shape=TOY, storage=replace(storage_of(FORMATS["q6_k"]), runtime="onnx")),
    ]
    monkeypatch.setattr(planning, "probes", lambda runtimes: listed)
    said: list[str] = []
    monkeypatch.setattr(planning, "ROUNDS", 1)
    found = measure_machine(Device(), said.append)
    assert list(found) == ["gguf"]
    assert any("toy q6_k could not be exported, so onnx may be left out" in line for line in said)
