"""The user's own file of defaults: `config.yaml` in the platform's configuration folder."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from invoke.command.parse import parse
from invoke.command.render import value_word
from invoke.errors import CommandError, RequestError
from invoke.models.tables import yaml_reason
from invoke.switches import SWITCHES, Group, Switch, by_name

LARGEST_FILE = 1_000_000
EXAMPLES = ("NAME", 1, 512, "0.2:0.8")
"""Values to show where there is no default: the first that a switch takes."""
_HEAD = """\
# Defaults for every line of invoke, as they would be typed behind it; what a line says wins.
# Take the # from a line to set it. !config shows what is set.
"""


def config_folder() -> Path:
    """Where the user's files are, by the platform's custom."""
    from platformdirs import user_config_path

    return user_config_path("invoke-shell", appauthor=False)


def config_file() -> Path:
    return config_folder() / "config.yaml"


def wildcard_folders() -> tuple[Path, ...]:
    """Where `--wild` looks for files: beside the pictures that are worked on, then where the user's files are."""
    return Path("wildcards"), config_folder() / "wildcards"


def read_defaults(file: Path) -> Mapping[str, Any]:
    """Long name → value: the same defaults as at launch, one `name: value` a line (`steps: 30`, `fit: true`).

    A missing file says nothing. Raises CommandError, naming the file and the field.
    """
    import yaml

    try:
        if file.stat().st_size > LARGEST_FILE:
            raise CommandError(f"{file}: larger than 1 MB, this is no configuration", code="bad_config")
        rows = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):  # a service may have the home /dev/null
        return {}
    except (OSError, UnicodeError, yaml.YAMLError, RecursionError) as error:
        raise CommandError(f"{file}: cannot be read: {yaml_reason(error)}", code="bad_config") from None
    if rows is None:
        return {}
    if not isinstance(rows, dict):
        raise CommandError(f"{file}: must map names to values", code="bad_config")
    return {name: value for key, row in rows.items() for name, value in _read_row(file, key, row).items()}


def write_commented(file: Path) -> None:
    """A file that sets nothing and shows all that can be set, each with its default or an example.

    Raises RequestError where there is a file already, or none can be.
    """
    text = "\n".join([_HEAD, *_commented()])
    try:
        if not file.parent.is_dir():
            file.parent.mkdir(parents=True)
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise RequestError(
            f"{file}: this file is there already, and is kept", hint="!config shows what it sets"
        ) from None
    except OSError as error:
        raise RequestError(f"{file}: cannot be written: {error.strerror or error}") from None


def _commented() -> Iterator[str]:
    import yaml

    from invoke.command.help import about

    rows = [row for row in SWITCHES if row.launch and not (row.pending or row.obsolete)]
    for group in get_args(Group):
        if found := [row for row in rows if row.group == group]:
            yield f"## {group}\n"
        for row in found:
            yield f"# {about(row)}"
            yield f"# {yaml.safe_dump({row.name: _example(row)}, allow_unicode=True)}"


def _example(row: Switch) -> object:
    """The default, or a value that could be one."""
    if isinstance(row.default, bool | int | float | str):
        return row.default
    if row.default:
        return " ".join(row.type.render(row.default))
    return next(value for value in (*row.type.suggest(), *EXAMPLES) if _reads(row, str(value)))


def _reads(row: Switch, text: str) -> bool:
    try:
        row.type.parse((text,))
    except ValueError:
        return False
    return True


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
