"""`--wild`: draws one prompt, by the picture's seed, from a prompt with choices.

    {red|blue}           one of them; {3::red|blue} is red three times as often
    {2$$a|b|c}           two of them, with ", " between; {1-2$$ and $$a|b|c}: one or two, with " and " between
    __animals__          a line of animals.txt in a folder of wildcards; __animals/cats__ of animals/cats.txt
    {2$$__animals__}     two lines of it

They can be nested, also in files. Braces without a bar, a single `__`, and signs after a backslash
(`\\{ \\| \\} \\__`) are text. This is the commonly used part of the syntax of dynamicprompts.
"""

import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from unicodedata import normalize

from invoke import files
from invoke.errors import RequestError
from invoke.text import did_you_mean

DEEPEST = 20
"""Maximum nesting of braces."""
LONGEST = 65_536
"""Limit of characters and choices of one drawn prompt."""

_MARK = re.compile(r"\\(?P<text>[{}|]|__)|(?P<sign>[{}|])|__(?P<name>[^\W_][\w\u0300-\u036f./-]*?)__")
_HOW_MANY = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?\$\$(?:([^{}|$]*)\$\$)?")
_WEIGHT = re.compile(r"\s*(\d{1,6}(?:\.\d{0,6})?|\.\d{1,6})::")


class WildcardFiles:
    """The wildcard files in some folders, of which earlier ones win; searched once, on first use."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = folders

    def find(self, name: str, column: int | None = None) -> Path:
        """The file called exactly `name`. Raises RequestError with the most similar name."""
        if (found := self.files.get(normalize("NFC", name))) is not None:
            return found
        suggestion = did_you_mean(name, self.files, "__{}__")
        raise RequestError(
            f"there is no wildcard file {name}{ENDING}{suggestion}",
            code="no_such_wildcard",
            column=column,
            hint=f"put the file, one text per line, in {' or '.join(map(str, self.folders)) or 'a wildcard folder'}",
        )

    @cached_property
    def files(self) -> Mapping[str, Path]:
        """Name → file, for all files in the folders and their subfolders, except links that lead outside."""
        found: dict[str, Path] = {}
        for folder in reversed(self.folders):
            root = folder.resolve()
            for path in folder.rglob(f"*{ENDING}"):
                if path.is_file() and path.resolve().is_relative_to(root):
                    found[normalize("NFC", path.relative_to(folder).as_posix().removesuffix(ENDING))] = path
        return found


@dataclass(frozen=True, slots=True)
class File:
    """`__name__`, at `column` of its text."""

    name: str
    column: int


@dataclass(frozen=True, slots=True)
class Choice:
    """`{…|…}`: from `fewest` to `most` of the options, without repetition."""

    options: "tuple[Option, ...]"
    fewest: int = 1
    most: int = 1
    between: str = ", "


Parts = tuple[str | File | Choice, ...]
"""A parsed text."""


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a choice, or a line of a file, drawn in proportion to its weight."""

    parts: Parts
    weight: float = 1.0


def is_wild(text: str) -> bool:
    """Whether `text` contains anything to draw."""
    return any(not isinstance(part, str) for part in read_wild(text))


def draw(text: str, seed: int, folders: Sequence[Path], salt: str = "") -> str:
    """Draw a text with `seed`; the result depends only on the arguments and the files, on every machine.

    `salt` makes texts with the same seed independent. Raises RequestError, with the column in `text` if it applies.
    """
    parts = read_wild(text)
    files = WildcardFiles(folders)
    for file in _files(parts):
        files.find(file.name, file.column)
    drawn = _Drawer(random.Random(f"{salt} {seed}"), files).text(parts, ())  # noqa: S311 - not for cryptography
    return " ".join(drawn.split()) if is_wild(text) else drawn


class _Drawer:
    """Draws one text. Uses only `random()` of the generator, which is the same in every version of Python."""

    def __init__(self, generator: random.Random, files: WildcardFiles) -> None:
        self.generator = generator
        self.files = files
        self.room = LONGEST

    def text(self, parts: Parts, inside: tuple[str, ...]) -> str:
        """`inside`: the wildcard files that these parts come from, outermost first."""
        return "".join(self._part(part, inside) for part in parts)

    def _part(self, part: str | File | Choice, inside: tuple[str, ...]) -> str:
        self._spend(len(part) if isinstance(part, str) else 1)
        match part:
            case File():
                return self._joined(Choice(self._lines(part, inside)), (*inside, part.name))
            case Choice((Option((File() as file,)),)):
                listed = Choice(self._lines(file, inside), part.fewest, part.most, part.between)
                return self._joined(listed, (*inside, file.name))
            case Choice():
                return self._joined(part, inside)
        return part

    def _joined(self, choice: Choice, inside: tuple[str, ...]) -> str:
        many = choice.fewest + int(self.generator.random() * (choice.most - choice.fewest + 1))
        left = [option for option in choice.options if option.weight > 0]
        if choice.fewest > choice.most or choice.most > len(left):
            asked = f"{choice.fewest}" if choice.fewest == choice.most else f"{choice.fewest}-{choice.most}"
            where = f" of __{inside[-1]}__" if inside else ""
            raise _bad(f"cannot draw {asked} of {len(left)} texts{where}")
        return choice.between.join(self.text(self._taken(left).parts, inside) for _ in range(many))

    def _taken(self, left: list[Option]) -> Option:
        """Draw one option and remove it from `left`."""
        aim = self.generator.random() * sum(option.weight for option in left)
        for index, option in enumerate(left):
            aim -= option.weight
            if aim < 0:
                return left.pop(index)
        return left.pop()

    def _lines(self, file: File, inside: tuple[str, ...]) -> tuple[Option, ...]:
        if file.name in inside:
            raise _bad(f"the wildcard file __{file.name}__ refers to itself: {' → '.join((*inside, file.name))}")
        return tuple(map(_read_option, read_file(self.files.find(file.name))))

    def _spend(self, much: int) -> None:
        self.room -= much
        if self.room < 0:
            raise _bad(f"the drawn text is longer than {LONGEST} characters")


