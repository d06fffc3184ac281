"""Parses a line to a Draft (exactly what was typed), a CommandCall, Nothing or Quit."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import islice
from typing import Any

from invoke.errors import CommandError
from invoke.language.switches import Switch, answer_elsewhere, by_name, by_other_name, by_short
from invoke.language.tokens import INVISIBLE, SPACES, Word, read_value, read_word, skip_spaces
from invoke.language.types import Path, Text, looks_like_number
from invoke.samplers import SAMPLERS, find_sampler
from invoke.text import LONGEST_LINE, with_article

THEN = "|>"
"""Separates the parts of a chain."""
MOST_PARTS = 16
LEAVING = ("q", "quit", "exit")
COMMENTS = ("#", "//")
"""Start of a comment line."""
_HELP = {"h", "help", "halp", "usage", "info", "version", "man"}

PRESET = re.compile(r"\+[A-Za-z][\w-]*")
"""A word that refers to a preset."""
_LONG = re.compile(r"--[A-Za-z][\w-]*")
_RANGE = re.compile(r"(-?[\d.]*\d)\.\.(-?[\d.]+)")
_AT_LEAST = "≥ "
"""Prefix of a one-sided range in the description of a switch's values (`types.base.shown_range`)."""
_DASH_WORD = re.compile(r"--?[A-Za-z]")
"""A word that cannot be a value unless it is quoted."""
_INVISIBLE = re.compile(f"[{INVISIBLE}]+")
_DASHES = re.compile(
    r"[-\u00af\u02d7\u058a\u05be\u1400\u1806\u2010-\u2015\u2043\u207b\u208b\u2212\u23af\u2500\u2501\u2796\u2e17"
    r"\u2e1a\u2e3a\u2e3b\u2e40\u301c\u3030\u30a0\u30fc\ufe31\ufe32\ufe58\ufe63\uff0d\uff70]+"
)
"""Hyphens, and the characters that word processors and keyboards use instead."""
_CUTOFF = 0.8
"""Similarity (difflib) from which a word after such a dash counts as a mistyped switch."""
_LONGEST_SAMPLER = 5
"""Maximum number of words of a sampler's name in other programs."""
_GLUED = re.compile(r'"(?:[^"\\]|\\.)*"--?[A-Za-z]')
"""A quoted prompt with a switch directly after it."""
_COMMAND = re.compile(r"![^\s]*")
_LOGGED = re.compile(r'\s*(?:\[\d+\] )?(?:[^"\n]*[/\\])?\d{5,}[^\s/\\]*\.png: ')
"""The prefix of lines in current and old logs, and at the prompt: `[12] outputs/000032.7.png: `."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A parsed line. `switches` maps long names to values and holds only what was typed."""

    line: str
    prompt: str | None
    """None if the line has no words for a prompt."""
    switches: Mapping[str, Any]
    columns: Mapping[str, int]
    """The column of each switch, for later errors; `control 2` is the second `--control`."""
    notes: tuple[str, ...] = ()
    values: Mapping[str, int] = field(default_factory=dict)
    """The column of each switch's value, under the same names; for a flag, of the flag itself."""
    presets: tuple[tuple[str, int], ...] = ()
    """The presets in the line (`+oil`), each with its column."""
    before: "Draft | None" = None
    """The previous part of a chain (`a |> b`), from whose picture this part starts."""

    @property
    def parts(self) -> "tuple[Draft, ...]":
        """All parts of the chain, in order."""
        return (*(self.before.parts if self.before else ()), self)

    @property
    def chain_switches(self) -> Mapping[str, Any]:
        """The switches of all parts combined, for switches about output, which apply to the whole chain."""
        return {name: value for part in self.parts for name, value in part.switches.items()}


@dataclass(frozen=True, slots=True)
class Nothing:
    """An empty line or a comment."""


@dataclass(frozen=True, slots=True)
class Quit:
    """A line that is just `q`, `quit` or `exit`."""


