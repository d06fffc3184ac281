"""Prompts become embeddings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from invoke.engine.conditioning.controlnet import Control
from invoke.engine.conditioning.ip_adapter import Reference
from invoke.engine.conditioning.weighting import EncodedText, TextEncoder, listed
from invoke.prompts import Blend, Conjunction, Fragment, Swap, Window, Words, read_text, texts_of
from invoke.request import Request

__all__ = ["Conditioning", "Edit", "Encoded", "TextEncoder", "encode", "same_length", "texts"]

_START, _END = -1, -2
"""Stand for a part's index where there is none."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What a prompt's swaps make of it."""

    embeds: torch.Tensor
    """1 × tokens × width, of the edited text: as many tokens as the original's."""
    pooled: torch.Tensor | None
    same: tuple[tuple[int, int], ...]
    """Where a token that both texts have stands: (in the original, in the edited text)."""
    window: Window


@dataclass(frozen=True, slots=True)
class Encoded:
    """One text for the denoiser."""

    embeds: torch.Tensor
    """1 × tokens × width."""
    pooled: torch.Tensor | None
    """1 × width, of the last tower that projects (Stable Diffusion XL)."""
    cut: str
    """The words that were not used."""
    edit: Edit | None = None
    tokens: tuple[str, ...] = ()
    """What the text was taken apart into, a line for each chunk, for people."""

    def lengthened(self, tokens: int, empty: torch.Tensor) -> "Encoded":
        """The same with at least `tokens` tokens: chunks of the `empty` text follow."""
        edit = replace(self.edit, embeds=_lengthened(self.edit.embeds, tokens, empty)) if self.edit else None
        return replace(self, embeds=_lengthened(self.embeds, tokens, empty), edit=edit)


@dataclass(frozen=True, slots=True)
class Conditioning:
    """What a picture is drawn towards, and away from."""

    prompt: Encoded
    negative: Encoded | None
    """None when guidance is off: the denoiser is then asked once instead of twice."""
    controls: tuple[Control, ...] = ()
    calls: int = 0
    """How often the denoiser is asked while they are followed."""
    references: tuple[Reference, ...] = ()
    notes: tuple[str, ...] = ()
    """Notes about how the texts were read."""

    @property
    def cut(self) -> str:
        return ", ".join(text.cut for text in (self.prompt, self.negative) if text and text.cut)

    @property
    def tokens(self) -> Iterator[str]:
        """What both texts were taken apart into, line by line."""
        yield from (f"prompt: tokens {line}" for line in self.prompt.tokens)
        if self.negative is not None:
            yield from (f"negative prompt: tokens {line}" for line in self.negative.tokens)


def texts(request: Request) -> tuple[str, str]:
    """The positive and the negative prompt of `request`, each as `encode` reads it."""
    return texts_of(request.prompt, request.negative_prompt)


@torch.no_grad()
def encode(text: str, towers: tuple[TextEncoder, ...]) -> Encoded:
    """`text`, with its weights, as the denoiser wants it; several towers are joined on the width axis.

    A text of any length is used whole; 77 tokens each chunk. Raises CommandError where the text cannot be read.
    """
    parsed = read_text(text)
    if isinstance(parsed, Words):
        return _encode_words(parsed, towers)
    parts = [_encode_words(words, towers) for words in parsed.texts]
    embeds = _joined([part.embeds for part in parts], parsed, _read((), towers)[0])
    pooled = [part.pooled for part in parts if part.pooled is not None]
    tokens = tuple(f"of text {number} {line}" for number, part in enumerate(parts, 1) for line in part.tokens)
    return Encoded(embeds, _mean(pooled, parsed) if pooled else None, "", tokens=tokens)


def same_length(prompt: Encoded, negative: Encoded, empty: Encoded, empty_negative: Encoded) -> tuple[Encoded, Encoded]:
    """Both with the same number of tokens, so that the denoiser can be asked once for both.

    What is added is the empty text, read as each of them was.
    """
    tokens = max(prompt.embeds.shape[1], negative.embeds.shape[1])
    return prompt.lengthened(tokens, empty.embeds), negative.lengthened(tokens, empty_negative.embeds)


