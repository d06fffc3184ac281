"""Help, generated from the tables and the docs: the overview of `!help`, and a page per topic."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from textwrap import fill
from typing import get_args

from invoke.errors import CommandError
from invoke.language.command_table import COMMANDS, CommandSpec
from invoke.language.help.pages import USUAL, manual, pages
from invoke.language.render import render_switch
from invoke.language.switches import SWITCHES, Group, Switch, by_name, by_short
from invoke.samplers import SAMPLERS
from invoke.text import did_you_mean

SAMPLERS_TOPIC = "samplers"
GROUPS: tuple[Group, ...] = get_args(Group)

_EXAMPLES = """\
A line is a prompt with switches, in any order:
    a stone lighthouse, oil -I sketch.png -f 0.6 -s 30 -n 3

"""
_KEYS = (
    "Tab completes, Right takes the grey suggestion, Up recalls lines that begin the same way, Ctrl-R searches. "
    "Ctrl-C clears the line, or stops a picture after the running step. Alt-Enter starts a new line, F4 opens the "
    "editor, F2 hides the toolbar, Ctrl-D leaves. !help shell tells more."
)
_NARROW = 30
"""Minimum width of the right column of a table, in columns; if there is less, it goes below the left one."""


def overview(width: int = USUAL) -> str:
    """The page of `!help`."""
    switches = "\n".join(_spellings(group, width) for group in GROUPS if _working(group))
    return (
        f"{_EXAMPLES}switches (!help -f describes one, !help inpainting a group)\n{switches}\n\n"
        f"commands\n{_columns(_command_lines(), width)}\n\n"
        f"pages (!help img2img shows one)\n{_indented('  '.join(pages()), width, '  ')}\n\n"
        f"keys\n{_indented(_KEYS, width, '  ')}"
    )


def page(topic: str, width: int = USUAL) -> str:
    """The help for a switch (`-f`, `strength`), group, command or sampler, or a page of the docs.

    "" is the overview. `width` is in columns; examples to copy may be longer.

    Raises CommandError with the most similar topic.
    """
    topic = topic.strip()
    if not topic:
        return overview(width)
    if switch := _find_switch(topic):
        return _switch_page(switch, width)
    if topic in pages():
        return "\n\n".join([manual(topic, width), *_switch_pages(topic, width)])
    plain = topic.lstrip("-!").replace("-", "_")
    for row in COMMANDS:
        if topic == f"!{row.name}" or plain in (row.name, *row.synonyms):
            return _command_page(row, width)
    if topic in GROUPS:
        return "\n\n".join(_switch_pages(topic, width))
    if topic == SAMPLERS_TOPIC:
        return _columns(((name, sampler.summary) for name, sampler in SAMPLERS.items()), width)
    if topic in SAMPLERS:
        return f"-A {topic}\n    {SAMPLERS[topic].summary}"
    suggestion = did_you_mean(topic, topics(), "{}") or did_you_mean(f"--{plain}", topics(), "{}")
    raise CommandError(
        f"there is no help on '{topic}'{suggestion}",
        code="no_such_topic",
        hint="!help lists the switches and commands",
    )


@cache
def topics() -> Mapping[str, str]:
    """Every topic of `page`, by its usual name → a short description."""
    switches = {f"--{row.name}": row.help for row in SWITCHES if not row.obsolete}
    commands = {f"!{row.name}": row.help for row in COMMANDS}
    groups: dict[str, str] = dict.fromkeys(GROUPS, "switches")
    samplers = {name: sampler.summary for name, sampler in SAMPLERS.items()}
    return commands | groups | dict(pages()) | {SAMPLERS_TOPIC: "their names for -A"} | switches | samplers


def about(row: Switch) -> str:
    """A switch in one line: `0..1 · how much of it to redraw`."""
    return " · ".join(filter(None, [row.type.describe(), row.help]))


def _working(group: Group) -> list[Switch]:
    """The switches of a group that have an effect in this version."""
    return [row for row in SWITCHES if row.group == group and not (row.pending or row.obsolete)]


def _spellings(group: Group, width: int) -> str:
    return _columns([(f"{group:<12}", " ".join(row.spelling for row in _working(group)))], width)


def _find_switch(topic: str) -> Switch | None:
    if topic.startswith("--"):
        return by_name().get(topic[2:].replace("-", "_"))
    if topic.startswith("-"):
        return by_short().get(topic[1:])
    taken = {name for row in COMMANDS for name in (row.name, *row.synonyms)} | set(GROUPS) | set(pages())
    return None if topic in taken else by_name().get(topic.replace("-", "_")) or by_short().get(topic)


def _switch_pages(group: str, width: int) -> Iterable[str]:
    return (_switch_page(row, width) for row in SWITCHES if row.group == group)


def _switch_page(row: Switch, width: int) -> str:
    lines = [f"{row.spelling} {row.type.describe()}".rstrip(), *(_indented(fact, width) for fact in facts(row))]
    if values := row.type.suggest():
        lines += ["", _columns(values.items(), width)]
    return "\n".join(lines)


def _indented(text: str, width: int, indent: str = " " * 4) -> str:
    return _filled(text, width, indent, indent)


def facts(row: Switch) -> Iterator[str]:
    """Facts about a switch, most important first."""
    yield f"no longer has an effect: {row.obsolete}" if row.obsolete else row.help
    if row.pending:
        yield f"{row.pending} is not supported yet"
    if (default := default_of(row)) and not row.is_flag:
        yield f"default: {default}"
    if row.is_flag and not row.obsolete:
        yield "on by default; " * bool(row.default) + f"--no-{row.name.replace('_', '-')} turns it off"
    if row.synonyms:
        yield "the same: " + " ".join(f"--{name}" for name in row.synonyms)
    if row.needs:
        yield "has no effect without " + ("-I" if row.needs == "-I" else "a part to repaint (a hole or -M)")


def _command_page(row: CommandSpec, width: int) -> str:
    lines = [row.spelling, _indented(row.help, width)]
    if row.pending:
        lines.append(f"    {row.pending} is not supported yet")
    if row.synonyms:
        lines.append("    the same: " + " ".join(f"!{name}" for name in row.synonyms))
    return "\n".join(lines)


def default_of(row: Switch) -> str:
    """The table's default in the form in which it is typed; "" if there is none to show."""
    if row.default is None or row.default in ((), ""):
        return ""
    if row.is_flag:
        return "on" if row.default else ""
    return " ".join(render_switch(row, row.default)[1:])


def _command_lines() -> Iterable[tuple[str, str]]:
    return ((row.spelling, row.help) for row in COMMANDS if not row.pending)


def _columns(rows: Iterable[tuple[str, str]], width: int) -> str:
    listed = list(rows)
    widest = max(len(left) for left, _ in listed)
    indent = " " * (widest + 4)
    if width - len(indent) < _NARROW:
        return "\n".join(f"  {left.rstrip()}\n{_indented(right, width)}" for left, right in listed)
    return "\n".join(_filled(right, width, f"  {left:<{widest}}  ", indent) for left, right in listed)


def _filled(text: str, width: int, first: str, later: str) -> str:
    """Fill to lines of at most `width` columns, without breaking words."""
    return fill(
        text, width, initial_indent=first, subsequent_indent=later, break_on_hyphens=False, break_long_words=False
    )
