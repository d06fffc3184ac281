"""Edits the user's list of models, one entry at a time, keeping comments, order and layout of the others.

The result is read back before it is written. If it differs from what was intended (for example if the whole list is in
one pair of braces), the file is rewritten without comments.
"""

import errno
import re
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from invoke import files, yaml_text
from invoke.errors import ModelError
from invoke.models.yaml_lists import Rows, check_row, parse_rows, read_rows, read_text

HEADER = "# Your own models, in addition to the shipped ones; docs/models.md describes the format.\n"


def set_entry(file: Path, name: str, fields: Mapping[str, Any]) -> bool:
    """Write `fields` as the entry `name`; returns False if the file had to be rewritten without its comments.

    The file is replaced atomically. Raises ModelError if it cannot be read or written.
    """
    check_row(_plain(fields), name)
    return _change(file, name, _plain(fields))


def remove_entry(file: Path, name: str) -> bool:
    """Remove the entry `name` and the comments inside it. Returns and raises like `set_entry`."""
    return _change(file, name, None)


def _change(file: Path, name: str, fields: Mapping[str, Any] | None) -> bool:
    wanted = {key: row for key, row in read_rows(file).items() if key != name or fields is not None}
    if fields is not None:
        wanted[name] = fields
    text = read_text(file)
    edited = _edited(HEADER if text is None else text, name, fields)
    is_kept = _says(edited, wanted)
    try:
        _write(file, edited if is_kept else HEADER + _yaml(wanted))
    except OSError as error:
        hint = f"--config {file.resolve()} names the file itself" if error.errno == errno.ELOOP else ""
        raise ModelError(f"{file}: cannot be written: {error.strerror or error}", hint=hint) from error
    return is_kept


def _edited(text: str, name: str, fields: Mapping[str, Any] | None) -> str:
    """Replace, add or remove (`fields` None) the entry `name` in `text`; all other lines are unchanged."""
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    entry = _lines_of(text, lines, name)
    if fields is None:
        new = ""
    elif entry:
        new = _with_fields("".join(lines[entry.start : entry.stop]), name, fields)
    else:
        entry = range(len(lines), len(lines))
        new = ("\n" if lines else "") + _yaml({name: fields})
    return "".join([*lines[: entry.start], new, *lines[entry.stop :]])


def _lines_of(text: str, lines: list[str], name: str) -> range:
    """The range of `lines` of the entry `name`, without comments and empty lines before the next entry."""
    root = yaml_text.compose(text)
    starts = {key.value: key.start_mark.line for key, _ in root.value} if root else {}
    if name not in starts:
        return range(0)
    start = starts[name]
    stop = min((line for line in starts.values() if line > start), default=len(lines))
    while not lines[stop - 1].strip() or lines[stop - 1].startswith("#"):
        stop -= 1
    return range(start, stop)


def _with_fields(entry: str, name: str, fields: Mapping[str, Any]) -> str:
    """Change the fields in the lines `entry`, keeping comments, order and quotes."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 4096
    editor.map_indent = max(len(indent) for indent in re.findall(r"^ *", entry, re.MULTILINE)) or 2
    try:
        row = (rows := editor.load(entry))[name]
    except (YAMLError, KeyError):  # duplicate fields, or aliases to other entries
        return _yaml({name: fields})
    for key in [key for key in row if key not in fields]:
        row.pop(key, None)  # has no effect on fields merged with `<<`
    for key, value in fields.items():
        if key not in row or row[key] != value:
            row[key] = [_quoted(item) for item in value] if isinstance(value, list) else _quoted(value)
    output = StringIO()
    editor.dump(rows, output)
    return output.getvalue()


def _quoted(value: Any) -> Any:
    """Quote `value` if YAML 1.1, which the list is read with, would not read it as a string."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    return DoubleQuotedScalarString(value) if isinstance(value, str) and _yaml({"k": value})[3] in "'\"" else value


def _says(text: str, wanted: Rows) -> bool:
    try:
        return parse_rows(text, "") == wanted
    except ModelError:
        return False


def _yaml(rows: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(_plain(rows), allow_unicode=True, sort_keys=False, width=110) if rows else ""


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    files.replace(file, text.encode())
