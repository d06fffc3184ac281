"""`!history`, `!search`, `!NNN`, `!!`, `!clear`: the lines typed so far."""

from invoke.commands.context import PromptContext
from invoke.errors import CommandError, RequestError
from invoke.language.command_table import expect
from invoke.language.parse import CommandCall, Draft, read
from invoke.text import counted

SHOWN = 100
"""Lines of the history that are listed at once."""
LONGEST_NUMBER = 9


def history(context: PromptContext, bang: CommandCall) -> None:
    """`!history [TEXT]`: the last hundred lines, or those that contain TEXT."""
    found = context.history.find(bang.rest)
    if not found:
        what = f"no line holds '{bang.rest}'" if bang.rest else "no line was typed yet"
        context.say(what)
        return
    older = [f"  … {len(found) - SHOWN} older ones; !search TEXT finds them"] if len(found) > SHOWN else []
    context.say("\n".join([*older, *(f"  [{number}] {_one_line(line)}" for number, line in found[-SHOWN:])]))


def search(context: PromptContext, bang: CommandCall) -> None:
    """`!search TEXT`. Raises CommandError without TEXT."""
    expect(bang, "the text to look for")
    history(context, bang)


def recall(context: PromptContext, bang: CommandCall) -> None:
    """`!NNN [switches]`: line NNN on the prompt, ready to edit. Raises CommandError where there is none."""
    history = context.history
    number = int(bang.name) if bang.name.isdecimal() and len(bang.name) <= LONGEST_NUMBER else 0
    line = history.line(number)
    if line is None:
        known = f"{history.first} to {history.last}" if history.last else "none yet"
        raise CommandError(
            f"there is no line {bang.name} in the history: {known}",
            code="no_such_line",
            column=0,
            hint="!history lists them",
        )
    context.put_back(f"{line} {bang.rest}".rstrip())


def again(context: PromptContext, bang: CommandCall) -> None:
    """`!! [switches]`: the last prompt again. Raises CommandError where there is none."""
    last = next((line for line in reversed(context.history.lines) if _is_prompt(line)), None)
    if last is None:
        raise CommandError("there is nothing to make again yet", code="no_such_line", column=0)
    line = f"{last} {bang.rest}".rstrip()
    context.say(_one_line(line))
    context.submit(line)


def clear(context: PromptContext, bang: CommandCall) -> None:
    """`!clear`: forget the history. Raises RequestError where its file cannot be changed."""
    count = len(context.history.lines)
    try:
        context.history.clear()
    except OSError as error:
        raise RequestError(f"the history cannot be cleared: {error.strerror or error}") from error
    context.say(f"cleared: {counted(count, 'line')}")


def _is_prompt(line: str) -> bool:
    try:
        return isinstance(read(line), Draft)
    except CommandError:
        return True


def _one_line(line: str) -> str:
    return line.replace("\n", " ")
