"""Sharded networks are read as one, with any variants beside them; a missing file is named."""

import json
import shutil
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.process import pickles
from invoke.errors import ModelError
from invoke.language.parse import read
from invoke.models import Registry
from tests.checkpoint_makings import SHARDS
from tests.engine.making import Array, make
from tests.making import ARequest

pytestmark = pytest.mark.usefixtures("no_network")
State = dict[str, torch.Tensor]


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


@pytest.fixture
def whole(engine: DiffusionEngine, a_request: ARequest) -> Array:
    """The picture of the unchanged folder."""
    return make(engine, a_request(steps=2))


def weights_of(part: Path) -> Path:
    (file,) = part.glob("*.safetensors")
    return file


def split(part: Path, variant: str = "", *, keep: bool = False, save: Callable[..., Any] = save_file) -> list[Path]:
    """The weights of `part` in three files and an index, with the names that diffusers and transformers give them."""
    file = weights_of(part)
    state, stem = load_file(file), file.stem
    ending = "safetensors"
    if save is not save_file:
        ending, stem = "bin", stem if stem != "model" else "pytorch_model"
    if not keep:
        file.unlink()
    dot = f".{variant}" if variant else ""
    keys, names = sorted(state), [f"{stem}{dot}-0000{number}-of-00003.{ending}" for number in (1, 2, 3)]
    where = {key: names[index * 3 // len(keys)] for index, key in enumerate(keys)}
    for name in names:
        save({key: state[key] for key in keys if where[key] == name}, part / name)
    (part / f"{stem}.{ending}.index{dot}.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return [part / name for name in names]


@pytest.mark.parametrize("forms", SHARDS.values(), ids=SHARDS)
def test_sharded_weights_are_read_as_one_network(
    forms: Mapping[str, str], copy: Path, whole: Array, a_request: ARequest
) -> None:
    for part, variant in forms.items():
        split(copy / part, variant)
    assert np.array_equal(make(DiffusionEngine(Registry({})), a_request(model=copy, steps=2)), whole)


@pytest.mark.parametrize(("part", "which"), [("unet", 1), ("unet", 2), ("text_encoder", 0)])
def test_a_missing_shard_is_named(part: str, which: int, copy: Path, a_request: ARequest) -> None:
    shards = split(copy / part)
    shards[which].unlink()
    with pytest.raises(ModelError, match=f"this model is incomplete: {part}/{shards[which].name} is missing"):
        make(DiffusionEngine(Registry({})), a_request(model=copy))
    for shard in shards:
        shard.unlink(missing_ok=True)
    with pytest.raises(ModelError, match=f"{part}/{shards[0].name} and 2 more of its parts are missing"):
        make(DiffusionEngine(Registry({})), a_request(model=copy))


def test_a_complete_variant_is_used_instead_of_an_incomplete_one(copy: Path, whole: Array, a_request: ARequest) -> None:
    file = weights_of(copy / "unet")
    shutil.copy(file, file.with_name(f"{file.stem}.fp16.safetensors"))
    whole_file = file.read_bytes()
    (copy / "unet" / f"{file.stem}.fp16.safetensors").rename(copy / "aside")
    shards = split(copy / "unet")
    shards[1].unlink()
    (copy / "aside").rename(copy / "unet" / f"{file.stem}.fp16.safetensors")
    assert (copy / "unet" / f"{file.stem}.fp16.safetensors").read_bytes() == whole_file
    assert np.array_equal(make(DiffusionEngine(Registry({})), a_request(model=copy, steps=2)), whole)


@pytest.mark.parametrize("text", ["{}", '{"weight_map": {"a": "../../secret.safetensors"}}', "[", '{"weight_map": 3}'])
def test_a_damaged_index_is_refused(text: str, copy: Path, a_request: ARequest) -> None:
    split(copy / "unet")
    (copy / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text(text)
    with pytest.raises(ModelError, match=r"index\.json is damaged"):
        make(DiffusionEngine(Registry({})), a_request(model=copy))


@pytest.mark.parametrize("variant", ["", "fp16"])
def test_sharded_pickles_are_converted(
    variant: str, copy: Path, whole: Array, a_request: ARequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One part in shards, one in a single file, one already converted."""
    for part in ("unet", "text_encoder"):
        split(copy / part, variant, save=torch.save)
    file = weights_of(copy / "vae")
    torch.save(load_file(file), file.with_suffix(".bin"))
    file.unlink()
    with pytest.raises(ModelError, match=r"the weights of its .* are pickle files") as caught:
        make(DiffusionEngine(Registry({})), a_request(model=copy))
    assert "!optimize_model" in caught.value.hint
    command = import_module("invoke.commands.optimize_model")
    monkeypatch.setattr(command, "ask_untrusted", lambda module, question, failed: pickles.convert(question))
    quiet: Any = SimpleNamespace(
        session=SimpleNamespace(models_file=None), ask=lambda question: True, say=lambda text: None, note=pytest.fail
    )
    command.optimize_model(quiet, read(f"!optimize_model {copy}"))
    assert np.array_equal(make(DiffusionEngine(Registry({})), a_request(model=copy, steps=2)), whole)
