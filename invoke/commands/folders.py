"""`!gallery` writes a page of an output folder; `!check` compares it with its logs, ledger and numbers."""

from invoke.commands.context import CommandContext
from invoke.commands.picture_arguments import folder_named
from invoke.errors import InvokeError
from invoke.language.parse import CommandCall
from invoke.outputs.check import check_folder
from invoke.outputs.gallery import write_gallery


def gallery(context: CommandContext, call: CommandCall) -> None:
    """`!gallery [FOLDER]`. Raises InvokeError."""
    folder = folder_named(call, context.session)
    if not context.dry_run:
        context.watch(write_gallery(folder))


def check(context: CommandContext, call: CommandCall) -> None:
    """`!check [FOLDER]`. Raises InvokeError if anything is wrong, which sets the exit status for scripts."""
    folder = folder_named(call, context.session)
    checked = check_folder(folder)
    for finding in checked.findings:
        context.say(str(finding))
    if checked.findings:
        raise InvokeError(f"{folder}: {checked}", code="check_failed", column=call.column)
    context.say(f"{folder}: {checked}")
