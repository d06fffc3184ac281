"""Completion: suggestions at the cursor, computed from the text before it and the sources.

Law: if a suggestion replaces `before[start:]`, the line can be read, or needs only a value. Switches that are not
implemented yet are not suggested.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from invoke.errors import CommandError
from invoke.language.command_table import COMMANDS, NUMBER, by_command
from invoke.language.complete.cursor import belongs, kind_of, part_start, read_begun, split, waiting
from invoke.language.complete.sources import Choice, Sources, choices, matching, models, paths
from invoke.language.help import about, topics
from invoke.language.parse import CommandCall, read
from invoke.language.render import value_word
from invoke.language.set_reset import RESET
from invoke.language.switches import SWITCHES, Switch, by_name, by_short
from invoke.language.tokens import Word, quote, skip_spaces
from invoke.models.yaml_lists import DEFAULTS

_SWITCH_BEGUN = re.compile(r"--?([A-Za-z][\w-]*)?")
_ADDED_BEGUN = re.compile(r"<[\w.-]*$|\bwithL(?:o|or|ora|ora\([\w.-]*)?$")
_FILE_BEGUN = re.compile(r"(?<![\w\\])__(?:[^\W_][\w./-]*)?$")
"""The beginning of a wildcard file's name, such as `__animals/c`."""
_PRESET_BEGUN = re.compile(r"(?<!\S)\+([A-Za-z][\w-]*)?$")
_NAMED_VALUE = re.compile(r"(--?)([A-Za-z][\w-]*)=")