@dataclass(frozen=True, slots=True)
class CommandCall:
    """`!name rest`: a command of the shell."""

    name: str
    rest: str
    column: int
    """Where `rest` begins."""


def read(line: str) -> Draft | CommandCall | Nothing | Quit:
    """Parse any line; the picture's name in front of a line from a log is ignored.

    Raises CommandError if it cannot be read.
    """
    if label := _LOGGED.match(line):
        line = " " * label.end() + line[label.end() :]
    words = line.strip(SPACES)
    if not words or words.startswith(COMMENTS):
        return Nothing()
    if words in LEAVING:
        return Quit()
    if words.startswith("!"):
        _refuse_control_characters(line)
        return _read_command(line)
    return parse(line)


def parse(line: str) -> Draft:
    """Parse a line that is a prompt with switches.

    Raises CommandError with the column of the mistake.
    """
    _refuse_control_characters(line)
    line, breaks = _joined(line)
    draft: Draft | None = None
    for start, end in parts_of(line):
        if draft is not None or end < len(line):
            _check_part(line, start, end)
        # earlier parts are replaced with spaces, so that columns refer to the whole line
        draft = replace(_Reader(" " * start + line[start:end], breaks).draft(), before=draft)
    assert draft is not None
    return draft


def _joined(line: str) -> tuple[str, Sequence[int]]:
    """Join a line that was typed or pasted in several rows, without comments; also returns where the rows end."""
    breaks = [match.start() for match in re.finditer(r"[\r\n]", line)]
    if not breaks:
        return line, ()
    rows = re.split(r"[\r\n]", line)
    kept = (" " * len(row) if row.strip(SPACES).startswith(COMMENTS) else row for row in rows)
    return " ".join(kept), breaks


def is_then(word: Word) -> bool:
    """Whether `word` separates the parts of a chain: in quotes it is painted."""
    return word.text == THEN and not word.quoted


def parts_of(line: str) -> list[tuple[int, int]]:
    """Start and end of each part of a chain; `|>` must be a separate word outside quotes."""
    if THEN not in line:
        return [(0, len(line))]
    starts, ends, position = [0], list[int](), 0
    while (at := skip_spaces(line, position)) < len(line):
        word = read_value(line, at)
        if is_then(word):
            ends.append(word.start)
            starts.append(word.end)
        position = word.end
    return list(zip(starts, [*ends, len(line)], strict=True))


def _check_part(line: str, start: int, end: int) -> None:
    if len(parts_of(line)) > MOST_PARTS:
        raise CommandError(f"a chain has at most {MOST_PARTS} parts", code="chain_too_long", column=start)
    if not line[start:end].strip(SPACES):
        raise CommandError(
            f"a part of the chain is missing next to {THEN}",
            code="empty_part",
            column=min(start, len(line)),
            hint=f"example: fire {THEN} a painting of it -f 0.5; to paint {THEN}, put the prompt in double quotes",
        )


def column_in_line(draft: Draft, offset: int) -> int | None:
    """The column of the character at `offset` in a draft's prompt; with `--prompt`, the column of that switch."""
    if "prompt" in draft.columns:
        return draft.columns["prompt"]
    reader = _Reader(draft.line)
    reader.draft()
    return next((column for column in islice(reader.prompt_columns(), offset, None)), None)


def _read_command(line: str) -> CommandCall:
    start = skip_spaces(line, 0)
    match = _COMMAND.match(line, start)
    assert match is not None
    rest = skip_spaces(line, match.end())
    return CommandCall(match.group()[1:], line[rest:].rstrip(SPACES), rest)


