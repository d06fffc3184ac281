"""The user's own file of defaults: `config.yaml` in the platform's configuration folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from invoke.command.parse import parse
from invoke.command.render import value_word
from invoke.errors import CommandError
from invoke.switches import by_name

LARGEST_FILE = 1_000_000


def config_folder() -> Path:
    """Where the user's files are, by the platform's custom."""
    from platformdirs import user_config_path

    return user_config_path("invoke-shell", appauthor=False)


def read_defaults(file: Path) -> Mapping[str, Any]:
    """Long name → value: the same defaults as at launch, one `name: value` a line (`steps: 30`, `fit: true`).

    A missing file says nothing. Raises CommandError, naming the file and the field.
    """
    import yaml

    try:
        if file.stat().st_size > LARGEST_FILE:
            raise CommandError(f"{file}: larger than 1 MB, this is no configuration", code="bad_config")
        rows = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeError, yaml.YAMLError, RecursionError) as error:
        raise CommandError(f"{file}: cannot be read: {str(error).splitlines()[0]}", code="bad_config") from None
    if rows is None:
        return {}
    if not isinstance(rows, dict):
        raise CommandError(f"{file}: must map names to values", code="bad_config")
    return {name: value for key, row in rows.items() for name, value in _read_row(file, key, row).items()}


def _read_row(file: Path, key: object, value: object) -> Mapping[str, Any]:
    """One field, read as if typed at the prompt."""
    if isinstance(value, bool):
        typed = f"--{key}" if value else f"--no-{key}"
    elif isinstance(value, str | int | float):
        typed = f"--{key} {value_word(str(value))}"
    else:
        raise CommandError(f"{file}: {key}: must be a word or a number", code="bad_config")
    try:
        draft = parse(typed)
    except CommandError as error:
        raise CommandError(f"{file}: {key}: {error.message}", code="bad_config") from None
    if draft.prompt is not None or not all(by_name()[name].launch for name in draft.switches):
        raise CommandError(f"{file}: {key}: this cannot be a default", code="bad_config")
    return draft.switches