SWEEPS = {
    "strength=0.3,0.5,0.7": "three strengths",
    "steps=10:50:10": "from, to and step",
    "cfg_scale=3,6,9": "three guidance scales",
    "sampler=ddim,k_euler,k_dpmpp_2": "three samplers",
    "seed=1,2,3": "three seeds",
    "prompt=": "whole prompts, with commas between them",
    "word:": "word:tree=tree,house: other words in the place of one",
    "preset=": "presets by name",
    "lora:": "lora:NAME=0.4,0.8: the weight of a LoRA in the prompt",
}
"""Suggestions for `--sweep`."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """`text`, which replaces everything from `start` on, and a short description."""

    text: str
    start: int
    about: str = ""


def suggest(before: str, sources: Sources) -> list[Suggestion]:
    """Suggestions for the end of `before`, in the order of the tables."""
    start = skip_spaces(before, 0)
    if before.startswith(("#", "//"), start):
        return []
    if before.startswith("!", start):
        return list(_in_command(before, start, sources))
    found = list(_in_line(before, part_start(before), SWITCHES, sources))
    if start == len(before):
        return [*_command_names(before, start), *found]
    return found


# commands
def _command_names(before: str, start: int) -> Iterator[Suggestion]:
    for row in COMMANDS:
        if not row.pending and row.name != NUMBER and f"!{row.name}".startswith(before[start:]):
            yield Suggestion(f"!{row.name}", start, row.help)


def _in_command(before: str, start: int, sources: Sources) -> Iterable[Suggestion]:
    try:
        call = read(before)
    except CommandError:
        return ()
    assert isinstance(call, CommandCall)
    if start + 1 + len(call.name) == len(before):
        return _command_names(before, start)
    row = by_command().get(call.name)
    if row is None or row.pending:
        return ()
    if row.argument == "defaults":
        return _in_set(before, call.column, sources)
    if row.argument == "switches":
        return _in_line(before, call.column, SWITCHES, sources)
    if row.argument == "topic":
        found = matching(before[call.column :], topics())
        return (Suggestion(topic, call.column, word) for topic, word in found)
    words, last = split(before, call.column)
    if words and row.switches:
        return _in_line(before, call.column, [by_name()[name] for name in row.switches], sources)
    if words and row.name == "edit_model":
        return _in_place(matching(last.text, dict.fromkeys(DEFAULTS, "")), before, last) if len(words) % 2 else ()
    return () if words else _in_place(_arguments(row.argument, last.text, sources), before, last)


def _in_set(before: str, position: int, sources: Sources) -> Iterator[Suggestion]:
    """Switches with their values; after `reset`, the switches that were set, without values."""
    words, last = split(before, position)
    if words and words[0].text == RESET:
        values = {_spelled(by_name()[name]): value for name, value in sources.changed.items()}
        found = matching(before[last.start :], values)
        yield from (Suggestion(switch, last.start, value) for switch, value in found)
        return
    if not words and RESET.startswith(last.text):
        yield Suggestion(RESET, last.start, "reset what was set in this session")
    yield from _in_line(before, position, [row for row in SWITCHES if row.launch], sources)


def _arguments(kind: str, typed: str, sources: Sources) -> Iterable[Choice]:
    match kind:
        case "picture" | "text file" | "folder" | "pickle":
            return paths(kind, typed, sources)
        case "entry":
            return matching(typed, reduce(or_, map(dict, sources.added.values()), dict(sources.models)))
        case "model":
            return models(typed, sources)
    return ()


# switches and their values
def _in_line(before: str, position: int, rows: Sequence[Switch], sources: Sources) -> Iterator[Suggestion]:
    """Suggestions for the end of a prompt with switches that begins at `position`."""
    words, last = split(before, position)
    expecting = waiting(before, words)
    if expecting is not None:
        row, taken = expecting
        yield from _in_place(_values(row, taken, last.text, sources), before, last)
        if row.name == "negative_prompt":
            yield from _in_prompt(before, sources)
        if len(taken) < row.type.needs:
            return
    yield from _glued_values(before, last, sources)
    typed = before[last.start :]
    for spelling, row in _spellings(typed, [row for row in rows if not (row.pending or row.obsolete)]):
        yield Suggestion(spelling, last.start, about(row))
    if not typed.startswith("-"):
        yield from _in_prompt(before, sources)


def _in_prompt(before: str, sources: Sources) -> Iterator[Suggestion]:
    """Suggestions for words of a prompt: embeddings (`<name>`), LoRAs (`withLora(name,1)`), wildcard files, presets."""
    if file := _FILE_BEGUN.search(before):
        for name in sorted(f"__{name}__" for name in sources.wildcards()):
            if name.startswith(file.group()) and name != file.group():
                yield Suggestion(name, file.start(), "a line of this file, with --wild")
    if preset := _PRESET_BEGUN.search(before):
        for name, line in sources.presets().items():
            if name.startswith(preset[1] or ""):
                yield Suggestion(f"+{name}", preset.start(), line)
    begun = _ADDED_BEGUN.search(before)
    if begun is None:
        return
    for kind, spelled in (("embedding", "<{}>"), ("lora", "withLora({},1)")):
        for name, word in sources.added.get(kind, {}).items():
            if spelled.format(name).startswith(begun.group()):
                yield Suggestion(spelled.format(name), begun.start(), word)


def _values(row: Switch, taken: tuple[str, ...], typed: str, sources: Sources) -> Iterator[Choice]:
    found = False
    if row.name == "sweep":
        yield from matching(typed, SWEEPS)
    if not row.pending:
        for value, word in choices(kind_of(row, taken), typed, sources):
            if belongs(row, taken, value):
                found = True
                yield value, word
    if not (found or typed or taken or row.is_flag) and row.default not in (None, "", ()):
        yield row.type.render(row.default)[0], f"the default · {about(row)}"


def _glued_values(before: str, last: Word, sources: Sources) -> Iterator[Suggestion]:
    """Suggestions for values directly after the name: `--image=te`, `-Ite`."""
    typed = before[last.start :]
    if named := _NAMED_VALUE.match(typed):
        rows = by_name() if named[1] == "--" else by_short()
        row = rows.get(named[2].replace("-", "_") if named[1] == "--" else named[2])
        if row is not None and not row.is_flag:
            yield from _values_of(row, last.start + named.end(), before, sources)
    elif typed[:1] == "-" and typed[1:2].isalpha():
        for short in sorted(by_short(), key=len, reverse=True):
            row, start = by_short()[short], last.start + 1 + len(short)
            if typed[1:].startswith(short) and start < len(before) and not row.is_flag:
                glued = _values_of(row, start, before, sources)
                yield from (value for value in glued if row.type.glues(value.text))


def _values_of(row: Switch, start: int, before: str, sources: Sources) -> Iterator[Suggestion]:
    empty = Word("", start, start, quoted=False)
    last = read_begun(before, start, value=True) if start < len(before) else empty
    return _in_place(_values(row, (), last.text, sources), before, last)


def _in_place(found: Iterable[Choice], before: str, last: Word) -> Iterator[Suggestion]:
    """Suggestions that replace the word at the cursor, quoted if needed, or if that word is."""
    quoted = before.startswith('"', last.start)
    for value, word in found:
        yield Suggestion(quote(value) if quoted else value_word(value), last.start, word)


def _spelled(row: Switch) -> str:
    return f"-{row.short[0]}" if row.short else f"--{row.name}"


def _spellings(typed: str, rows: Sequence[Switch]) -> Iterable[tuple[str, Switch]]:
    """The switches that begin with `typed`: short names, else long ones, else `--no-` twins, else synonyms."""
    if typed in ("", "-"):
        named = [(_spelled(row), row) for row in rows]
        return sorted(named, key=lambda pair: not pair[1].short)
    if not _SWITCH_BEGUN.fullmatch(typed):
        return []
    long = "--" + typed.lstrip("-").replace("-", "_")
    shorts = [(f"-{short}", row) for row in rows for short in row.short]
    names = [(f"--{row.name}", row) for row in rows]
    twins = [(f"--no_{row.name}", row) for row in rows if row.is_flag]
    synonyms = [(f"--{name}", row) for row in rows for name in row.synonyms]
    for spellings, begun in ((shorts, typed), (names, long), (twins, long), (synonyms, long)):
        if found := [(spelling, row) for spelling, row in spellings if spelling.startswith(begun)]:
            return found
    return []
