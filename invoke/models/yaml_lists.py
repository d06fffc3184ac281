"""Reads the lists of models: the shipped configs/models.yaml, and the user's own, which overrides it."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from math import inf
from pathlib import Path
from reprlib import Repr
from typing import Any, get_args

from invoke import files, yaml_text
from invoke.errors import ModelError, first_line
from invoke.models.families import Family
from invoke.models.registry import Registry
from invoke.models.spec import PREDICTIONS, SPACINGS, UNION_MODES, Kind, ModelSpec
from invoke.options import Offload, Quantize
from invoke.paths import is_there
from invoke.samplers import SAMPLERS
from invoke.text import did_you_mean
from invoke.yaml_text import YamlError

PACKAGE = Path(__file__).parents[1]
LONGEST_WORD = 60
"""Maximum length of an invalid value in a message."""
HIDDEN = "hidden"
"""The field that hides a shipped model."""

Rows = Mapping[str, Mapping[str, Any]]
"""Name → fields, as in a file."""

DEFAULTS: Mapping[str, Any] = {
    field.name: "" if field.default is MISSING else field.default
    for field in fields(ModelSpec)
    if field.name not in {"name", "stated"}
}
_RANGES = {
    "width": (8, 8192),
    "height": (8, 8192),
    "min_side": (0, 8192),
    "max_side": (0, 8192),
    "multiple": (1, 1024),
    "steps": (0, 1000),
    "guidance_scale": (0, 1e6),
    "cfg_rescale": (0, 1),
}
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = LONGEST_WORD
_CHOICES = {
    "kind": get_args(Kind),
    "family": get_args(Family),
    "sampler": tuple(SAMPLERS),
    "prediction_type": PREDICTIONS,
    "timestep_spacing": SPACINGS,
    "mode": tuple(UNION_MODES),
    "quantize": get_args(Quantize),
    "offload": get_args(Offload),
}
_UNSAID = ("prediction_type", "timestep_spacing", "mode", "quantize", "offload")
"""Those of `_CHOICES` that may be empty."""


PLACES = ("weights", "config", "prior", "vae", "base", "preview_vae", "image_encoder", "lora", "gguf")
"""Fields that may be paths relative to the list."""


def read_registry(user_file: Path | None = None) -> Registry:
    """Read the shipped models and those of `user_file`, whose entries may override single fields.

    A missing file counts as empty. Raises ModelError if a file does not map names to fields.
    """
    rows = {name: dict(row) for name, row in shipped_rows().items()}
    for name, row in (read_rows(user_file) if user_file else {}).items():
        rows[name] = {**rows.get(name, {}), **_found_beside(user_file or Path(), row)}
    for name, row in rows.items():
        if "weights" not in row:
            raise ModelError(f"{user_file}: {name}: has no weights")
    return Registry({name: _spec(name, row) for name, row in rows.items() if not row.get(HIDDEN)})


def _found_beside(file: Path, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make paths relative to `file` absolute, so that the list can be used from any folder."""
    places = {key: file.parent / str(row[key]) for key in PLACES if row.get(key)}
    return {**row, **{key: str(path.absolute()) for key, path in places.items() if is_there(path)}}


def shipped_rows() -> Rows:
    """The rows of `configs/models.yaml`."""
    packaged = PACKAGE / "configs" / "models.yaml"
    return read_rows(packaged if is_there(packaged) else PACKAGE.parent / "configs" / "models.yaml")


def read_rows(file: Path) -> Rows:
    """Read and check the rows of `file`; empty if it does not exist. Raises ModelError."""
    text = read_text(file)
    return {} if text is None else parse_rows(text, str(file))


def read_text(file: Path) -> str | None:
    """The content of `file`; None if it does not exist. Raises ModelError."""
    try:
        return files.read_file(file, yaml_text.LARGEST).decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):  # NotADirectoryError: services may have the home /dev/null
        return None
    except UnicodeError as error:
        raise ModelError(f"{file}: cannot be read: it is not UTF-8: {first_line(error)}") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def parse_rows(text: str, where: str) -> Rows:
    """Parse the `text` of a file. Raises ModelError, which begins with `where`."""
    try:
        rows = yaml_text.load(text)
    except YamlError as error:
        raise ModelError(f"{where}: cannot be read: {error}") from None
    if rows is None:
        return {}
    if not isinstance(rows, dict):
        raise ModelError(f"{where}: must map model names to their fields")
    for name, row in rows.items():
        if not isinstance(name, str) or not isinstance(row, dict):
            raise ModelError(f"{where}: {name}: must be a name and its fields")
        check_row(row, f"{where}: {name}")
    return rows


def check_row(row: Mapping[str, Any], where: str) -> None:
    """Raise ModelError, which begins with `where`, for an unknown field or an invalid value."""
    for key, value in row.items():
        _check_field(key, value, where)


def _check_field(key: object, value: object, where: str) -> None:
    if not isinstance(key, str) or key not in {*DEFAULTS, HIDDEN}:
        suggestion = did_you_mean(str(key)[:LONGEST_WORD], DEFAULTS)
        raise ModelError(f"{where}: there is no field '{str(key)[:LONGEST_WORD]}'{suggestion}", code="bad_field")
    if key == "triggers" and isinstance(value, list) and all(isinstance(word, str) for word in value):
        return
    expected = bool if key == HIDDEN else type(DEFAULTS[key])
    least, most = _RANGES.get(key, (0, inf))
    allowed = {int, float} if expected is float else {expected}
    if type(value) not in allowed or (isinstance(value, int | float) and not least <= value <= most):
        description = {tuple: "a list of words", bool: "true or false", str: "a text"}.get(expected)
        if description is None:
            description = f"a {'whole ' if expected is int else ''}number, at least {least}"
            description += f" and at most {most}" if most < inf else ""
        raise ModelError(f"{where}: {key} must be {description}, not {_SHORT.repr(value)}", code="bad_field")
    if key in _CHOICES and value not in _CHOICES[key] and not (key in _UNSAID and value == ""):
        suggestion = did_you_mean(str(value)[:LONGEST_WORD], _CHOICES[key])
        names = " ".join(_CHOICES[key])
        raise ModelError(
            f"{where}: {key} must be one of {names}, not {_SHORT.repr(value)}{suggestion}", code="bad_field"
        )


def _spec(name: str, row: Mapping[str, Any]) -> ModelSpec:
    given: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in row.items() if key != HIDDEN
    }
    if given["weights"] == "pocket":
        given["weights"] = str(PACKAGE / "pocket")
    return ModelSpec(name=name, stated=frozenset(given), **given)
