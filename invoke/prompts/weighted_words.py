"""Parses words with weights and swaps, and the arguments of `.blend()`, `.and()` and `.swap()`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isclose

from invoke.errors import CommandError
from invoke.prompts.marks import Mark, check_weight, read_marks
from invoke.prompts.nodes import Fragment, Swap, Window, Words
from invoke.text import counted, did_you_mean


def read_words(text: str, start: int, end: int) -> Words:
    """Parse `text[start:end]`. Raises CommandError with the column in `text`."""
    return _Reader(text, read_marks(text, start, end)).words()


@dataclass(slots=True)
class _Gathered:
    """A list of fragments; text of the same weight is added to the last one."""

    parts: list[Fragment | Swap] = field(default_factory=list)
    letters: list[str] = field(default_factory=list)
    weight: float = 1.0

    def add(self, text: str, weight: float) -> None:
        if weight != self.weight:
            self.end()
            self.weight = weight
        self.letters.append(text)

    def end(self) -> None:
        """Finish the last fragment."""
        if words := " ".join("".join(self.letters).split()):
            self.parts.append(Fragment(words, self.weight))
        self.letters = []

    def pieces(self) -> tuple[Fragment, ...]:
        self.end()
        return tuple(part for part in self.parts if isinstance(part, Fragment))


class _Reader:
    """Walks over the marks once; every opening mark has a closing one."""

    def __init__(self, text: str, marks: list[Mark]) -> None:
        self.text, self.marks = text, marks
        self.all = self.into = _Gathered()
        self.word: list[str] = []
        """The current word, to which a following weight applies."""
        self.weights = [1.0]
        """Products of the weights of the enclosing groups, outermost first."""
        self.target: tuple[Fragment, ...] | None = None
        """The fragments directly before a `.swap(`."""
        self.busy_until = -1
        """Index of the mark that ends the current target or swap: swaps do not nest."""
        self.call_depth = -1
        """Group depth of the words that are swapped in, while they are read."""
        self.window: Window | None = None

    def words(self) -> Words:
        index = 0
        while index < len(self.marks):
            index = self._take(index)
        self._end_word()
        self.all.end()
        return Words(tuple(self.all.parts), self.window or Window())

    def _take(self, index: int) -> int:
        """Process the mark at `index`; return the index of the next one."""
        mark = self.marks[index]
        match mark.kind:
            case "text":
                self.word.append(mark.text)
            case "blank":
                self._end_word()
                self.into.letters.append(" ")
            case "comma":
                self._end_word()
                if len(self.weights) == self.call_depth:
                    return self._read_options(mark)
                self.into.add(",", self.weights[-1])
            case "weight":
                self._weigh_word(index)
            case "open":
                self._open(index)
            case "close":
                self._close(index)
            case "call":
                self._call(index)
        return index + 1

    def _end_word(self) -> None:
        if self.word:
            self.into.add("".join(self.word), self.weights[-1])
            self.word = []

    def _weigh_word(self, index: int) -> None:
        weight = self._multiplied(self.marks[index])
        if self._swap_follows(index):
            self.target = (Fragment("".join(self.word), weight),)
        else:
            self.into.add("".join(self.word), weight)
        self.word = []

    # groups

    def _open(self, index: int) -> None:
        mark = self.marks[index]
        self._end_word()
        self.into.letters.append(" ")
        self.weights.append(self._multiplied(mark))
        if self._swap_follows(mark.partner):
            self._refuse_nesting(self.marks[mark.partner + 1])
            self.into, self.busy_until = _Gathered(), mark.partner

    def _close(self, index: int) -> None:
        self._end_word()
        if len(self.weights) == self.call_depth:
            self._end_swap(self.into.pieces())
            return
        self.weights.pop()
        if index == self.busy_until:
            self.target = self.into.pieces()
            self.into, self.busy_until = self.all, -1
        else:
            self.into.letters.append(" ")

    def _multiplied(self, mark: Mark) -> float:
        weight = self.weights[-1] * mark.weight
        check_weight(weight, mark.start)
        return weight

    # swaps

    def _swap_follows(self, index: int) -> bool:
        following = self.marks[index + 1] if index + 1 < len(self.marks) else None
        return following is not None and following.kind == "call" and following.text == "swap"

    def _call(self, index: int) -> None:
        mark = self.marks[index]
        if mark.text != "swap":
            raise CommandError(
                f".{mark.text}() must be the whole prompt, with nothing before or after it",
                code="bad_prompt",
                column=mark.start,
                hint=f'("a red cat", "a blue dog").{mark.text}(), with all the words inside the quotes',
            )
        self._refuse_nesting(mark)
        if self.word:
            self.target = (Fragment("".join(self.word), self.weights[-1]),)
            self.word = []
        if self.target is None:
            raise CommandError(
                "there is nothing to swap", code="bad_prompt", column=mark.start, hint="a cat.swap(dog) on a mat"
            )
        self.into, self.call_depth, self.busy_until = _Gathered(), len(self.weights), mark.partner

    def _read_options(self, comma: Mark) -> int:
        """Read the options after the swapped-in words; return the index of the mark that ends the swap."""
        window = read_window(self.text, comma.end, self.marks[self.busy_until].start)
        if self.window not in (None, window):
            raise CommandError(
                "all swaps of a prompt share their options",
                code="bad_prompt",
                column=comma.end,
                hint="give the same ones to each, or to one only",
            )
        self.window = window
        return self.busy_until

    def _end_swap(self, edited: tuple[Fragment, ...]) -> None:
        assert self.target is not None
        self.all.end()
        self.all.parts.append(Swap(self.target, edited))
        self.into, self.target, self.call_depth, self.busy_until = self.all, None, -1, -1

    def _refuse_nesting(self, mark: Mark) -> None:
        if self.busy_until >= 0:
            raise CommandError("a swap cannot be part of another one", code="bad_prompt", column=mark.start)


NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_NUMBER = re.compile(NUMBER)
_OPTIONS = ("t_start", "t_end", "s_start", "s_end", "shape_freedom")


def read_weights(text: str, start: int, end: int, *, count: int, call: str) -> tuple[float, ...]:
    """Read `.7, .3` for `count` texts; by default all are 1. Those of a blend are normalised, unless `no_normalize`.

    Raises CommandError with the column in `text`.
    """
    words = list(_words(text, start, end))
    normalize = call == "blend"
    if normalize and words and words[-1][0] == "no_normalize":
        normalize = False
        words.pop()
    weights = [_number(word, column) for word, column in words] or [1.0] * count
    if len(weights) != count:
        raise CommandError(
            f".{call}() has {counted(len(weights), 'weight')} for {counted(count, 'text')}",
            code="bad_prompt",
            column=start,
            hint="give one to each, or none",
        )
    return normalized(weights, start) if normalize else tuple(weights)


def normalized(weights: list[float], column: int) -> tuple[float, ...]:
    """The weights of a blend, normalised to add up to 1. Raises CommandError at `column`."""
    total = sum(weights)
    if isclose(total, 0, abs_tol=1e-6):
        raise CommandError(
            "the weights of this blend add up to 0",
            code="bad_prompt",
            column=column,
            hint='to use them as they are: ("a cat", "a dog").blend(1, -1, no_normalize)',
        )
    return tuple(weight / total for weight in weights)


def read_window(text: str, start: int, end: int) -> Window:
    """Read the options of a swap, `t_start=0.1, t_end=0.8`. Raises CommandError with the column in `text`."""
    given: dict[str, float] = {}
    for word, column in _words(text, start, end):
        name, equals, value = (part.strip() for part in word.partition("="))
        if name not in _OPTIONS or not equals:
            raise CommandError(
                f".swap() has no option '{word}'" + did_you_mean(name, _OPTIONS, "{}="),
                code="bad_prompt",
                column=column,
                hint=f'its options are {", ".join(_OPTIONS)}; words with commas need quotes: .swap("big, old")',
            )
        number = _number(value, column)
        if not 0 <= number <= 1:
            raise CommandError(f"{name} must be between 0 and 1, not {value}", code="bad_prompt", column=column)
        given[name] = number
    freedom = given.pop("shape_freedom", None)
    if freedom is not None:  # as in Compel: shapes are determined by the early steps
        given.setdefault("s_end", 1 - freedom ** (1 / 3))
    return Window(**given)


def _words(text: str, start: int, end: int) -> Iterator[tuple[str, int]]:
    """The comma-separated parts and their columns."""
    if not text[start:end].strip():
        return
    for part in text[start:end].split(","):
        yield part.strip(), start + len(part) - len(part.lstrip())
        start += len(part) + 1


def _number(word: str, column: int) -> float:
    if not _NUMBER.fullmatch(word):
        raise CommandError(
            f"'{word}' is not a number" if word else "a number is missing", code="bad_prompt", column=column
        )
    number = float(word)
    check_weight(number, column)
    return number
