"""`!set`, `!free`, `!quit`: session defaults, unloading models, and exit."""

from invoke.commands.context import CommandContext
from invoke.language.command_table import in_place
from invoke.language.parse import CommandCall
from invoke.language.render import render_switch
from invoke.language.switches import by_name


def set_defaults(context: CommandContext, call: CommandCall) -> None:
    """`!set [reset] [switches]`: change the defaults, then show them. Raises InvokeError."""
    session = context.session
    if call.rest:
        before = session.model
        session.set_default(in_place(call))
        if session.model != before and not context.in_file:
            session.engine.load(session.model)
    settings = {"model": session.model} | session.defaults
    context.confirm(" ".join(word for name in settings for word in render_switch(by_name()[name], settings[name])))


def free(context: CommandContext, call: CommandCall) -> None:
    """`!free`: unload all models."""
    context.watch(context.session.engine.unload())


def leave(context: CommandContext, call: CommandCall) -> None:
    """`!quit`."""
    context.leave()
