"""config.yaml: reads launch options and defaults from a file."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from invoke import files, yaml_text
from invoke.errors import CommandError, RequestError, first_line
from invoke.language.launch import Launch
from invoke.language.launch_options import OFF, OPTIONS, Option, check_value, find_option, find_twin
from invoke.language.parse import parse
from invoke.language.render import value_word
from invoke.language.switches import SWITCHES, Group, Switch, by_name
from invoke.text import did_you_mean

if TYPE_CHECKING:
    from yaml import ScalarNode


EXAMPLES = ("NAME", 1, 512, "0.2:0.8")
"""Example values for switches without a default; the first valid one is shown."""
_HEAD = """\
# Settings of invoke: launch options, and default switches for every line.
# Arguments of `invoke` override this file, and a line overrides both. Remove a # to set a value; !config shows all.
"""


def read_settings(file: Path) -> Launch:
    """Read the launch options and defaults in the file, one `name: value` per line (`steps: 30`, `fit: true`).

    A missing file is the same as an empty one. Raises CommandError with the file, its line and the field.
    """
    try:
        tree = yaml_text.compose(files.read_file(file, yaml_text.LARGEST).decode("utf-8"))
    except (FileNotFoundError, NotADirectoryError):  # NotADirectoryError: services may have the home /dev/null
        return Launch({})
    except (OSError, ValueError) as error:  # YamlError and UnicodeError are ValueErrors
        why = getattr(error, "strerror", None) or first_line(error)
        raise CommandError(f"{file}: cannot be read: {why}", code="bad_config") from None
    if tree is None:
        return Launch({})
    import yaml

    if not isinstance(tree, yaml.MappingNode):
        raise CommandError(f"{file}: must map names to values", code="bad_config")
    read = Launch({})
    for key, value in tree.value:
        name = str(key.value)
        try:
            if not isinstance(value, yaml.ScalarNode) or value.tag == yaml_text.NOTHING:
                raise CommandError(f"{name}: must be a word or a number")
            read = _read_row(name.replace("-", "_"), value).over(read)
        except CommandError as error:
            raise CommandError(
                f"{file}, line {key.start_mark.line + 1}: {error.message}",
                code="bad_config",
                hint="invoke --help lists the launch options, docs/switches.md the switches",
            ) from None
    return read


def write_commented(file: Path) -> None:
    """Write a file with all settings commented out, each with its default or an example.

    Raises RequestError if the file already exists or cannot be written.
    """
    text = "\n".join([_HEAD, *_commented()])
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        files.write_new([file], text.encode())
    except FileExistsError:
        raise RequestError(f"{file}: this file already exists and is kept", hint="!config shows what it sets") from None
    except OSError as error:
        raise RequestError(f"{file}: cannot be written: {error.strerror or error}") from None


_TRUE = ("true", "yes", "on")


def _read_row(name: str, value: "ScalarNode") -> Launch:
    """Read one field as if it were typed. Only flags use YAML's booleans; other values are read as written.

    Raises CommandError.
    """
    flag = _flag(name)
    if flag is not None and value.tag != yaml_text.TRUTH:
        raise CommandError(f"{name}: must be true or false, not '{value.value}'")
    is_on = value.value.lower() in _TRUE
    if option := find_option(name) or find_twin(name):
        if option.once:
            raise CommandError(f"{name}: applies to a single launch; it cannot be a default")
        if not option.is_flag:
            return Launch({name: check_value(option, value.value, name)})
        return Launch({option.name: "yes" if is_on == (option.name == name) else OFF})
    if name not in _settable():
        if name in by_name():
            raise CommandError(f"{name}: belongs in a line; it cannot be a default")
        raise CommandError(f"{name}: there is no such setting{did_you_mean(name, _settable())}")
    typed = f"--{name}" if flag is None or is_on else f"--no_{name}"
    switches = parse(typed if flag else f"{typed} {value_word(value.value)}").switches
    return Launch({}, None, switches)


@cache
def _settable() -> Mapping[str, Option | Switch]:
    """Every name allowed in the file → its row."""
    switches = {name: row for row in SWITCHES if row.launch for name in (row.name, *row.synonyms)}
    return {option.name: option for option in OPTIONS if not (option.once or option.pending)} | switches


def _flag(name: str) -> Option | Switch | None:
    """The row of the flag `name`, or of the flag whose twin it is; None if there is none."""
    row = find_option(name) or find_twin(name) or by_name().get(name)
    return row if row is not None and row.is_flag else None


def _commented() -> Iterator[str]:
    import yaml

    from invoke.language.help import about

    yield "## launch\n"
    for option in OPTIONS:
        if not (option.once or option.pending):
            usual = "false" if option.is_flag else option.default or option.choices[0]
            yield f"# {option.help}\n# {option.name}: {usual}\n"
    rows = [row for row in SWITCHES if row.launch and not (row.pending or row.obsolete)]
    for group in get_args(Group):
        if found := [row for row in rows if row.group == group]:
            yield f"## {group}\n"
        for row in found:
            yield f"# {about(row)}"
            yield f"# {yaml.safe_dump({row.name: _example(row)}, allow_unicode=True)}"


def _example(row: Switch) -> object:
    """The default, or an example value."""
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
