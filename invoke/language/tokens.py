"""Splits a line into words: their positions, and their text without quotes."""

from dataclasses import dataclass

from invoke.errors import CommandError

SPACES = " \t\n\r\u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
"""All of Unicode's spaces, including the ideographic space of Japanese keyboards."""
INVISIBLE = "\u00ad\u034f\u115f\u1160\u180e\u2060\u2800\u3164\ufeff\uffa0" + "".join(map(chr, range(0x200B, 0x2010)))
"""Characters without ink that are not spaces: soft hyphen, joiners, direction marks, fillers."""
_QUOTE_MARKS = "\"'\u00ab\u00bb\u2039\u203a\uff02" + "".join(map(chr, [*range(0x2018, 0x2020), *range(0x300C, 0x3010)]))
CURLY = {
    "\u201c": "\u201d",
    "\u201d": "\u201d",
    "\u201e": "\u201c\u201d",
    "\u201f": "\u201d",
    "\uff02": "\uff02",
}
"""Opening double quotes of word processors and keyboards → closing quotes."""
_SINGLE = {"'": "'", "\u2018": "\u2019"}
OPENING = frozenset({*CURLY, *_SINGLE})
"""Characters with which an unquoted value cannot begin."""


@dataclass(frozen=True, slots=True)
class Word:
    """Text between spaces. `text` excludes quotes; `quoted`: the whole word is in quotes."""

    text: str
    start: int
    end: int
    quoted: bool


def is_blank(text: str) -> bool:
    """Whether nothing in `text` can be painted: only spaces, invisible characters and quotes."""
    return not text.strip(SPACES + INVISIBLE + _QUOTE_MARKS)


def skip_spaces(line: str, position: int) -> int:
    """The offset of the next character that is not a space, from `position` on, or the line's length."""
    while position < len(line) and line[position] in SPACES:
        position += 1
    return position


def read_word(line: str, start: int) -> Word:
    """Read the word that begins at `start`, which is not a space.

    Double quotes protect spaces; inside them the only escapes are `\\"` and `\\\\`. A word may also be in curly quotes,
    without escapes. Raises CommandError at a quote that is never closed.
    """
    letters: list[str] = []
    position = start
    if line[start : start + 1] in CURLY:
        position = _curly_end(line, start)
        if position == len(line) or line[position] in SPACES:
            return Word(line[start + 1 : position - 1], start, position, quoted=True)
        letters += line[start:position]
    stretches = 0
    while position < len(line) and line[position] not in SPACES:
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
    """Read the value of a switch at `start`: a word, for which single quotes also group.

    `'my photo.png'` is one value; `it's.png` keeps its apostrophe.
    """
    if (closing := _SINGLE.get(line[start : start + 1])) is not None:
        end = line.find(closing, start + 1)
        while end != -1 and end + 1 < len(line) and line[end + 1] not in SPACES:
            end = line.find(closing, end + 1)
        if end > start:
            return Word(line[start + 1 : end], start, end + 1, quoted=True)
    return read_word(line, start)


def quote(text: str) -> str:
    """`text` in double quotes."""
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


def _curly_end(line: str, start: int) -> int:
    """The offset after the curly quote that closes the one at `start`; nested pairs are text."""
    opening, depth = line[start], 1
    for position in range(start + 1, len(line)):
        if line[position] in CURLY[opening]:
            depth -= 1
        elif line[position] == opening:
            depth += 1
        if depth == 0:
            return position + 1
    raise CommandError(
        f"this quote {opening} is never closed",
        code="unbalanced_quote",
        column=start,
        hint="close it, or put the whole prompt in straight double quotes",
    )


def _closes_at(line: str, opening: int) -> int:
    return _read_quoted(line, opening)[1]
