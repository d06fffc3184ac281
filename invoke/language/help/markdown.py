"""Renders the tables as Markdown for the README and docs/switches.md; docs/generate.py writes them."""

from collections.abc import Iterable

from invoke.language.command_table import COMMANDS
from invoke.language.help import GROUPS, default_of, facts
from invoke.language.switches import SWITCHES, Group, Switch, by_name


def switch_table(names: Iterable[str]) -> str:
    """A table of the switches with these long names."""
    rows = (
        (
            " ".join(f"`{name}`" for name in row.spelling.split("/")),
            f"`{value}`" if (value := row.type.describe()) else "",
            f"`{default}`" if (default := default_of(row)) else "",
            _not_yet(_plain(row.help), row.pending),
        )
        for row in (by_name()[name] for name in names)
    )
    return table(("switch", "value", "default", "meaning"), rows)


def command_table() -> str:
    """A table of the commands."""
    rows = (
        (f"`{row.spelling}`" + "".join(f", `!{name}`" for name in row.synonyms), _not_yet(row.help, row.pending))
        for row in COMMANDS
    )
    return table(("command", "meaning"), rows)


def switch_reference() -> str:
    """The full reference of all switches, group by group."""
    return "\n\n".join(f"## {group}\n\n{_group_reference(group)}" for group in GROUPS)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table with a header."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


def _group_reference(group: Group) -> str:
    return "\n\n".join(_switch_reference(row) for row in SWITCHES if row.group == group)


def _switch_reference(row: Switch) -> str:
    spelling = " ".join(f"`{name}`" for name in row.spelling.split("/"))
    value = f" {row.type.describe()}" if row.type.describe() else ""
    first, *more = (_plain(fact) for fact in facts(row))
    parts = [f"### {spelling}{value}", first, "\n".join(f"- {fact}" for fact in more)]
    if values := row.type.suggest():
        parts.append(table(("value", ""), ((f"`{name}`", _plain(text)) for name, text in values.items())))
    return "\n\n".join(filter(None, parts))


def _plain(text: str) -> str:
    """Escape words that Markdown would interpret, such as `__file__`, by making them code."""
    return " ".join(f"`{word}`" if "__" in word or word.startswith("<") else word for word in text.split(" "))


def _not_yet(text: str, pending: str) -> str:
    return f"{text} *(not yet)*" if pending else text