@lru_cache(maxsize=256)
def read_wild(text: str) -> Parts:
    """Parse `text`. Raises RequestError if braces are nested too deeply."""
    return tuple(_joined_up(_Reader(text).parts(0, len(text))))


@lru_cache(maxsize=4096)
def _read_option(line: str) -> Option:
    """Parse a line of a file."""
    weight = _WEIGHT.match(line)
    return Option(read_wild(line[weight.end() :] if weight else line), float(weight[1]) if weight else 1.0)


class _Reader:
    """Parses a text in one pass over its signs."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.marks = {match.start(): match for match in _MARK.finditer(text)}
        self.ends: dict[int, int] = {}
        """Opening → closing position of matched braces."""
        self.bars: dict[int, list[int]] = {}
        """Opening position → positions of the bars inside."""
        open_braces: list[int] = []
        for at, match in self.marks.items():
            match match["sign"]:
                case "{":
                    open_braces.append(at)
                    self.bars[at] = []
                case "}" if open_braces:
                    self.ends[open_braces.pop()] = at
                case "|" if open_braces:
                    self.bars[open_braces[-1]].append(at)

    def parts(self, start: int, end: int, depth: int = 0) -> Iterator[str | File | Choice]:
        """Parse the text from `start` to `end`."""
        while start < end:
            match = self.marks.get(start)
            if match is None:
                begun, start = start, start + 1
                while start < end and start not in self.marks:
                    start += 1
                yield self.text[begun:start]
            elif match["name"] and match.end() <= end:
                yield File(match["name"], start)
                start = match.end()
            elif start in self.ends and (choice := self._choice(start, depth)) is not None:
                yield choice
                start = self.ends[start] + 1
            else:
                yield match["text"] or match[0]
                start = match.end()

    def _choice(self, start: int, depth: int) -> Choice | None:
        """Parse the choice whose brace opens at `start`; None if the braces are text."""
        end, how_many = self.ends[start], _HOW_MANY.match(self.text, start + 1)
        if how_many is None and not self.bars[start]:
            return None
        if depth == DEEPEST:
            raise _bad(f"braces are nested more than {DEEPEST} deep", start)
        first = how_many.end() if how_many else start + 1
        edges = [first - 1, *self.bars[start], end]
        options = tuple(self._option(before + 1, after, depth + 1) for before, after in pairwise(edges))
        if how_many is None:
            return Choice(options)
        fewest, most = int(how_many[1]), int(how_many[2] or how_many[1])
        return Choice(options, fewest, most, ", " if how_many[3] is None else how_many[3])

    def _option(self, start: int, end: int, depth: int) -> Option:
        weight = _WEIGHT.match(self.text, start, end)
        parts = tuple(_joined_up(self.parts(weight.end() if weight else start, end, depth)))
        return Option(parts, float(weight[1]) if weight else 1.0)


def _joined_up(parts: Iterable[str | File | Choice]) -> Iterator[str | File | Choice]:
    """Join adjacent pieces of text."""
    letters = ""
    for part in parts:
        if isinstance(part, str):
            letters += part
            continue
        if letters:
            yield letters
        letters = ""
        yield part
    if letters:
        yield letters


def _files(parts: Parts) -> Iterator[File]:
    for part in parts:
        if isinstance(part, File):
            yield part
        elif isinstance(part, Choice):
            for option in part.options:
                yield from _files(option.parts)


def _bad(message: str, column: int | None = None) -> RequestError:
    return RequestError(message, code="bad_wildcard", column=column, hint="see !help --wild, or docs/wildcards.md")


ENDING = ".txt"
LARGEST_FILE = 2_000_000
"""In bytes."""

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def read_file(path: Path) -> tuple[str, ...]:
    """Read the texts of a file, without empty lines and lines that begin with `#`. Raises RequestError."""
    try:
        found = path.stat()
        if found.st_size > LARGEST_FILE:
            raise RequestError(f"{path}: larger than 2 MB, too large for a list of texts", code="bad_wildcard")
        texts = _read(path, found.st_mtime_ns, found.st_size)
    except (OSError, UnicodeError) as error:
        why = "it is not UTF-8" if isinstance(error, UnicodeError) else error.strerror or error
        raise RequestError(f"{path}: this wildcard file cannot be read: {why}", code="bad_wildcard") from None
    if not texts:
        raise RequestError(f"{path}: this wildcard file has no text", code="bad_wildcard")
    return texts


@lru_cache(maxsize=64)
def _read(path: Path, changed: int, size: int) -> tuple[str, ...]:
    text = files.read_file(path, LARGEST_FILE).decode("utf-8-sig")
    lines = (_CONTROLS.sub("", " ".join(line.split())) for line in text.split("\n"))
    return tuple(line for line in lines if line and not line.startswith("#"))
