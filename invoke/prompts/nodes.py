"""The nodes of a parsed text, as values."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fragment:
    """Words that share a weight."""

    text: str
    """As the text encoder reads it: without brackets, quotes and signs."""
    weight: float = 1.0
    """0 … 1000; 1: no weight was typed."""


@dataclass(frozen=True, slots=True)
class Window:
    """When a swap is in force, as shares of the way from noise (0) to the picture (1)."""

    t_start: float = 0.2
    """Until here the original decides what is where."""
    t_end: float = 1.0
    s_start: float = 0.0
    """From here to `s_end` the original's shapes are kept as well (its self-attention)."""
    s_end: float = 0.0


@dataclass(frozen=True, slots=True)
class Swap:
    """`cat.swap(dog)`: a picture of the original in which the edited words stand for it."""

    original: tuple[Fragment, ...]
    edited: tuple[Fragment, ...]


@dataclass(frozen=True, slots=True)
class Words:
    """A text without blends."""

    parts: tuple[Fragment | Swap, ...] = ()
    window: Window = Window()
    """Of its swaps."""

    @property
    def swaps(self) -> bool:
        return any(isinstance(part, Swap) for part in self.parts)

    @property
    def original(self) -> tuple[Fragment, ...]:
        """The text as it is before its swaps."""
        return tuple(self._pieces(edited=False))

    @property
    def edited(self) -> tuple[Fragment, ...]:
        """The text as it is after its swaps."""
        return tuple(self._pieces(edited=True))

    def _pieces(self, *, edited: bool) -> Iterator[Fragment]:
        for part in self.parts:
            if isinstance(part, Swap):
                yield from part.edited if edited else part.original
            else:
                yield part


@dataclass(frozen=True, slots=True)
class Blend:
    """Texts mixed into one: the sum of their embeddings, each times its weight."""

    texts: tuple[Words, ...]
    weights: tuple[float, ...]
    """One for each text; they add up to 1 unless `no_normalize` is said."""


@dataclass(frozen=True, slots=True)
class Conjunction:
    """Texts read one after the other, each on its own and with its weight."""

    texts: tuple[Words, ...]
    weights: tuple[float, ...]


ParsedText = Words | Blend | Conjunction
