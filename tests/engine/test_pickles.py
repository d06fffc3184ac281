"""Pickle files: their tensors are taken, what they would run is not."""

import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from invoke.engine.process.pickles import Convert
from invoke.errors import ModelError
from invoke.processes import ask_child

WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.float16)}


class Trap:
    """What runs a command where a pickle is believed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def convert(source: Path) -> Path:
    target = source.with_suffix(".safetensors")
    ask_child("invoke.engine.process.pickles", Convert(source, target), "broke off")
    return target


@pytest.mark.parametrize(
    "wrapped",
    [
        WEIGHTS,
        {"state_dict": WEIGHTS, "global_step": 3, "epoch": 1, "hyper_parameters": {"lr": 0.1}},
        {"params_ema": WEIGHTS},
        {"model": {"state_dict": WEIGHTS}},
    ],
)
@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_tensors_are_what_they_were(tmp_path: Path, wrapped: dict[str, Any], new: bool) -> None:
    torch.save(wrapped, tmp_path / "m.ckpt", _use_new_zipfile_serialization=new)
    found = load_file(convert(tmp_path / "m.ckpt"))
    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[name], WEIGHTS[name]) and found[name].dtype == WEIGHTS[name].dtype for name in found)


def test_tensors_that_share_memory_get_their_own(tmp_path: Path) -> None:
    whole = torch.arange(8.0)
    torch.save({"a": whole, "b": whole[2:4], "c": whole.view(2, 4).T}, tmp_path / "m.pt")
    found = load_file(convert(tmp_path / "m.pt"))
    assert found["b"].tolist() == [2, 3]
    assert found["c"].tolist() == whole.view(2, 4).T.tolist()


def test_an_old_textual_inversion_becomes_one(tmp_path: Path) -> None:
    torch.save(
        {"string_to_token": {"*": 265}, "string_to_param": {"*": torch.ones(2, 8)}, "name": "x"}, tmp_path / "m.pt"
    )
    assert {name: tuple(each.shape) for name, each in load_file(convert(tmp_path / "m.pt")).items()} == {
        "emb_params": (2, 8)
    }


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("careless", ["", "1"])
def test_code_in_a_pickle_never_runs(tmp_path: Path, new: bool, careless: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", careless)
    trap = {"state_dict": WEIGHTS, "x": Trap(tmp_path / "sprung")}
    torch.save(trap, tmp_path / "m.ckpt", _use_new_zipfile_serialization=new)
    with pytest.raises(
        ModelError, match=r"holds more than weights and was not opened: it wants posix\.mkdir"
    ) as caught:
        convert(tmp_path / "m.ckpt")
    assert caught.value.code == "unsafe_pickle"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.ckpt"]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "damaged, or no file of weights"),
        (b"junk", "damaged, or no file of weights"),
        (b"PK\x03\x04 cut off", "damaged, or no file of weights"),
    ],
)
def test_what_is_no_file_of_weights_is_one_sentence(tmp_path: Path, data: bytes, sentence: str) -> None:
    (tmp_path / "m.ckpt").write_bytes(data)
    with pytest.raises(ModelError, match=sentence):
        convert(tmp_path / "m.ckpt")
    assert not (tmp_path / "m.safetensors").exists()


def test_a_file_that_is_cut_off_is_one_sentence(tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "m.ckpt")
    whole = (tmp_path / "m.ckpt").read_bytes()
    (tmp_path / "m.ckpt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="damaged"):
        convert(tmp_path / "m.ckpt")


def test_a_file_without_weights_is_one_sentence(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "m.ckpt")
    with pytest.raises(ModelError, match="holds no weights"):
        convert(tmp_path / "m.ckpt")
    torch.save([1, 2], tmp_path / "m.ckpt")
    with pytest.raises(ModelError, match="holds no weights"):
        convert(tmp_path / "m.ckpt")


def test_what_is_there_already_is_not_overwritten(tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "m.ckpt")
    (tmp_path / "m.safetensors").write_text("mine")
    with pytest.raises(ModelError, match="cannot be written: File exists"):
        convert(tmp_path / "m.ckpt")
    assert (tmp_path / "m.safetensors").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.ckpt", "m.safetensors"]


def test_a_plain_zip_is_no_checkpoint(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.ckpt", "w") as archive:
        archive.writestr("evil.py", "print('hello')")
    with pytest.raises(ModelError, match="damaged, or no file of weights"):
        convert(tmp_path / "m.ckpt")
