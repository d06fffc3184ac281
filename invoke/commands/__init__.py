"""The ! commands: FUNCTIONS says what each row of the command table does, at the prompt and in files alike.

To add one, add a row to `language.command_table` and a function here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from invoke.commands import album, queue, recall
from invoke.commands.context import CommandContext, PromptContext
from invoke.commands.doctor import doctor
from invoke.commands.example import example
from invoke.commands.fetch import fetch
from invoke.commands.fix import fix
from invoke.commands.info import config, list_models, list_triggers, show_help
from invoke.commands.mask import mask
from invoke.commands.model_list import del_model, edit_model, import_model, switch
from invoke.commands.optimize_model import optimize_model
from invoke.commands.picture_arguments import folder_named
from invoke.commands.presets import list_presets, preset
from invoke.commands.replay import replay
from invoke.commands.verify import verify
from invoke.errors import InvokeError
from invoke.language.command_table import AGAIN, NUMBER, YES, CommandSpec, find, in_place
from invoke.language.parse import CommandCall
from invoke.language.render import render_switch
from invoke.language.switches import by_name
from invoke.outputs.check import check_folder
from invoke.outputs.gallery import write_gallery


def run(context: CommandContext, call: CommandCall, *, alone: bool = False) -> None:
    """Run a command of a file of lines, or of the launch. Raises InvokeError."""
    row = find(call, in_file=True, alone=alone)
    if context.dry_run and row.name in CHANGES:
        return
    FUNCTIONS[row.name](*_agreed(context, row, call))


def run_at_prompt(context: PromptContext, call: CommandCall) -> None:
    """Run a command that was typed at the prompt, or that stands in a file replayed there. Raises InvokeError."""
    row = find(call, in_file=context.in_file)
    if row.name in PROMPT_FUNCTIONS:
        PROMPT_FUNCTIONS[row.name](context, call)
    else:
        FUNCTIONS[row.name](*_agreed(context, row, call))


CHANGES = ("import_model", "edit_model", "del_model", "optimize_model", "preset", "example")
"""Commands that change files: a dry run only looks them up."""


class _Agreeing:
    """A context in which every question has been answered with yes beforehand: `!del_model NAME --yes`."""

    def __init__(self, context: CommandContext) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def ask(self, question: str) -> bool:
        return True


def _agreed(context: CommandContext, row: CommandSpec, call: CommandCall) -> tuple[CommandContext, CommandCall]:
    """The command without its `--yes`, where it is one that asks."""
    rest = call.rest.removesuffix(YES).rstrip()
    if not row.asks or not f" {call.rest}".endswith(f" {YES}"):
        return context, call
    return cast(CommandContext, _Agreeing(context)), replace(call, rest=rest)


def _set(context: CommandContext, call: CommandCall) -> None:
    session = context.session
    if call.rest:
        before = session.model
        session.set_default(in_place(call))
        if session.model != before and not context.in_file:
            session.engine.load(session.model)
    settings = {"model": session.model} | session.defaults
    context.confirm(" ".join(word for name in settings for word in render_switch(by_name()[name], settings[name])))


def _gallery(context: CommandContext, call: CommandCall) -> None:
    folder = folder_named(call, context.session)
    if not context.dry_run:
        context.watch(write_gallery(folder))


def _check(context: CommandContext, call: CommandCall) -> None:
    """Raises InvokeError where anything is wrong, so that scripts have its exit status."""
    folder = folder_named(call, context.session)
    checked = check_folder(folder)
    for finding in checked.findings:
        context.say(str(finding))
    if checked.findings:
        raise InvokeError(f"{folder}: {checked}", code="check_failed", column=call.column)
    context.say(f"{folder}: {checked}")


def _free(context: CommandContext, call: CommandCall) -> None:
    context.watch(context.session.engine.unload())


def _quit(context: CommandContext, call: CommandCall) -> None:
    context.leave()


FUNCTIONS: Mapping[str, Callable[[CommandContext, CommandCall], None]] = {
    "help": show_help,
    "models": list_models,
    "triggers": list_triggers,
    "config": config,
    "fetch": fetch,
    "verify": verify,
    "fix": fix,
    "mask": mask,
    "switch": switch,
    "import_model": import_model,
    "edit_model": edit_model,
    "del_model": del_model,
    "optimize_model": optimize_model,
    "set": _set,
    "preset": preset,
    "presets": list_presets,
    "gallery": _gallery,
    "check": _check,
    "doctor": doctor,
    "example": example,
    "free": _free,
    "quit": _quit,
}
PROMPT_FUNCTIONS: Mapping[str, Callable[[PromptContext, CommandCall], None]] = {
    "history": recall.history,
    "search": recall.search,
    NUMBER: recall.recall,
    AGAIN: recall.again,
    "clear": recall.clear,
    "replay": replay,
    "show": album.show,
    "open": album.open_picture,
    "compare": album.compare,
    "keep": album.keep,
    "drop": album.drop,
    "undo": album.undo,
    "queue": queue.queue,
    "cancel": queue.cancel,
    "pause": queue.pause,
    "resume": queue.resume,
}
"""Commands that need the prompt and its history."""
