"""The nodes of a parsed text, as immutable values."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fragment:
    """Words that share a weight."""

    text: str
    """The text for the text encoder: without brackets, quotes and signs."""
    weight: float = 1.0
    """0 … 1000; 1: no weight was typed."""


@dataclass(frozen=True, slots=True)
class Window:
    """The part of sampling in which a swap is active, from 0 (noise) to 1 (picture)."""

    t_start: float = 0.2
    """Before this point, the original words determine the layout."""
    t_end: float = 1.0
    s_start: float = 0.0
    """From here to `s_end`, the original's self-attention, and so its shapes, are kept as well."""
    s_end: float = 0.0


@dataclass(frozen=True, slots=True)
class Swap:
    """`cat.swap(dog)`: the original's picture with some words replaced."""

    original: tuple[Fragment, ...]
    edited: tuple[Fragment, ...]


@dataclass(frozen=True, slots=True)
class Words:
    """A text without blends."""

    parts: tuple[Fragment | Swap, ...] = ()
    window: Window = Window()
    """Shared by all its swaps."""

    @property
    def swaps(self) -> bool:
        return any(isinstance(part, Swap) for part in self.parts)

    @property
    def original(self) -> tuple[Fragment, ...]:
        """The text before swapping."""
        return tuple(self._pieces(edited=False))

    @property
    def edited(self) -> tuple[Fragment, ...]:
        """The text after swapping."""
        return tuple(self._pieces(edited=True))

    def _pieces(self, *, edited: bool) -> Iterator[Fragment]:
        for part in self.parts:
            if isinstance(part, Swap):
                yield from part.edited if edited else part.original
            else:
                yield part


@dataclass(frozen=True, slots=True)
class Blend:
    """The weighted sum of the embeddings of several texts."""

    texts: tuple[Words, ...]
    weights: tuple[float, ...]
    """One per text; they add up to 1 unless `no_normalize` is given."""


@dataclass(frozen=True, slots=True)
class Conjunction:
    """Texts that are encoded separately, weighted and concatenated."""

    texts: tuple[Words, ...]
    weights: tuple[float, ...]


ParsedText = Words | Blend | Conjunction
