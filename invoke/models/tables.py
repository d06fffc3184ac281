"""Lists of models in YAML: the shipped `configs/models.yaml`, and the user's own, which extends and overrides it."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from math import inf
from pathlib import Path
from typing import Any, get_args

from invoke.errors import ModelError, first_line
from invoke.models.registry import Registry
from invoke.models.spec import Family, Kind, ModelSpec
from invoke.paths import is_there
from invoke.samplers import SAMPLERS
from invoke.wording import did_you_mean

PACKAGE = Path(__file__).parents[1]
LARGEST_FILE = 1_000_000
HIDDEN = "hidden"
"""The field that takes a shipped model off the list."""

Rows = Mapping[str, Mapping[str, Any]]
"""Name → fields, as a file has them."""

DEFAULTS: Mapping[str, Any] = {
    field.name: "" if field.default is MISSING else field.default for field in fields(ModelSpec) if field.name != "name"
}
_RANGES = {
    "width": (8, 8192),
    "height": (8, 8192),
    "multiple": (1, 1024),
    "steps": (0, 1000),
    "guidance_scale": (0, 1e6),
}
_CHOICES = {"kind": get_args(Kind), "family": get_args(Family), "sampler": tuple(SAMPLERS)}


def read_registry(user_file: Path | None = None) -> Registry:
    """The shipped models, and those of `user_file`, which may say no more than what is different.

    A file that is missing says nothing. Raises ModelError when one is no mapping of names to fields.
    """
    rows = {name: dict(row) for name, row in shipped_rows().items()}
    for name, row in (read_rows(user_file) if user_file else {}).items():
        rows[name] = {**rows.get(name, {}), **_found_beside(user_file or Path(), row)}
    for name, row in rows.items():
        if "weights" not in row:
            raise ModelError(f"{user_file}: {name}: says nothing of its weights")
    return Registry({name: _spec(name, row) for name, row in rows.items() if not row.get(HIDDEN)})


def _found_beside(file: Path, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """`row` with what lies beside `file` named in full, so that the list can be used from any folder."""
    there = {key: file.parent / str(row[key]) for key in ("weights", "config", "prior") if row.get(key)}
    return {**row, **{key: str(path.absolute()) for key, path in there.items() if is_there(path)}}


def shipped_rows() -> Rows:
    """Those of `configs/models.yaml`."""
    packaged = PACKAGE / "configs" / "models.yaml"
    return read_rows(packaged if packaged.exists() else PACKAGE.parent / "configs" / "models.yaml")


def read_rows(file: Path) -> Rows:
    """The rows of `file`, each field of the right kind; none where there is no such file. Raises ModelError."""
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise ModelError(f"{file}: larger than 1 MB, this is no list of models")
        text = file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):  # a service may have the home /dev/null
        return {}
    except (OSError, UnicodeError) as error:
        raise ModelError(f"{file}: cannot be read: {str(error).splitlines()[0]}") from error
    return parse_rows(text, str(file))


def yaml_reason(error: Exception) -> str:
    """What is wrong in a YAML file, and in which line where that is known."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    return f"line {mark.line + 1}: {problem}" if mark and problem else first_line(error)


def parse_rows(text: str, where: str) -> Rows:
    """The rows that a file's `text` says. Raises ModelError, which begins with `where`."""
    import yaml

    try:
        rows = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ModelError(f"{where}: cannot be read: {yaml_reason(error)}") from error
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
    """Raises ModelError, which begins with `where`, for a field that there is not, or that cannot have its value."""
    for key, value in row.items():
        _check_field(key, value, where)


def _check_field(key: object, value: object, where: str) -> None:
    if not isinstance(key, str) or key not in {*DEFAULTS, HIDDEN}:
        meant = did_you_mean(str(key), DEFAULTS)
        raise ModelError(f"{where}: no field is called '{key}'{meant}", code="bad_field")
    if key == "triggers" and isinstance(value, list) and all(isinstance(word, str) for word in value):
        return
    wanted = bool if key == HIDDEN else type(DEFAULTS[key])
    least, most = _RANGES.get(key, (0, inf))
    allowed = {int, float} if wanted is float else {wanted}
    if type(value) not in allowed or (isinstance(value, int | float) and not least <= value <= most):
        what = {tuple: "a list of words", bool: "true or false", str: "a text"}.get(wanted)
        if what is None:
            what = f"a {'whole ' if wanted is int else ''}number, at least {least}"
            what += f" and at most {most}" if most < inf else ""
        raise ModelError(f"{where}: {key} must be {what}, not {value!r}", code="bad_field")
    if key in _CHOICES and value not in _CHOICES[key]:
        meant = did_you_mean(str(value), _CHOICES[key])
        raise ModelError(
            f"{where}: {key} must be one of {' '.join(_CHOICES[key])}, not {value!r}{meant}", code="bad_field"
        )


def _spec(name: str, row: Mapping[str, Any]) -> ModelSpec:
    given: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in row.items() if key != HIDDEN
    }
    if given["weights"] == "pocket":
        given["weights"] = str(PACKAGE / "pocket")
    return ModelSpec(name=name, **given)
