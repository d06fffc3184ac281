"""`!optimize_model`: converts pickle files to safetensors without running any code in them."""

from __future__ import annotations

import json
from pathlib import Path

from invoke import files
from invoke.commands.context import CommandContext
from invoke.commands.model_list import add, change
from invoke.engine.process.pickles import Convert
from invoke.errors import ModelError, first_line
from invoke.language.command_table import argument
from invoke.language.parse import CommandCall
from invoke.models.hub.consent import size_shown
from invoke.models.recognise import PICKLES
from invoke.models.spec import LARGEST_JSON
from invoke.models.yaml_lists import read_rows
from invoke.paths import expanded
from invoke.processes import ask_untrusted
from invoke.text import counted

RENAMED = {"pytorch_model": "model"}
"""Stem of a component's pickle file → stem of its safetensors file."""


def optimize_model(context: CommandContext, call: CommandCall) -> None:
    """`!optimize_model FILE|NAME`: convert a file and add an entry for it, or convert all pickles of a folder."""
    typed = argument(call, "a file or a model")
    rows = read_rows(context.session.models_file) if context.session.models_file else {}
    path = expanded(str(rows[typed]["weights"]) if "weights" in rows.get(typed, {}) else typed)
    pairs = [(source, source.with_name(_renamed(source))) for source in _pickles(path, typed, call.column)]
    for _, target in pairs:
        if target.exists():
            raise ModelError(f"{target} exists already", hint=f"use it: !import_model {target}", column=call.column)
    size = size_shown(sum(source.stat().st_size for source, _ in pairs) / 1e6)
    found = f"{path} is a pickle file" if path.is_file() else f"{path} has {counted(len(pairs), 'pickle file')}"
    if not context.ask(f"{found} ({size}), which can contain code; none of it is run. Convert?"):
        context.say("nothing was converted")
        return
    failed = None
    for source, target in pairs:
        context.say(f"converting {source}")
        try:
            ask_untrusted(
                "invoke.engine.process.pickles", Convert(source, target), f"{source}: the conversion was aborted"
            )
        except ModelError as error:
            if len(pairs) == 1:
                raise
            failed = error
            context.note(error.message)
        else:
            context.say(f"written: {target}")
    if failed is not None:
        raise failed
    if path.is_dir():
        _write_indexes(path)
    if typed in rows and path.is_file():
        change(context, typed, {**rows[typed], "weights": str(pairs[0][1])})
    elif path.is_file():
        add(context, str(pairs[0][1]))


def _pickles(path: Path, typed: str, column: int) -> list[Path]:
    """The file, or the pickles in the component folders. Raises ModelError if there are none."""
    if path.is_dir():
        found = sorted(file for file in (*path.glob("*.bin"), *path.glob("*/*.bin")) if not _is_done(file))
        if found:
            return found
        raise ModelError(f"{typed}: this folder has no pickle files left to convert", column=column)
    if not path.is_file():
        raise ModelError(f"{typed}: there is no such file or model", column=column)
    if path.suffix not in PICKLES:
        raise ModelError(f"{typed}: this is not one of {' '.join(PICKLES)}", column=column)
    return [path]


def _write_indexes(folder: Path) -> None:
    """Write an index for each sharded component, which says which tensor is in which file."""
    for index in (*folder.glob("*.bin.index*.json"), *folder.glob("*/*.bin.index*.json")):
        target = index.with_name(_renamed_stem(index.name).replace(".bin.index", ".safetensors.index"))
        if target.exists():
            continue
        try:
            contents = json.loads(files.read_text(index, LARGEST_JSON))
            contents["weight_map"] = {key: _renamed(Path(file)) for key, file in contents["weight_map"].items()}
            files.write_new([target], json.dumps(contents, indent=2).encode())
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ModelError(f"{index}: cannot be converted: {first_line(error)}") from error


def _is_done(file: Path) -> bool:
    return file.with_name(_renamed(file)).exists()


def _renamed(file: Path) -> str:
    """`pytorch_model-00001-of-00002.bin` → `model-00001-of-00002.safetensors`."""
    return f"{_renamed_stem(file.stem)}.safetensors"


def _renamed_stem(stem: str) -> str:
    for before, after in RENAMED.items():
        if stem.startswith(before):
            return after + stem.removeprefix(before)
    return stem