def _refuse_control_characters(line: str) -> None:
    if len(line) > LONGEST_LINE:
        raise CommandError(
            f"this line has {len(line)} characters: the limit is {LONGEST_LINE}",
            code="line_too_long",
            column=LONGEST_LINE,
        )
    for column, letter in enumerate(line):
        if "\udc80" <= letter <= "\udcff":  # Python's surrogates for bytes that cannot be decoded
            raise CommandError(
                f"this is not UTF-8: byte 0x{ord(letter) & 0xFF:02x}",
                code="not_utf8",
                column=column,
                hint="if it is a file's name, rename the file",
            )
        if letter not in SPACES and unicodedata.category(letter) in {"Cc", "Cs"}:
            raise CommandError(
                f"control character {ascii(letter)[1:-1]} in the line",
                code="control_character",
                column=column,
                hint="remove it",
            )


class _Reader:
    """Parses one line in a single pass from left to right."""

    def __init__(self, line: str, breaks: Sequence[int] = ()) -> None:
        """`breaks`: offsets where rows of a multi-row line end; comments end there, too."""
        self.line = line
        self.breaks = breaks
        self.position = 0
        self.switches: dict[str, Any] = {}
        self.columns: dict[str, int] = {}
        self.values: dict[str, int] = {}
        self.notes: list[str] = []
        self.stretches: list[tuple[int, int]] = []
        self.quoted_prompt: Word | None = None
        self.presets: list[tuple[str, int]] = []

    def draft(self) -> Draft:
        previous_was_text = False
        while (start := skip_spaces(self.line, self.position)) < len(self.line):
            self.position = start
            if self._read_switch(start):
                previous_was_text = False
                continue
            if self.line[start] == "#" and self._prompt_is_over(previous_was_text):
                self._skip_comment(start)
                continue
            word = read_word(self.line, start)
            if PRESET.fullmatch(self.line, start, word.end):
                self.presets.append((self.line[start + 1 : word.end], start))
                previous_was_text = False
                self.position = word.end
                continue
            self._take_text(word, extend=previous_was_text)
            previous_was_text = True
            self.position = word.end
        return Draft(
            self.line,
            self._prompt(),
            self.switches,
            self.columns,
            tuple(self.notes),
            values=self.values,
            presets=tuple(self.presets),
        )

    def _skip_comment(self, start: int) -> None:
        """Replace the comment with spaces."""
        end = next((place for place in self.breaks if place > start), len(self.line))
        self.line = self.line[:start] + " " * (end - start) + self.line[end:]
        self.position = end

    # the prompt

    def _prompt_is_over(self, previous_was_text: bool) -> bool:
        """Whether `# …` is a comment: after a quoted prompt or a switch. Old saved lines end with one."""
        return self.quoted_prompt is not None or bool(self.stretches and not previous_was_text)

    def _take_text(self, word: Word, *, extend: bool) -> None:
        if self.quoted_prompt is not None:
            raise CommandError(
                "there are words after the quoted prompt",
                code="text_after_prompt",
                column=word.start,
                hint="put all of the prompt inside the quotes",
            )
        if word.quoted and not self.stretches:
            self.quoted_prompt = word
        elif _GLUED.match(self.line, word.start) and not self.stretches:
            raise CommandError(
                "a space is missing after the quoted prompt", code="text_after_prompt", column=word.start
            )
        elif extend:
            self.stretches[-1] = (self.stretches[-1][0], word.end)
        else:
            self.stretches.append((word.start, word.end))

    def _prompt(self) -> str | None:
        text = self.quoted_prompt.text if self.quoted_prompt else None
        if self.stretches:
            text = " ".join(self.line[start:end] for start, end in self.stretches)
        if "prompt" not in self.switches:
            return text
        if text is not None:
            raise CommandError("this line has a prompt and --prompt", code="two_prompts", column=self.columns["prompt"])
        given: str = self.switches.pop("prompt")
        return given

    def prompt_columns(self) -> Iterator[int]:
        """The column of each character of the prompt, and of its end."""
        if (word := self.quoted_prompt) is not None:
            position = word.start + 1
            while position < word.end:
                position += self.line.startswith(('\\"', "\\\\"), position)  # skip the backslash of an escape
                yield position
                position += 1
        for start, end in self.stretches:
            yield from range(start, end + 1)  # each is followed by a space or the line's end

    # switches

    def _read_switch(self, start: int) -> bool:
        """Read the switch at `start` and its value; returns False if the word is text."""
        if self.line.startswith("--", start):
            return self._read_long(start)
        if self.line[start] == "-" and self.line[start + 1 : start + 2].isalpha():
            self._read_short(start)
            return True
        self._refuse_other_dash(start)
        self._refuse_other_arrow(start)
        return False

    def _refuse_other_arrow(self, start: int) -> None:
        """Raise CommandError for `|>` in the full-width letters of Japanese and Chinese keyboards."""
        word = self.line[start : start + len(THEN)]
        is_word = self.line[start + len(THEN) : start + len(THEN) + 1] in {"", *SPACES}
        if word != THEN and is_word and unicodedata.normalize("NFKC", word) == THEN:
            raise CommandError(
                f"{word} in place of {THEN}: type {THEN}",
                code="not_a_hyphen",
                column=start,
                hint="to paint it, put the whole prompt in double quotes",
            )

    def _refuse_other_dash(self, start: int) -> None:
        """Raise CommandError for a word that would be a switch if its dash were a hyphen."""
        end = next((at for at in range(start, len(self.line)) if self.line[at] in SPACES), len(self.line))
        for hidden in _INVISIBLE.finditer(self.line, start + 1, end):  # such as `a tree\u200b-s 5`
            if _DASHES.match(self.line, hidden.end(), end):
                self._refuse_other_dash(hidden.start())
        word = _INVISIBLE.sub("", self.line[start:end])
        dash = _DASHES.match(word)
        if dash is None or dash.end() == len(word) or (dash[0] in {"-", "--"} and word == self.line[start:end]):
            return
        name = unicodedata.normalize("NFKC", word[dash.end() :])
        hyphened = next((typed for typed in (f"-{name}", f"--{name}") if _is_switch(typed)), None)
        near = get_close_matches(name.partition("=")[0].replace("-", "_"), by_name(), 1, _CUTOFF)
        if hyphened is None and not near:
            return
        character = next((letter for letter in self.line[start:end] if letter != "-"), "-")
        raise CommandError(
            f"{unicodedata.name(character, 'this character').lower()} (U+{ord(character):04X}) in place of a plain "
            f"hyphen: type {hyphened or f'--{near[0]}'}",
            code="not_a_hyphen",
            column=start,
            hint="to paint the word, put the whole prompt in double quotes",
        )

    def _read_long(self, start: int) -> bool:
        match = _LONG.match(self.line, start)
        if match is None:
            return False
        typed, end = match.group(), match.end()
        name = typed[2:].replace("-", "_")
        row, value = by_name().get(name) or by_other_name(name), True
        if row is None and name.startswith("no_"):
            row, value = by_name().get(name.removeprefix("no_")), False
            row = row if row is not None and row.is_flag else None
        glued = self.line.startswith("=", end)
        if row is None or not (glued or end == len(self.line) or self.line[end] in SPACES):
            self._refuse(start)
            return True
        if row.is_flag and not glued:
            self._store(row, value, start)
            self.position = end
        else:
            self._read_value(row, start, end + 1 if glued else end, glued=glued)
        return True

    def _read_short(self, start: int) -> None:
        end = read_word(self.line, start).end
        body = self.line[start + 1 : end]
        name, equals, _ = body.partition("=")
        if (row := by_short().get(name)) is not None:
            after = start + 1 + len(name) + len(equals)
            if row.is_flag and not equals:
                self._store(row, True, start)
                self.position = after
            else:
                self._read_value(row, start, after, glued=bool(equals))
            return
        for short in sorted(by_short(), key=len, reverse=True):
            row = by_short()[short]
            if body.startswith(short) and not row.is_flag and row.type.glues(body[len(short) :]):
                self._read_value(row, start, start + 1 + len(short), glued=True)
                return
        if not self._read_bundle(start, body):
            self._refuse(start)

    def _read_bundle(self, start: int, body: str) -> bool:
        """Read one-letter flags, and at most one switch with a value after them: `-gt`, `-gs10`."""
        flags: list[Switch] = []
        for index, letter in enumerate(body):
            row = by_short().get(letter)
            if row is None:
                return False
            if row.is_flag:
                flags.append(row)
                continue
            value = body[index + 1 :]
            if not flags or not looks_like_number(value):
                return False
            self._read_value(row, start, start + 2 + index, glued=True)
            break
        else:
            self.position = start + 1 + len(body)
        for flag in flags:
            self._store(flag, True, start)
        return True

    def _read_value(self, row: Switch, start: int, position: int, *, glued: bool) -> None:
        """Read as many words as the switch takes from `position` on."""
        if row.is_flag:
            raise CommandError(
                f"{row.spelling} takes no value",
                code="bad_value",
                column=start,
                hint=f"--no-{row.name} is off",
            )
        words: list[Word] = []
        while True:
            following = position if glued and not words else skip_spaces(self.line, position)
            word = self._next_value(row, following, tuple(word.text for word in words), glued=glued and not words)
            if word is None:
                break
            words.append(word)
            position = word.end
        if len(words) < row.type.needs:
            raise CommandError(
                f"{row.spelling} needs {_expected(row)}",
                code="missing_value",
                column=start,
                hint=_how_with_a_dash(row, self.line, skip_spaces(self.line, position)),
            )
        if row.name == "sampler":
            words = [self._sampler(words[0], start)]
        try:
            value = row.type.parse(tuple(word.text for word in words))
        except ValueError as error:
            column = words[_wrong_word(row, words, str(error))].start if words else start
            raise CommandError(f"{row.spelling} {error}", code="bad_value", column=column) from None
        self._store(row, value, start, words[0].start if words else None)
        self.position = position

    def _sampler(self, word: Word, start: int) -> Word:
        """Replace another program's name of a sampler with ours; turns on `--karras` if the name includes it.

        Raises CommandError if it is the beginning of a longer name, which needs quotes.
        """
        if word.text in SAMPLERS:
            return word
        if not word.quoted:
            self._refuse_unquoted_sampler(word, start)
        named = find_sampler(word.text)
        if named is None:
            return word
        if named.karras:
            self._store(by_name()["karras"], True, start)
        self.notes.append(f"{word.text} is read as -A {named}")
        return replace(word, text=named.name)

    def _refuse_unquoted_sampler(self, word: Word, start: int) -> None:
        text, position, longest = word.text, word.end, None
        for _ in range(_LONGEST_SAMPLER - 1):
            following = skip_spaces(self.line, position)
            if following == len(self.line) or self.line[following] in '-"':
                break
            more = read_word(self.line, following)
            text, position = f"{text} {more.text}", more.end
            if (named := find_sampler(text)) is not None:
                longest = text, named
        if longest is not None:
            alone = find_sampler(word.text)
            raise CommandError(
                f'"{longest[0]}" looks like a sampler: type -A {longest[1]}',
                code="unquoted_sampler",
                column=start,
                hint=f"for the sampler {word.text}: -A {alone}" if alone else "a name with spaces needs quotes",
            )

    def _next_value(self, row: Switch, position: int, taken: tuple[str, ...], *, glued: bool) -> Word | None:
        if glued:
            ended = position == len(self.line) or self.line[position] in SPACES
            return Word("", position, position, True) if ended else read_value(self.line, position)
        if position == len(self.line) or _DASH_WORD.match(self.line, position):
            return None
        word = read_value(self.line, position)
        if len(taken) < row.type.needs or row.type.takes(taken, word.text):
            return word
        return None

    def _store(self, row: Switch, value: Any, column: int, value_column: int | None = None) -> None:
        """Store the switch at `column` with its value at `value_column`; None: it has no value of its own."""
        if row.name == "model" and value in SAMPLERS:
            row = by_name()["sampler"]
            self.notes.append(f"-m names a model; {value} is a sampler, so this is read as -A {value}")
        if row.name == "init_img" and row.name in self.switches:
            row = by_name()["more_img"]
        if row.repeats:
            value = (*self.switches.get(row.name, ()), value)
            self._place(f"{row.name} {len(value)}", column, value_column)
        if row.obsolete:
            self.notes.append(f"{row.spelling} no longer has an effect: {row.obsolete}")
        self.switches[row.name] = value
        self._place(row.name, column, value_column)

    def _place(self, name: str, column: int, value_column: int | None) -> None:
        self.columns[name] = column
        self.values[name] = column if value_column is None else value_column

    def _refuse(self, start: int) -> None:
        word = read_word(self.line, start)
        typed = word.text.partition("=")[0]
        if typed.lstrip("-").lower() in _HELP or get_close_matches(typed.lower(), ["--help"], 1, cutoff=0.75):
            raise CommandError("type !help for a list of switches and commands", code="help", column=start)
        elsewhere = answer_elsewhere(typed)
        raise CommandError(
            f"there is no switch {typed}" + (f": {elsewhere}" if elsewhere else _suggestion(typed)),
            code="unknown_switch",
            column=start,
            hint="to paint the word, put the whole prompt in double quotes",
        )


