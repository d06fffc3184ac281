"""`!preset` and `!presets`: named words and switches, which `+name` adds to a line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from invoke.commands.context import CommandContext
from invoke.errors import CommandError
from invoke.language.command_table import arguments, in_place
from invoke.language.parse import CommandCall, parse
from invoke.language.presets import NAME, WORDS, expand, line_of, read_presets, write_presets

SAVE, DELETE = "save", "delete"


def preset(context: CommandContext, call: CommandCall) -> None:
    """`!preset save NAME line`, `!preset NAME`, `!preset delete NAME`. Raises CommandError."""
    words = arguments(call)
    if not words:
        list_presets(context, call)
        return
    file = _file(context)
    presets = read_presets(file)
    if words[0].text == SAVE:
        _save(context, call, file, presets)
        return
    *verb, last = words
    name = last.text.removeprefix("+")
    if [word.text for word in verb] not in ([], [DELETE]) or name not in presets:
        hint = f"presets: {', '.join(presets)}" if presets else "!preset save NAME makes one"
        raise CommandError(f"there is no preset {name}", code="unknown_preset", column=last.start, hint=hint)
    if not verb:
        context.say(f"+{name}  {presets[name]}")
        return
    if not context.dry_run:
        write_presets(file, {key: line for key, line in presets.items() if key != name})
    context.confirm(f"deleted: +{name}  {presets[name]}")


def list_presets(context: CommandContext, call: CommandCall) -> None:
    """`!presets`. Raises CommandError."""
    presets = read_presets(_file(context))
    width = max(map(len, presets), default=0)
    for name, line in presets.items():
        context.say(f"  +{name:{width}}  {line}")
    if not presets:
        context.say('there are no presets yet: !preset save oil -s 30 "…, oil painting"')
    context.say(f"  in {_file(context)}")


def _save(context: CommandContext, call: CommandCall, file: Path, presets: dict[str, str]) -> None:
    words = arguments(call)
    if len(words) < 3:
        raise CommandError(
            "!preset save expects a name and the words or switches for it",
            code="missing_value",
            column=call.column,
            hint='!preset save oil -s 30 "…, oil painting"',
        )
    name = words[1].text.removeprefix("+")
    if not NAME.fullmatch(name):
        raise CommandError(
            f"a preset's name may contain letters, digits, - and _, not {name}", code="bad_value", column=words[1].start
        )
    start = words[1].end
    draft = parse(" " * start + in_place(call)[start:])
    if draft.before is not None:
        raise CommandError("a preset cannot contain |>", code="bad_value", column=start)
    for other, column in draft.presets:
        if other == name:
            raise CommandError(f"+{name} cannot contain itself", code="bad_preset", column=column)
    if draft.presets and not draft.prompt:
        draft = replace(draft, prompt=WORDS)
    line = line_of(expand(draft, lambda: presets))
    verb = "changed" if name in presets else "saved"
    if not context.dry_run:
        write_presets(file, {**presets, name: line})
    context.confirm(f"{verb}: +{name}  {line}")


def _file(context: CommandContext) -> Path:
    if context.session.presets_file is None:
        raise CommandError("there is no file for presets here", code="bad_presets")
    return context.session.presets_file