def _encode_words(words: Words, towers: tuple[TextEncoder, ...]) -> Encoded:
    embeds, pooled = _read(words.original, towers)
    tokens = _listed(words.original, towers[0])
    if not words.swaps:
        return Encoded(embeds, pooled, "", tokens=tokens)
    edited, edited_pooled = _read(words.edited, towers)
    edit = Edit(edited, edited_pooled, _same(words, towers[0]), words.window)
    tokens += tuple(f"with the swaps {line}" for line in _listed(words.edited, towers[0]))
    length = max(embeds.shape[1], edited.shape[1])
    return Encoded(embeds, pooled, "", edit, tokens).lengthened(length, _read((), towers)[0])


def _listed(pieces: Sequence[Fragment], tower: TextEncoder) -> tuple[str, ...]:
    return listed(EncodedText(pieces, tower).chunks, tower)


def _same(words: Words, tower: TextEncoder) -> tuple[tuple[int, int], ...]:
    """Where the tokens that no swap touches stand before and after: words, starts and ends, and what fills a chunk."""
    before, after = (_places(words, tower, edited=edited) for edited in (False, True))
    untouched = [part for part in before.keys() & after.keys() if part < 0 or not isinstance(words.parts[part], Swap)]
    pairs = [pair for part in untouched for pair in zip(before[part], after[part], strict=False)]
    length = tower.tokenizer.model_max_length
    for ends in zip(before[_END], after[_END], strict=False):
        # much of a picture's layout is looked up after the text's end
        filled = range(max(ends) + 1, (max(ends) // length + 1) * length)
        pairs += zip(filled, filled, strict=True)
    return tuple(pairs)


def _places(words: Words, tower: TextEncoder, *, edited: bool) -> dict[int, list[int]]:
    """Where the tokens of each part of `words` stand, by its index, and the starts and ends of chunks."""
    pieces: list[Fragment] = []
    owners: list[int] = []
    for index, part in enumerate(words.parts):
        of_part = (part,) if isinstance(part, Fragment) else part.edited if edited else part.original
        pieces += of_part
        owners += [index] * len(of_part)
    places: dict[int, list[int]] = {}
    for number, chunk in enumerate(EncodedText(pieces, tower).chunks):
        start = number * tower.tokenizer.model_max_length
        for place, owner in enumerate([_START, *(owners[token.piece] for token in chunk), _END], start):
            places.setdefault(owner, []).append(place)
    return places


def _read(pieces: Sequence[Fragment], towers: tuple[TextEncoder, ...]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Embeddings of all towers side by side, and the pooled text of the last one that has any."""
    readings = [EncodedText(pieces, tower) for tower in towers]
    tokens = max(reading.embeds.shape[1] for reading in readings)
    embeds = [_lengthened(reading.embeds, tokens, reading.empty) for reading in readings]
    pooled = [reading.pooled for reading in readings if reading.pooled is not None]
    return torch.cat(embeds, dim=-1), pooled[-1] if pooled else None


def _joined(parts: list[torch.Tensor], parsed: Blend | Conjunction, empty: torch.Tensor) -> torch.Tensor:
    """The embeddings of a blend's texts added up, or those of a conjunction's in a row."""
    if isinstance(parsed, Conjunction):
        weighted = []
        for part, weight in zip(parts, parsed.weights, strict=True):
            base = _lengthened(empty, part.shape[1], empty)
            weighted.append(part if weight == 1 else base + weight * (part - base))
        return torch.cat(weighted, dim=1)
    tokens = max(part.shape[1] for part in parts)
    return _sum([_lengthened(part, tokens, empty) for part in parts], parsed.weights)


def _mean(pooled: list[torch.Tensor], parsed: Blend | Conjunction) -> torch.Tensor:
    """A pooled text has no length: those of a conjunction are averaged."""
    return _sum(pooled, parsed.weights if isinstance(parsed, Blend) else [1 / len(pooled)] * len(pooled))


def _sum(parts: list[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    total = sum(weight * part.float() for part, weight in zip(parts, weights, strict=True))
    assert isinstance(total, torch.Tensor)
    return total.to(parts[0].dtype)


def _lengthened(embeds: torch.Tensor, tokens: int, empty: torch.Tensor) -> torch.Tensor:
    missing = max(0, tokens - embeds.shape[1])
    return torch.cat([embeds, *[empty] * (missing // empty.shape[1])], dim=1) if missing else embeds