def _is_switch(word: str) -> bool:
    """Whether `word` is a switch."""
    try:
        return _Reader(word).draft().prompt is None
    except CommandError as error:
        return error.code not in {"unknown_switch", "help"}


def _wrong_word(row: Switch, words: Sequence[Word], message: str) -> int:
    """The index of the invalid word of a value: the first that causes `message`."""
    for count in range(row.type.needs, len(words)):
        try:
            row.type.parse(tuple(word.text for word in words[:count]))
        except ValueError as error:
            if str(error) == message:
                return count - 1 if count > row.type.needs else 0
    return len(words) - 1 if len(words) > row.type.needs else 0


def _expected(row: Switch) -> str:
    """The expected value, in words: `a picture`, `a number from 0 to 1`, `a number of at least 0`."""
    described = row.type.describe()
    if (ends := _RANGE.fullmatch(described)) is not None:
        return f"a number from {ends[1]} to {ends[2]}"
    if described.startswith(_AT_LEAST):
        return f"a number of at least {described.removeprefix(_AT_LEAST)}"
    return with_article(described) if described.partition(" [")[0].isalpha() else described


def _how_with_a_dash(row: Switch, line: str, position: int) -> str:
    """A hint if the word at `position` looks like a switch but could be the value of `row` in quotes; else ""."""
    if position == len(line) or not isinstance(row.type, Text):
        return ""
    word = read_word(line, position).text
    try:
        _Reader(word).draft()
    except CommandError as error:
        if error.code != "missing_value":
            as_path = f", or as ./{word}" if isinstance(row.type, Path) else ""
            return f'put a value that begins with a dash in double quotes: "{word}"{as_path}'
    return ""


def _suggestion(typed: str) -> str:
    """`, did you mean --strength?` if there is a similar switch; else ""."""
    name = typed.lstrip("-").replace("-", "_")
    if name in by_short():
        return f", did you mean -{name}?"
    names = {name: f"--{name}" for name in by_name()}
    names |= {f"no_{row.name}": f"--no-{row.name}" for row in by_name().values() if row.is_flag}
    starts = [full for full in names if full.startswith(name) and len(name) > 2]
    near = starts[:1] or get_close_matches(name, names, 1, cutoff=0.7)
    return f", did you mean {names[near[0]]}?" if near else ""
