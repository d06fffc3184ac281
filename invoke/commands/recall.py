"""`!history`, `!search`, `!NNN`, `!!`, `!clear`: the lines typed so far."""

from invoke.commands.context import PromptContext
from invoke.errors import CommandError, RequestError
from invoke.language.command_table import expect
from invoke.language.parse import CommandCall, Draft, read
from invoke.text import counted

SHOWN = 100
"""Maximum number of history lines listed at once."""
LONGEST_NUMBER = 9


def history(context: PromptContext, call: CommandCall) -> None:
    """`!history [TEXT]`: the last hundred lines, or those that contain TEXT."""
    found = context.history.find(call.rest)
    if not found:
        reason = f"no line contains '{call.rest}'" if call.rest else "the history is empty"
        context.say(reason)
        return
    older = [f"  … {len(found) - SHOWN} older ones; !search TEXT finds them"] if len(found) > SHOWN else []
    context.say("\n".join([*older, *(f"  [{number}] {_one_line(line)}" for number, line in found[-SHOWN:])]))


def search(context: PromptContext, call: CommandCall) -> None:
    """`!search TEXT`. Raises CommandError without TEXT."""
    expect(call, "the text to look for")
    history(context, call)


def recall(context: PromptContext, call: CommandCall) -> None:
    """`!NNN [switches]`: put line NNN on the prompt for editing. Raises CommandError if there is none."""
    history = context.history
    number = int(call.name) if call.name.isdecimal() and len(call.name) <= LONGEST_NUMBER else 0
    line = history.line(number)
    if line is None:
        available = f"{history.first} to {history.last}" if history.last else "none yet"
        raise CommandError(
            f"there is no line {call.name} in the history: {available}",
            code="no_such_line",
            column=0,
            hint="!history lists them",
        )
    context.put_back(f"{line} {call.rest}".rstrip())


def again(context: PromptContext, call: CommandCall) -> None:
    """`!! [switches]`: repeat the last prompt. Raises CommandError if there is none."""
    last = next((line for line in reversed(context.history.lines) if _is_prompt(line)), None)
    if last is None:
        raise CommandError("there is no line to repeat yet", code="no_such_line", column=0)
    line = f"{last} {call.rest}".rstrip()
    context.say(_one_line(line))
    context.submit(line)


def clear(context: PromptContext, call: CommandCall) -> None:
    """`!clear`: delete the history. Raises RequestError if its file cannot be changed."""
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
