"""Presets: named switches and words. `+oil` in a line adds them; saved lines contain them expanded.

A file of presets is YAML that maps names to lines, and can be shared:

    oil: '"…, oil painting" -s 30 -A k_dpmpp_2 --karras'

`…` is replaced with the line's own words; without it, the preset's words are appended. The line's own switches win.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from invoke import files, yaml_text
from invoke.errors import CommandError, InvokeError
from invoke.language.parse import Draft, parse
from invoke.language.render import render_prompt, render_switch
from invoke.language.switches import by_name
from invoke.text import did_you_mean

FILE = "presets.yaml"
WORDS = "…"
"""Placeholder in a preset for the line's own words."""
NAME = re.compile(r"[A-Za-z][\w-]*")


def expand(draft: Draft, presets: Callable[[], Mapping[str, str]]) -> Draft:
    """Expand the presets in all parts of a chain; later presets win over earlier ones.

    Raises CommandError, with the column, if a preset does not exist or cannot be read.
    """
    before = expand(draft.before, presets) if draft.before is not None else None
    if not draft.presets:
        return draft if before is draft.before else replace(draft, before=before)
    prompt, available = draft.prompt or "", presets()
    switches: dict[str, Any] = {}
    for name, column in draft.presets:
        preset = _find(name, column, available)
        prompt = _around(prompt, preset.prompt or "")
        switches |= preset.switches
    return replace(draft, prompt=prompt or None, switches={**switches, **draft.switches}, presets=(), before=before)


def refuse_presets(draft: Draft, what: str) -> None:
    """Raise CommandError if the command `what` is given a preset."""
    for name, column in draft.presets:
        raise CommandError(f"{what} takes no presets: +{name} belongs in a line", code="bad_value", column=column)


def line_of(draft: Draft) -> str:
    """Render `draft` as the line of a preset."""
    words = [render_prompt(draft.prompt)] if draft.prompt else []
    for name, value in draft.switches.items():
        row = by_name()[name]
        words += [word for one in row.occurrences(value) for word in render_switch(row, one)]
    return " ".join(words)


def _find(name: str, column: int, presets: Mapping[str, str]) -> Draft:
    if name not in presets:
        near = did_you_mean(name, presets, "+{}")
        raise CommandError(
            f"there is no preset +{name}{near}",
            code="unknown_preset",
            column=column,
            hint="!presets lists them; to paint the word, put the whole prompt in double quotes",
        )
    try:
        preset = parse(presets[name])
    except InvokeError as error:
        raise CommandError(
            f"the preset +{name} cannot be read: {error.message}", code="bad_preset", column=column
        ) from None
    if preset.presets or preset.before is not None:
        inner = f"+{preset.presets[0][0]}" if preset.presets else "|>"
        raise CommandError(
            f"the preset +{name} contains {inner}, but presets can only contain words and switches",
            code="bad_preset",
            column=column,
            hint="!preset save expands presets inside a preset",
        )
    return preset


def _around(words: str, text: str) -> str:
    """Insert `words` into the preset's text."""
    if WORDS in text:
        filled = text.replace(WORDS, words)
        return filled if words else filled.strip(" ,;")
    return ", ".join(part for part in (words, text) if part)


def read_presets(file: Path) -> dict[str, str]:
    """Read a file of presets: name → line; empty if there is no file. Raises CommandError if it is invalid."""
    try:
        content = yaml_text.load(files.read_file(file, yaml_text.LARGEST).decode("utf-8")) or {}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise CommandError(f"{file}: cannot be read: {reason}", code="bad_presets") from None
    if not isinstance(content, dict):
        raise CommandError(f"{file}: must map names to lines (oil: '…, oil painting')", code="bad_presets")
    for name, line in content.items():
        if not (isinstance(name, str) and NAME.fullmatch(name) and isinstance(line, str)):
            raise CommandError(
                f"{file}: {str(name)[:40]!r}: each name (letters, digits, - and _) must have one line of text",
                code="bad_presets",
            )
    return content


def write_presets(file: Path, presets: Mapping[str, str]) -> None:
    """Replace the file. Raises CommandError."""
    import yaml

    head = "# +name adds its words and switches to a line; … stands for the line's own words\n"
    text = head + yaml.safe_dump(dict(presets), allow_unicode=True, width=1000)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        files.replace(file, text.encode("utf-8"))
    except OSError as error:
        raise CommandError(f"{file}: cannot be written: {error.strerror or error}", code="bad_presets") from None
