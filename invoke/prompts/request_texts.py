"""The texts of a request: prompt, negative prompt and LoRAs."""

import re
from dataclasses import dataclass
from functools import lru_cache

from invoke.errors import CommandError
from invoke.prompts.calls import read_whole
from invoke.prompts.marks import check_weight
from invoke.prompts.nodes import ParsedText, Words
from invoke.prompts.weighted_words import NUMBER

_LORA = re.compile(
    rf"""(?<!\w)(?:with|use)Lora\((?:\s*(?:"([^"]+)"|'([^']+)'|([^\s,()"']+))\s*(?:,\s*({NUMBER})\s*)?\))?"""
)
"""A name or a path, which needs quotes where it has spaces, commas or brackets; and a weight."""
Loras = tuple[tuple[str, float], ...]
"""(name, weight), in the order in which they are typed."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt, read."""

    positive: ParsedText
    negative: ParsedText
    loras: Loras

    @property
    def is_plain(self) -> bool:
        """Whether it is text alone, without weights, blends, swaps and LoRAs."""
        return not self.loras and _is_plain(self.positive) and _is_plain(self.negative)

    @property
    def has_swaps(self) -> bool:
        """Whether words are exchanged by `.swap()`."""
        return isinstance(self.positive, Words) and bool(self.positive.swaps)


@lru_cache(maxsize=64)
def read_prompt(prompt: str, negative_prompt: str = "") -> Prompt:
    """What `prompt`, with its `[negative]` parts, and `negative_prompt` say together.

    Raises CommandError with the column in `prompt`, or none where `negative_prompt` is to blame.
    """
    positive, bracketed = _split_negative(prompt)
    positive, loras = _without_loras(positive)
    parsed = read_whole(positive)
    before = len(negative_prompt) + 1
    try:
        negative, loras = _without_loras(f"{negative_prompt} {bracketed}", loras)
        return Prompt(parsed, _read_negative(negative), loras)
    except CommandError as error:
        assert error.column is not None
        error.column = error.column - before if error.column >= before else None
        raise


def texts_of(prompt: str, negative_prompt: str = "") -> tuple[str, str]:
    """The same as two texts for `read_text`: what to draw, what to keep out.

    `a cat [dog] on a mat [blurry]` → `a cat on a mat`, `dog blurry`. Brackets do not nest; a lone one is text.
    """
    positive, bracketed = _split_negative(prompt)
    return _tidy(positive), _tidy(f"{negative_prompt} {bracketed}")


def read_text(text: str) -> ParsedText:
    """One of the `texts_of` a prompt; LoRAs are passed over."""
    return read_whole(_without_loras(text)[0])


def _is_plain(text: ParsedText) -> bool:
    return isinstance(text, Words) and not text.swaps and all(piece.weight == 1 for piece in text.original)


def _read_negative(text: str) -> ParsedText:
    read = read_whole(text)
    if isinstance(read, Words) and read.swaps:
        raise CommandError(
            "a swap belongs in the prompt, not in the negative prompt",
            code="bad_prompt",
            column=text.index(".swap("),
        )
    return read


def _split_negative(prompt: str) -> tuple[str, str]:
    """What stands outside and inside of square brackets, each in its place: the rest is space."""
    outside, inside, position = [], [], 0
    while (opening := _find(prompt, "[", position)) >= 0 and (closing := _find(prompt, "]", opening + 1)) >= 0:
        outside += [prompt[position:opening], " " * (closing + 1 - opening)]
        inside += [" " * (opening + 1 - position), prompt[opening + 1 : closing], " "]
        position = closing + 1
    return "".join([*outside, prompt[position:]]), "".join(inside)


def _find(text: str, bracket: str, position: int) -> int:
    """The next `bracket` that has no backslash before it."""
    while (found := text.find(bracket, position)) > 0 and text[found - 1] == "\\":
        position = found + 1
    return found


def _without_loras(text: str, before: Loras = ()) -> tuple[str, Loras]:
    """`text` with spaces in the place of its LoRAs, and those, after the ones `before`."""
    loras = dict(before)
    for match in _LORA.finditer(text):
        name = match[1] or match[2] or match[3]
        if name is None:
            raise CommandError(
                f"{match[0].partition('(')[0]} takes a name or a path, and a weight if you like",
                code="bad_prompt",
                column=match.start(),
                hint="a cat withLora(watercolour, 0.8); a path with spaces, commas or brackets needs quotes",
            )
        if name in loras:
            raise CommandError(
                f"the LoRA {name} is named twice", code="bad_prompt", column=match.start(), hint="once is enough"
            )
        weight = float(match[4] or 1)
        check_weight(weight, match.start())
        loras[name] = weight
    return _LORA.sub(lambda match: " " * len(match[0]), text), tuple(loras.items())


def _tidy(text: str) -> str:
    return " ".join(text.split())
