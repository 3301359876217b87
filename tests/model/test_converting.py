"""Pickles and llama2.c's files become folders that open to the same numbers; what is more than tensors is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from hone.cli import main
from hone.data.tokenizer import TextTokenizer
from hone.errors import FailedError, InputError
from hone.model.base import open_base
from hone.model.converting import convert


def state_of(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


class Evil:
    """Runs something when a careless reader opens it."""

    def __reduce__(self) -> Any:
        return (print, ("code ran",))


@pytest.fixture
def pickled(make_base: Any, tmp_path: Path) -> Path:
    """A folder as Transformers wrote it years ago: the same weights in a pickle, the tied matrix twice."""
    folder = Path(shutil.copytree(make_base("gpt2"), tmp_path / "old"))
    state = state_of(folder)
    state["lm_head.weight"] = state["transformer.wte.weight"]
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def test_the_command_that_the_refusal_names_makes_a_folder_that_opens(
    pickled: Path, tmp_path: Path, capsys: Any, make_base: Any
) -> None:
    with pytest.raises(InputError) as refusal:
        open_base(str(pickled), TextTokenizer)
    assert f"hone convert {pickled} --out old-safetensors" in str(refusal.value)
    out = tmp_path / "new"
    assert main(["convert", str(pickled), "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["folder"] == str(out)
    assert sorted(path.name for path in out.iterdir())[:2] == ["config.json", "generation_config.json"]
    loaded: Any = open_base(str(out), TextTokenizer).module
    original: Any = open_base(str(make_base("gpt2")), TextTokenizer).module
    for name, value in original.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    assert main(["convert", str(pickled), "--out", str(out)]) == 2


def test_weights_in_parts_are_joined_and_a_missing_part_is_named(pickled: Path, tmp_path: Path) -> None:
    state = torch.load(pickled / "pytorch_model.bin", weights_only=True)
    names = sorted(state)
    parts = {"pytorch_model-00001-of-00002.bin": names[:9], "pytorch_model-00002-of-00002.bin": names[9:]}
    for file, own in parts.items():
        torch.save({name: state[name] for name in own}, pickled / file)
    (pickled / "pytorch_model.bin").unlink()
    with pytest.raises(InputError, match="needs one pickle of weights"):
        convert(pickled, tmp_path / "x")
    index = {"weight_map": {name: file for file, own in parts.items() for name in own}}
    (pickled / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    convert(pickled, tmp_path / "joined")
    assert set(state_of(tmp_path / "joined")) == set(names)
    (pickled / "pytorch_model-00002-of-00002.bin").unlink()
    with pytest.raises(InputError, match="lists 2 files, and 1 are missing"):
        convert(pickled, tmp_path / "y")


def test_code_in_a_pickle_does_not_run_and_nothing_is_written(pickled: Path, tmp_path: Path, capsys: Any) -> None:
    torch.save({"weight": Evil()}, pickled / "pytorch_model.bin")
    with pytest.raises(FailedError, match="cannot be read as tensors alone, so hone does not open it"):
        convert(pickled, tmp_path / "out")
    assert "code ran" not in capsys.readouterr().out
    torch.save({"model": {"weight": torch.ones(2)}, "step": 3}, pickled / "pytorch_model.bin")
    with pytest.raises(FailedError, match=r"not a plain table of tensors: it holds model \(dict\), step \(int\)"):
        convert(pickled, tmp_path / "out")
    state = {"transformer.wte.weight": torch.ones(2, 2)}
    torch.save(state, pickled / "pytorch_model.bin")
    with pytest.raises(FailedError):
        convert(pickled, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_of_llama2c_becomes_a_folder_of_the_same_model(stories: Path, tmp_path: Path, capsys: Any) -> None:
    from transformers import AutoModelForCausalLM

    lines = convert(stories, tmp_path / "stories")
    assert "shards" not in capsys.readouterr().err, "no bar of the library's"
    assert "260,032 parameters of stories260K.bin, 512 tokens of tok512.bin" in lines[0]
    plain, base = AutoModelForCausalLM.from_pretrained(tmp_path / "stories"), open_base(str(stories), TextTokenizer)
    folder = open_base(str(tmp_path / "stories"), TextTokenizer)
    ids = base.tokenizer.encode("Once upon a time")
    assert folder.tokenizer.encode("Once upon a time") == ids
    assert folder.roles == base.roles == {"begin": "<s>", "end": "<s>"}
    with torch.no_grad():
        one, other = (module(input_ids=torch.tensor([ids])).logits for module in (base.module, folder.module))
        assert torch.equal(one, other)
        assert torch.equal(plain(input_ids=torch.tensor([ids])).logits, one[..., :512])


def test_there_is_nothing_to_convert_in_what_is_right_already(make_base: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has \*.safetensors already"):
        convert(make_base("llama"), tmp_path / "x")
    with pytest.raises(InputError, match="neither a folder nor a file"):
        convert(tmp_path / "nothing", tmp_path / "x")
    (tmp_path / "bare").mkdir()
    with pytest.raises(InputError, match=r"has no config.json"):
        convert(tmp_path / "bare", tmp_path / "x")
