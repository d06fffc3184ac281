"""Pickle files: their tensors are read, and their code is never run."""

import os
import pickle
import struct
import tarfile
import zipfile
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from invoke.engine.process import pickles
from invoke.engine.process.inert_unpickler import read_tensors
from invoke.engine.process.pickles import Convert
from invoke.errors import ModelError
from invoke.processes import ask_untrusted

WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.float16)}


class Trap:
    """An object that runs a command when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def convert(source: Path) -> Path:
    target = source.with_suffix(".safetensors")
    pickles.convert(Convert(source, target))
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
def test_converted_tensors_equal_the_originals(tmp_path: Path, wrapped: dict[str, Any], new: bool) -> None:
    torch.save(wrapped, tmp_path / "m.ckpt", _use_new_zipfile_serialization=new)
    found = load_file(convert(tmp_path / "m.ckpt"))
    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[name], WEIGHTS[name]) and found[name].dtype == WEIGHTS[name].dtype for name in found)


def test_shared_tensors_are_written_separately(tmp_path: Path) -> None:
    whole = torch.arange(8.0)
    torch.save({"a": whole, "b": whole[2:4], "c": whole.view(2, 4).T}, tmp_path / "m.pt")
    found = load_file(convert(tmp_path / "m.pt"))
    assert found["b"].tolist() == [2, 3]
    assert found["c"].tolist() == whole.view(2, 4).T.tolist()


def test_an_old_textual_inversion_is_converted(tmp_path: Path) -> None:
    torch.save(
        {"string_to_token": {"*": 265}, "string_to_param": {"*": torch.ones(2, 8)}, "name": "x"}, tmp_path / "m.pt"
    )
    assert {name: tuple(each.shape) for name, each in load_file(convert(tmp_path / "m.pt")).items()} == {
        "emb_params": (2, 8)
    }


class Callback:
    """Of a class that the program does not know, and with more than weights in it, as ModelCheckpoint's."""

    def __init__(self, path: Path) -> None:
        self.trap, self.best = Trap(path), np.float64(0.5)


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    "beside",
    [
        lambda place: {"x": Trap(place)},
        lambda place: {"callbacks": {Callback: Callback(place)}},
        lambda place: {"epoch": np.float64(3), "best": np.arange(4)},
        lambda place: {"hyper_parameters": Namespace(lr=0.1), "places": {(1, 2): Path("x")}, "kinds": {"a", "b"}},
    ],
)
def test_code_beside_the_weights_is_not_run_and_the_weights_are_kept(
    tmp_path: Path, new: bool, beside: Callable[[Path], dict[str, Any]]
) -> None:
    wrapped = {"state_dict": OrderedDict(WEIGHTS), **beside(tmp_path / "sprung")}
    torch.save(wrapped, tmp_path / "m.ckpt", _use_new_zipfile_serialization=new)
    assert load_file(convert(tmp_path / "m.ckpt")).keys() == WEIGHTS.keys()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.ckpt", "m.safetensors"]


@pytest.mark.parametrize(
    ("whole", "names"),
    [
        (torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3)), {"0.weight", "0.bias", "1.running_mean"}),
        ({"params": torch.nn.ParameterDict({"w": torch.nn.Parameter(torch.ones(2))})}, {"w"}),
        ({"w": torch.nn.Parameter(torch.ones(2))}, {"w"}),
        ({"string_to_param": torch.nn.ParameterDict({"*": torch.nn.Parameter(torch.ones(1, 8))})}, {"emb_params"}),
    ],
)
def test_whole_saved_modules_and_parameters_are_converted(tmp_path: Path, whole: Any, names: set[str]) -> None:
    torch.save(whole, tmp_path / "m.pth")
    assert load_file(convert(tmp_path / "m.pth")).keys() >= names


