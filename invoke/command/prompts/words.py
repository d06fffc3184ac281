"""Words with weights and swaps."""

from dataclasses import dataclass, field

from invoke.command.prompts.arguments import read_window
from invoke.command.prompts.marks import Mark, check_weight, read_marks
from invoke.command.prompts.tree import Piece, Swap, Window, Words
from invoke.errors import CommandError


def read_words(text: str, start: int, end: int) -> Words:
    """What `text[start:end]` says. Raises CommandError with the column in `text`."""
    return _Reader(text, read_marks(text, start, end)).words()


@dataclass(slots=True)
class _Gathered:
    """Pieces, of which the last one still grows."""

    parts: list[Piece | Swap] = field(default_factory=list)
    letters: list[str] = field(default_factory=list)
    weight: float = 1.0

    def add(self, text: str, weight: float) -> None:
        if weight != self.weight:
            self.end()
            self.weight = weight
        self.letters.append(text)

    def end(self) -> None:
        """The last piece grows no more."""
        if words := " ".join("".join(self.letters).split()):
            self.parts.append(Piece(words, self.weight))
        self.letters = []

    def pieces(self) -> tuple[Piece, ...]:
        self.end()
        return tuple(part for part in self.parts if isinstance(part, Piece))


class _Reader:
    """Walks over the marks once; what is opened there is known to be closed."""

    def __init__(self, text: str, marks: list[Mark]) -> None:
        self.text, self.marks = text, marks
        self.all = self.into = _Gathered()
        self.word: list[str] = []
        """The word that a sign behind it would weigh."""
        self.weights = [1.0]
        """Of the groups around what is read, multiplied up, outermost first."""
        self.target: tuple[Piece, ...] | None = None
        """What stands right before a `.swap(`."""
        self.busy_until = -1
        """Index of the mark that ends the target or the swap that is being read: swaps do not nest."""
        self.call_depth = -1
        """How many groups there are around the words that are swapped in, while they are read."""
        self.window: Window | None = None

    def words(self) -> Words:
        index = 0
        while index < len(self.marks):
            index = self._take(index)
        self._end_word()
        self.all.end()
        return Words(tuple(self.all.parts), self.window or Window())

    def _take(self, index: int) -> int:
        """Read the mark at `index`; return the next one's."""
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
            self.target = (Piece("".join(self.word), weight),)
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
                f".{mark.text}() is the whole prompt: nothing may stand around it",
                code="bad_prompt",
                column=mark.start,
                hint=f'("a red cat", "a blue dog").{mark.text}(), with all the words inside the quotes',
            )
        self._refuse_nesting(mark)
        if self.word:
            self.target = (Piece("".join(self.word), self.weights[-1]),)
            self.word = []
        if self.target is None:
            raise CommandError(
                "there is nothing to swap", code="bad_prompt", column=mark.start, hint="a cat.swap(dog) on a mat"
            )
        self.into, self.call_depth, self.busy_until = _Gathered(), len(self.weights), mark.partner

    def _read_options(self, comma: Mark) -> int:
        """Behind the words that are swapped in; return the index of the mark that ends the swap."""
        window = read_window(self.text, comma.end, self.marks[self.busy_until].start)
        if self.window not in (None, window):
            raise CommandError(
                "the swaps of a prompt have their options in common",
                code="bad_prompt",
                column=comma.end,
                hint="give the same ones to each, or to one only",
            )
        self.window = window
        return self.busy_until

    def _end_swap(self, edited: tuple[Piece, ...]) -> None:
        assert self.target is not None
        self.all.end()
        self.all.parts.append(Swap(self.target, edited))
        self.into, self.target, self.call_depth, self.busy_until = self.all, None, -1, -1

    def _refuse_nesting(self, mark: Mark) -> None:
        if self.busy_until >= 0:
            raise CommandError("a swap cannot be part of another one", code="bad_prompt", column=mark.start)
