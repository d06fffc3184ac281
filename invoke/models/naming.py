"""Names of entries: what they may be, and which one a folder, file or hub id gets that is given none."""

import re
from pathlib import Path

from invoke.errors import ModelError
from invoke.samplers import SAMPLERS

_NAME = re.compile(r"\w[\w.+-]*")


def check_name(name: str) -> None:
    """Raises ModelError where `name` could not be typed behind `-m`, or would mean something else there."""
    if not _NAME.fullmatch(name):
        raise ModelError(
            f"'{name}' cannot be a name: letters, digits and . _ + - can, beginning with a letter or digit",
            code="bad_name",
        )
    if name in SAMPLERS:
        raise ModelError(f"'{name}' cannot be the name of a model: it is a sampler", code="bad_name")


def name_for(weights: str) -> str:
    """`owner/My Model` → `My-Model`, `models/fire v2.safetensors` → `fire-v2`."""
    path = Path(weights)
    stem = path.stem if path.suffix in {".safetensors", ".ckpt", ".pt", ".pth", ".bin"} else path.name
    return re.sub(r"^[^\w]+|[^\w.+-]+", "-", stem).strip("-.") or "model"