def _programs(place: Path) -> dict[str, bytes]:
    """Pickles that run `os.mkdir(place)` where they are believed, in every way that the format has."""
    word = str(place).encode()
    text = b"X" + struct.pack("<I", len(word)) + word
    shell = f"import os; os.mkdir({str(place)!r})".encode()
    code = b"X" + struct.pack("<I", len(shell)) + shell
    command = b"X" + struct.pack("<I", len(b"mkdir " + word)) + b"mkdir " + word
    return {
        "REDUCE": b"cos\nmkdir\n(" + text + b"tR.",
        "posix": b"cposix\nsystem\n(" + command + b"tR.",
        "os.system": b"cos\nsystem\n(" + command + b"tR.",
        "subprocess": b"csubprocess\ncheck_output\n((lp0\n" + b"Vmkdir\nV" + word + b"\netR.",
        "exec": b"cbuiltins\nexec\n(" + code + b"tR.",
        "eval": b"c__builtin__\neval\n(" + code + b"tR.",
        "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93(" + text + b"tR.",
        "dotted": b"\x80\x04\x8c\x02os\x8c\x0dpath.os.mkdir\x93(" + text + b"tR.",
        "NEWOBJ": b"\x80\x02cos\nmkdir\n(" + text + b"t\x81.",
        "NEWOBJ_EX": b"\x80\x04cos\nmkdir\n(" + text + b"t}\x92.",
        "INST": b"(" + text + b"ios\nmkdir\n.",
        "OBJ": b"(cos\nmkdir\n" + text + b"o.",
        "BUILD": b"ccollections\nOrderedDict\n)R}(X\x0c\x00\x00\x00__setstate__cos\nmkdir\nsb" + text + b"b.",
        "partial": b"cfunctools\npartial\n(cos\nmkdir\n" + text + b"tR)R.",
        "getattr": b"cbuiltins\ngetattr\n(cos\npath\nX\x02\x00\x00\x00ostR.",
        "torch": b"ctorch._utils\n_rebuild_tensor_v2\n(cos\nmkdir\n" + text + b"tR.",
        "rebuild": b"ctorch._tensor\n_rebuild_from_type_v2\n(cos\nmkdir\nctorch\nTensor\n(" + text + b"tNtR.",
        "extension": b"\x82\x01.",
        "persistent": b"P" + word + b"\n.",
        "persistent tuple": b"(X\x07\x00\x00\x00storagecos\nmkdir\n" + text + text + b"K\x01tQ.",
        "append": b"cos\nmkdir\n(" + text + b"e.",
        "setitem": b"cos\nmkdir\n" + text + text + b"s.",
    }


@pytest.mark.parametrize("way", _programs(Path("x")))
@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_malicious_pickles_run_nothing(way: str, new: bool, tmp_path: Path) -> None:
    place = tmp_path / "sprung"
    program = _programs(place)[way]
    path = tmp_path / "m.pt"
    torch.save({"state_dict": WEIGHTS}, path, _use_new_zipfile_serialization=new)
    if new:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("m/data.pkl", program)
            archive.writestr("m/version", "3")
    else:
        path.write_bytes(_legacy_file(program))
    with suppress(ModelError):
        assert read_tensors(path) == ({}, {})
    assert not place.exists()


def _itself() -> dict[str, Any]:
    whole: dict[str, Any] = {}
    whole["state_dict"] = whole
    return whole


@pytest.mark.parametrize(
    ("whole", "sentence"),
    [
        ({"a": torch.zeros(1).expand(60000, 60000)}, "its tensors would take 14.4 GB, far more than it holds"),
        (_itself(), "it contains itself"),
    ],
)
def test_pickles_that_would_fill_the_memory_are_refused(tmp_path: Path, whole: Any, sentence: str) -> None:
    torch.save(whole, tmp_path / "m.pt")
    with pytest.raises(ModelError, match=sentence):
        convert(tmp_path / "m.pt")


def _legacy_file(program: bytes) -> bytes:
    return b"".join(pickle.dumps(each, 2) for each in (0x1950A86A20F9469CFC6C, 1001, {})) + program


@pytest.mark.parametrize(
    "program",
    [
        b"]" * 200_000 + b".",
        b"(" * 200_000 + b".",
        b"X" + struct.pack("<I", 2**31) + b"short",
        b"\x8d" + struct.pack("<Q", 2**62) + b"short",
        b"\x95" + struct.pack("<Q", 2**40) + b"short",
        b"\x8e" + struct.pack("<Q", 2**35) + b"short",
        b"V" + b"a" * 200_000 + b"\n.",
        b"]q\x00" + b"2" * 200_000 + b".",
    ],
    ids=["lists", "marks", "string", "long string", "frame", "bytes", "line", "copies"],
)
def test_a_file_with_huge_tensors_is_refused_at_once(
    program: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("invoke.engine.process.inert_unpickler.LARGEST_PICKLE", 100_000)
    path = tmp_path / "m.pt"
    path.write_bytes(_legacy_file(program))
    with pytest.raises(ModelError, match="its pickle is larger than in any file of weights"):
        read_tensors(path)


def test_an_endless_memo_and_deep_nests_are_refused(tmp_path: Path) -> None:
    deep = b"}" + b"X\x05\x00\x00\x00model}" * 5000 + b"s" * 5000 + b"."
    lists = b"]q\x00" + b"".join(b"]q\x01(h\x00h\x00eq\x00" for _ in range(60)) + b"."
    for program in (deep, lists):
        with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
            archive.writestr("m/data.pkl", program)
        try:
            assert read_tensors(tmp_path / "m.pt") == ({}, {})
        except ModelError as error:
            assert "it contains itself" in error.message


def test_a_key_that_doubles_itself_is_refused(tmp_path: Path) -> None:
    key = b"K\x01" + b"2\x86" * 60
    program = b"\x80\x02(X\x07\0\0\0storagectorch\nFloatStorage\n" + key + b"X\x03\0\0\0cpuK\x01tQ."
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        archive.writestr("m/data.pkl", program)
    with pytest.raises(ModelError, match="something other than a tensor's memory"):
        read_tensors(tmp_path / "m.pt")


def test_a_tensor_of_many_dimensions_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros([1] * 64), "b": torch.zeros([1] * 65)}, tmp_path / "m.pt")
    with pytest.raises(ModelError, match="shape is damaged"):
        read_tensors(tmp_path / "m.pt")


