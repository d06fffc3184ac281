"""SwitchType: what every kind of value can do, and what most of them share."""

from collections.abc import Mapping
from typing import Any, Protocol

Words = tuple[str, ...]


class SwitchType(Protocol):
    """A value's whole life. `needs` words must follow the switch; `takes` says whether one more belongs to it."""

    needs: int

    def takes(self, taken: Words, word: str) -> bool:
        """Whether `word` belongs to the value as well, after `taken`."""
        ...

    def glues(self, text: str) -> bool:
        """Whether `text` may stand glued to a short name, as in `-s10`."""
        ...

    def parse(self, words: Words) -> Any:
        """The value that `words` spell. Raises ValueError."""
        ...

    def render(self, value: Any) -> Words:
        """Words that `parse` reads as `value` again."""
        ...

    def suggest(self) -> Mapping[str, str]:
        """Values that can be listed, each with a word about it."""
        ...

    def describe(self) -> str:
        """The value in a help table: `0..1`, `path`."""
        ...


class Usual:
    """What most types share: one word, never glued, nothing to list."""

    needs = 1

    def takes(self, taken: Words, word: str) -> bool:
        return False

    def glues(self, text: str) -> bool:
        return False

    def suggest(self) -> Mapping[str, str]:
        return {}

    def render(self, value: Any) -> Words:
        return (str(value),)
