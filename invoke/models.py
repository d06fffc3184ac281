"""The models that can be named: `configs/models.yaml`, the user's own file, and any folder, file or hub id."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from invoke.errors import ModelError

PACKAGE = Path(__file__).parent
DEFAULT_MODEL = "pocket"
LARGEST_FILE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """What is known of a model before it is loaded."""

    name: str
    weights: str
    """A folder in diffusers layout, one `.safetensors` file, or a hub id."""
    family: str = "sd"
    description: str = ""
    width: int = 512
    height: int = 512
    multiple: int = 8
    """Sides must be multiples of this many pixels: the VAE's downsampling."""
    sampler: str = "k_lms"
    config: str = ""
    """For a single file: folder or hub id of the same architecture (tokenizer, configs)."""


class Registry:
    """Models by name, in the order of the files; later files win."""

    def __init__(self, specs: Mapping[str, ModelSpec]) -> None:
        self._specs = dict(specs)

    def __iter__(self) -> Any:
        return iter(self._specs.values())

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._specs)

    def find(self, name: str) -> ModelSpec:
        """The model called `name`, or the one that the folder, file or hub id `name` holds.

        Raises ModelError with the nearest name.
        """
        if name in self._specs:
            return self._specs[name]
        path = Path(name).expanduser()
        if path.is_dir():
            return _from_folder(name, path)
        if path.suffix == ".safetensors" and path.is_file():
            return ModelSpec(name=name, weights=str(path), description="single file")
        if path.suffix in {".ckpt", ".pt", ".bin"}:
            raise ModelError(
                f"{name}: weights in pickle files can hold code and are not opened",
                hint="convert the file to .safetensors, or name a folder in diffusers layout",
            )
        if _is_hub_id(name):
            return ModelSpec(name=name, weights=name, description="hub id")
        near = get_close_matches(name, self._specs, 1)
        meant = f", did you mean '{near[0]}'?" if near else ""
        raise ModelError(f"no model is called '{name}'{meant}", hint="!models lists those that there are")


def read_registry(user_file: Path | None = None) -> Registry:
    """The shipped models, then those of `user_file`.

    Raises ModelError when a file is no mapping of names to fields.
    """
    specs: dict[str, ModelSpec] = {}
    for file in (_shipped_file(), user_file):
        if file is not None:
            specs |= {name: _spec(name, row, file) for name, row in _rows(file).items()}
    return Registry(specs)


def _shipped_file() -> Path:
    packaged = PACKAGE / "configs" / "models.yaml"
    return packaged if packaged.exists() else PACKAGE.parent / "configs" / "models.yaml"


def _rows(file: Path) -> dict[str, Any]:
    import yaml

    try:
        if file.stat().st_size > LARGEST_FILE:
            raise ModelError(f"{file}: larger than 1 MB, this is no list of models")
        rows = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError, RecursionError) as error:
        raise ModelError(f"{file}: cannot be read: {str(error).splitlines()[0]}") from error
    if not isinstance(rows, dict):
        raise ModelError(f"{file}: must map model names to their fields")
    return rows


def _spec(name: object, row: object, file: Path) -> ModelSpec:
    if not isinstance(name, str) or not isinstance(row, dict):
        raise ModelError(f"{file}: {name}: must be a name and its fields")
    known = {field.name: type(field.default) for field in fields(ModelSpec)} | {"weights": str}
    for key, value in row.items():
        if key not in known or key == "name":
            near = get_close_matches(str(key), known, 1)
            meant = f", did you mean '{near[0]}'?" if near else ""
            raise ModelError(f"{file}: {name}: no field is called '{key}'{meant}")
        if type(value) is not known[key]:
            raise ModelError(f"{file}: {name}: {key} must be {known[key].__name__}, not {value!r}")
    if "weights" not in row:
        raise ModelError(f"{file}: {name}: says nothing of its weights")
    weights = str(PACKAGE / "pocket") if row["weights"] == "pocket" else row["weights"]
    return ModelSpec(name=name, **(row | {"weights": weights}))


def _is_hub_id(name: str) -> bool:
    owner, slash, repository = name.partition("/")
    plain = (owner + repository).replace("-", "").replace("_", "").replace(".", "")
    return bool(slash and owner and repository) and plain.isalnum() and owner[0].isalnum()


@cache
def _from_folder(name: str, path: Path) -> ModelSpec:
    if not (path / "model_index.json").is_file():
        raise ModelError(
            f"{name}: this folder is no model: it has no model_index.json",
            hint="name a folder in diffusers layout or a .safetensors file",
        )
    try:
        unet = json.loads((path / "unet" / "config.json").read_text(encoding="utf-8"))
        vae = json.loads((path / "vae" / "config.json").read_text(encoding="utf-8"))
        multiple = 2 ** (len(vae["block_out_channels"]) - 1)
        size = unet["sample_size"] * multiple
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{name}: this model is incomplete or of a family that is not known yet: {error}") from error
    return ModelSpec(name=name, weights=str(path), description="folder", width=size, height=size, multiple=multiple)