@given(data=st.data())
@settings(max_examples=150)
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    new = data.draw(st.booleans())
    torch.save({"state_dict": WEIGHTS, "x": Namespace(a=1)}, tmp_path / "m.pt", _use_new_zipfile_serialization=new)
    whole = bytearray((tmp_path / "m.pt").read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=8)):
        whole[place] = data.draw(st.integers(0, 255))
    (tmp_path / "m.pt").write_bytes(whole)
    try:
        found, _ = read_tensors(tmp_path / "m.pt")
    except ModelError as error:
        assert error.message.startswith(f"{tmp_path / 'm.pt'}: ")
        assert "\n" not in error.message
    else:
        assert all(isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in found.items())


def test_the_answer_of_the_conversion_process_is_validated(tmp_path: Path) -> None:
    """The answer is JSON, so a compromised conversion process cannot reach the program."""
    torch.save({"state_dict": WEIGHTS}, tmp_path / "m.ckpt")
    target = tmp_path / "m.safetensors"
    ask_untrusted("invoke.engine.process.pickles", Convert(tmp_path / "m.ckpt", target), "aborted")
    assert load_file(target).keys() == WEIGHTS.keys()
    with pytest.raises(ModelError, match="cannot be written: File exists"):
        ask_untrusted("invoke.engine.process.pickles", Convert(tmp_path / "m.ckpt", target), "aborted")
    with pytest.raises(ModelError, match="aborted"):
        ask_untrusted("tests.engine.pickle_answer", None, "aborted")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "damaged, or not a file of weights"),
        (b"junk", "damaged, or not a file of weights"),
        (b"PK\x03\x04 cut off", "damaged, or not a file of weights"),
        (b"<!DOCTYPE html><title>Sign in</title>", "this is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "this is a Git LFS pointer"),
        (b"GGUF\x03\x00\x00\x00", "this is weights in GGUF"),
        (b'\x10\x00\x00\x00\x00\x00\x00\x00{"a": {}}', "this is a safetensors file"),
    ],
)
def test_files_without_weights_of_torch_are_refused(tmp_path: Path, data: bytes, sentence: str) -> None:
    (tmp_path / "m.ckpt").write_bytes(data)
    with pytest.raises(ModelError, match=sentence):
        convert(tmp_path / "m.ckpt")
    assert not (tmp_path / "m.safetensors").exists()


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "m.ckpt")
    whole = (tmp_path / "m.ckpt").read_bytes()
    (tmp_path / "m.ckpt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="damaged"):
        convert(tmp_path / "m.ckpt")


def test_a_pickle_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "m.ckpt")
    with pytest.raises(ModelError, match="does not contain weights"):
        convert(tmp_path / "m.ckpt")
    torch.save([1, 2], tmp_path / "m.ckpt")
    with pytest.raises(ModelError, match="does not contain weights"):
        convert(tmp_path / "m.ckpt")


def test_an_existing_target_is_not_overwritten(tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "m.ckpt")
    (tmp_path / "m.safetensors").write_text("mine")
    with pytest.raises(ModelError, match="cannot be written: File exists"):
        convert(tmp_path / "m.ckpt")
    assert (tmp_path / "m.safetensors").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.ckpt", "m.safetensors"]


def test_torchscript_compressed_and_tar_archives_are_named(tmp_path: Path) -> None:
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "m.pt")
    with pytest.raises(ModelError, match="it is a TorchScript program"):
        convert(tmp_path / "m.pt")
    with zipfile.ZipFile(tmp_path / "m.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", b"}.")
        archive.writestr("m/data/0", b"\0" * 10_000_000)
    with pytest.raises(ModelError, match="its parts are compressed"):
        convert(tmp_path / "m.pt")
    with tarfile.open(tmp_path / "m.pt", "w") as tar:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(ModelError, match="it is a tar archive, the format of torch before"):
        convert(tmp_path / "m.pt")


def test_a_plain_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.ckpt", "w") as archive:
        archive.writestr("evil.py", "print('hello')")
    with pytest.raises(ModelError, match="damaged, or not a file of weights"):
        convert(tmp_path / "m.ckpt")
