"""Words of a line: where each begins and ends, and what it says without its quotes (spec, section 2.1)."""

from dataclasses import dataclass

from invoke.errors import CommandError

BLANKS = " \t\n\r"


@dataclass(frozen=True, slots=True)
class Word:
    """A stretch between blanks. `text` is without quotes, `quoted` whether quotes hold all of it."""

    text: str
    start: int
    end: int
    quoted: bool


def skip_blanks(line: str, position: int) -> int:
    """The offset of the next letter from `position` on, or the line's length."""
    while position < len(line) and line[position] in BLANKS:
        position += 1
    return position


def read_word(line: str, start: int) -> Word:
    """The word that begins at `start`, which is no blank.

    A double-quoted stretch hides blanks; inside it `\\"` and `\\\\` are escapes and nothing else is.
    Raises CommandError at a quote that is never closed.
    """
    letters: list[str] = []
    position = start
    stretches = 0
    while position < len(line) and line[position] not in BLANKS:
        if line[position] == '"':
            inside, position = _read_quoted(line, position)
            letters += inside
            stretches += 1
        else:
            letters.append(line[position])
            position += 1
    quoted = stretches == 1 and line[start] == '"' and _closes_at(line, start) == position
    return Word("".join(letters), start, position, quoted)


def read_value(line: str, start: int) -> Word:
    """The value of a switch that begins at `start`: a word, where single quotes group as well.

    `'my photo.png'` is one value; `it's.png` keeps its apostrophe.
    """
    if line[start : start + 1] == "'":
        end = line.find("'", start + 1)
        while end != -1 and end + 1 < len(line) and line[end + 1] not in BLANKS:
            end = line.find("'", end + 1)
        if end > start:
            return Word(line[start + 1 : end], start, end + 1, quoted=True)
    return read_word(line, start)


def quote(text: str) -> str:
    """`text` as one double-quoted stretch."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _read_quoted(line: str, opening: int) -> tuple[list[str], int]:
    letters: list[str] = []
    position = opening + 1
    while position < len(line):
        letter = line[position]
        if letter == '"':
            return letters, position + 1
        if letter == "\\" and line[position + 1 : position + 2] in {'"', "\\"}:
            position += 1
            letter = line[position]
        letters.append(letter)
        position += 1
    raise CommandError(
        "this double quote is never closed",
        code="unbalanced_quote",
        column=opening,
        hint='close it, or write \\" inside a quoted prompt',
    )


def _closes_at(line: str, opening: int) -> int:
    return _read_quoted(line, opening)[1]
