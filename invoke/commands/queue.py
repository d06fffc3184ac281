"""`!queue`, `!cancel`, `!pause`, `!resume`: managing the unfinished lines."""

from invoke.commands.context import LineQueue, PromptContext, QueuedLine
from invoke.errors import CommandError
from invoke.language.command_table import arguments
from invoke.language.parse import CommandCall
from invoke.text import clean, counted, duration, fitting

ALL = "all"
_NARROW = 80


def queue(context: PromptContext, call: CommandCall) -> None:
    """`!queue`: list the number, text, state and estimated time of each line; `!queue move N first` runs N next.

    Raises CommandError.
    """
    words = [word.text for word in arguments(call)]
    if words[:1] == ["move"] and len(words) in (2, 3) and words[2:] in ([], ["first"]):
        _move(context, words[1], call.column)
    elif words:
        raise CommandError(
            "!queue lists the lines; !queue move N first runs line N next", code="bad_value", column=call.column
        )
    else:
        context.say("\n".join(_rows(context)))


def cancel(context: PromptContext, call: CommandCall) -> None:
    """`!cancel`: cancel the line entered last; `!cancel N`, `!cancel all`. A running line stops after its step.

    Raises CommandError.
    """
    lines = _queue(context)
    if call.rest == ALL:
        count = lines.cancel_all()
    elif call.rest:
        count = lines.cancel_number(_number(call.rest, call.column))
        if not count:
            raise _no_such_line(call.rest, context, call.column)
    else:
        count = lines.cancel_last()
    context.say(f"cancelled: {counted(count, 'line')}" if count else "no line is waiting")


def pause(context: PromptContext, call: CommandCall) -> None:
    """`!pause`: start no further line until `!resume`."""
    _queue(context).pause()
    context.say("pausing after the running line; !resume continues")


def resume(context: PromptContext, call: CommandCall) -> None:
    """`!resume`: continue with the waiting lines."""
    lines = _queue(context)
    was_paused = bool(lines.paused)
    lines.resume()
    context.say("the queue continues" if was_paused else "the queue is not paused")


def _rows(context: PromptContext) -> list[str]:
    lines = _queue(context)
    listed = lines.listed()
    if not listed:
        return ["no line is waiting" + (f"; {lines.paused}" if lines.paused else "")]
    width = (context.columns or _NARROW) - 1
    states = [_state(line) for line in listed]
    numbers = [f"[{line.number}]" if line.number is not None else "[ ]" for line in listed]
    rows = []
    for line, state, number in zip(listed, states, numbers, strict=True):
        head = f"  {number:>{max(map(len, numbers))}} {state:{max(map(len, states))}}  "
        rows.append(head + fitting(clean(line.line.replace("\n", " ")), width - len(head)))
    return [*rows, f"  {lines.paused}; !resume continues"] if lines.paused else rows


def _state(line: QueuedLine) -> str:
    left = "" if line.seconds is None else f", about {duration(line.seconds)}"
    return f"{line.state}{left}"


def _move(context: PromptContext, typed: str, column: int) -> None:
    if not _queue(context).move_first(_number(typed, column)):
        raise _no_such_line(typed, context, column)
    context.say(f"[{typed}] runs next")


def _number(typed: str, column: int) -> int:
    bare = typed.strip("[]!")
    if not bare.isdecimal() or len(bare) > 9:
        raise CommandError(f"expected a line's number or {ALL}, not {typed}", code="bad_value", column=column)
    return int(bare)


def _no_such_line(typed: str, context: PromptContext, column: int) -> CommandError:
    numbers = [str(line.number) for line in _queue(context).listed() if line.number is not None]
    waiting = f"waiting or running: {', '.join(numbers)}" if numbers else "no line is waiting"
    return CommandError(f"line {typed} is not in the queue; {waiting}", code="no_such_line", column=column)


def _queue(context: PromptContext) -> LineQueue:
    if context.queue is None:
        raise CommandError(
            "there is no queue here: each line is finished before the next one", code="no_queue", column=0
        )
    return context.queue
