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
"""A name or path, quoted if it contains spaces, commas or brackets, and a weight."""
Loras = tuple[tuple[str, float], ...]
"""(name, weight), in the order typed."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A parsed prompt."""

    positive: ParsedText
    negative: ParsedText
    loras: Loras

    @property
    def is_plain(self) -> bool:
        """Whether it is plain text, without weights, blends, swaps and LoRAs."""
        return not self.loras and _is_plain(self.positive) and _is_plain(self.negative)

    @property
    def has_swaps(self) -> bool:
        """Whether it contains `.swap()`."""
        return isinstance(self.positive, Words) and bool(self.positive.swaps)


@lru_cache(maxsize=64)
def read_prompt(prompt: str, negative_prompt: str = "") -> Prompt:
    """Parse `prompt`, with its `[negative]` parts, together with `negative_prompt`.

    Raises CommandError with the column in `prompt`, or without one if the error is in `negative_prompt`.
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
    """The positive and negative text, each for `read_text`.

    `a cat [dog] on a mat [blurry]` → `a cat on a mat`, `dog blurry`. Brackets do not nest; a lone one is text.
    """
    positive, bracketed = _split_negative(prompt)
    return _tidy(positive), _tidy(f"{negative_prompt} {bracketed}")


def read_text(text: str) -> ParsedText:
    """Parse one of the `texts_of` a prompt; LoRAs are ignored."""
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
    """The text outside and inside square brackets, with the rest replaced by spaces to keep columns."""
    outside, inside, position = [], [], 0
    while (opening := _find(prompt, "[", position)) >= 0 and (closing := _find(prompt, "]", opening + 1)) >= 0:
        outside += [prompt[position:opening], " " * (closing + 1 - opening)]
        inside += [" " * (opening + 1 - position), prompt[opening + 1 : closing], " "]
        position = closing + 1
    return "".join([*outside, prompt[position:]]), "".join(inside)


def _find(text: str, bracket: str, position: int) -> int:
    """The position of the next `bracket` without a backslash before it."""
    while (found := text.find(bracket, position)) > 0 and text[found - 1] == "\\":
        position = found + 1
    return found


def _without_loras(text: str, before: Loras = ()) -> tuple[str, Loras]:
    """`text` with its LoRAs replaced by spaces, and those LoRAs appended to `before`."""
    loras = dict(before)
    for match in _LORA.finditer(text):
        name = match[1] or match[2] or match[3]
        if name is None:
            raise CommandError(
                f"{match[0].partition('(')[0]} expects a name or a path, and optionally a weight",
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
