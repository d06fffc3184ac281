"""Finished weights: float16, and either all there or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import ModelMixin


def save_half(model: ModelMixin, folder: Path) -> None:
    """The folder that `from_pretrained` of plain diffusers reads; where it was loaded from is not told."""

    def write(part: Path) -> None:
        model.half().save_pretrained(part)
        config = json.loads((part / "config.json").read_text())
        config.pop("_name_or_path", None)
        if "dtype" in config:  # what transformers computes in where nothing is asked for, as diffusers does
            config["dtype"] = "float32"
        (part / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")

    save_whole(folder, write)


def save_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a folder beside, then put it in the place of what was there."""
    part = path.with_name(f"{path.name}.part")
    if part.exists():
        shutil.rmtree(part)
    part.mkdir(parents=True)
    write(part)
    if path.exists():
        shutil.rmtree(path)
    part.rename(path)


def save_file(file: Path, write: Callable[[Path], object]) -> None:
    """Let `write` put a file of this name into a folder beside, then move it here."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        write(Path(folder))
        (Path(folder) / file.name).rename(file)


def halved(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().half().cpu().contiguous() for name, tensor in tensors.items()}
