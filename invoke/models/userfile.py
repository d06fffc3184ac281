"""The user's own list of models, changed one entry at a time; comments and order stay as they are.

The text is edited line by line, and read again before it is written: where it then says something else than was
meant (entries in braces, anchors), the file is written anew from its rows, without its comments.
"""

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from invoke.errors import ModelError
from invoke.models.tables import Rows, check_row, parse_rows, read_rows

HEADER = "# Models of your own, beside those that are shipped; docs/models.md tells what can be said here.\n"


def set_entry(file: Path, name: str, fields: Mapping[str, Any]) -> bool:
    """Have the entry `name` say `fields` from now on; whether all comments could be kept.

    The file appears whole or stays as it was. Raises ModelError when it cannot be read or written.
    """
    before, fields = read_rows(file), _plain(fields)
    check_row(fields, name)
    return _change(file, {**before, name: fields}, lambda lines: _with_fields(lines, name, before.get(name), fields))


def remove_entry(file: Path, name: str) -> bool:
    """Take the entry `name` out; whether all comments could be kept. Raises as `set_entry`."""
    rows = {key: row for key, row in read_rows(file).items() if key != name}
    return _change(file, rows, lambda lines: _without(lines, name))


def _change(file: Path, wanted: Rows, edit: Callable[[list[str]], list[str]]) -> bool:
    text = file.read_text(encoding="utf-8") if file.exists() else HEADER
    edited = "".join(f"{line}\n" for line in edit(text.splitlines()))
    if not _says(edited, wanted):
        edited = HEADER + _yaml(wanted)
    try:
        _write(file, edited)
    except OSError as error:
        raise ModelError(f"{file}: cannot be written: {error.strerror or error}") from error
    return all(comment in edited for comment in re.findall(r"(?:^|\s)#.*", text))


def _with_fields(lines: list[str], name: str, before: Mapping[str, Any] | None, fields: Mapping[str, Any]) -> list[str]:
    start, end = _span(lines, name)
    if before is None or start == end:
        return [*lines, *([""] if lines else []), *_yaml({name: fields}).splitlines()]
    entry = lines[start:end]
    indent = re.match(r"\s*", entry[1])[0] if len(entry) > 1 else "  "  # type: ignore[index]
    for key in before:
        if key not in fields or before[key] != fields[key]:
            entry = [line for line in entry if not re.match(rf"\s+{key}\s*:", line)]
    new = {key: value for key, value in fields.items() if key not in before or before[key] != value}
    return [*lines[:start], *entry, *(indent + line for line in _yaml(new).splitlines()), *lines[end:]]


def _without(lines: list[str], name: str) -> list[str]:
    start, end = _span(lines, name)
    if start and not lines[start - 1].strip() and not "".join(lines[end : end + 1]).strip():
        start -= 1
    return [*lines[:start], *lines[end:]]


def _span(lines: list[str], name: str) -> tuple[int, int]:
    """From the line with the name to the last that is indented below it; nothing where it is not found."""
    head = re.compile(rf"(['\"]?){re.escape(name)}\1\s*:")
    start = next((place for place, line in enumerate(lines) if head.match(line)), len(lines))
    end = start
    for place in range(start, len(lines)):
        if place == start or lines[place][:1] in {" ", "\t"}:
            end = place + 1
        elif lines[place].strip() and not lines[place].startswith("#"):
            break
    return start, end


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
    target = file.resolve()  # a link stays one
    descriptor, aside = tempfile.mkstemp(prefix=f".{file.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(aside).chmod(target.stat().st_mode & 0o777 if target.exists() else 0o644)
        Path(aside).replace(target)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
