"""Saving finished weights: float16, and either completely or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import ModelMixin


def save_half(model: ModelMixin, folder: Path) -> None:
    """The folder that `from_pretrained` of plain diffusers reads; without the path it was loaded from."""

    def write(part: Path) -> None:
        model.half().save_pretrained(part)
        config = json.loads((part / "config.json").read_text())
        config.pop("_name_or_path", None)
        if "dtype" in config:  # the default dtype of transformers, as in diffusers
            config["dtype"] = "float32"
        (part / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")

    save_whole(folder, write)


def save_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary folder, then replace the old one by it."""
    part = path.with_name(f"{path.name}.part")
    if part.exists():
        shutil.rmtree(part)
    part.mkdir(parents=True)
    write(part)
    if path.exists():
        shutil.rmtree(path)
    part.rename(path)


def save_file(file: Path, write: Callable[[Path], object]) -> None:
    """Let `write` put a file of this name into a temporary folder, then move it here."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        write(Path(folder))
        (Path(folder) / file.name).rename(file)


def halved(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().half().cpu().contiguous() for name, tensor in tensors.items()}
