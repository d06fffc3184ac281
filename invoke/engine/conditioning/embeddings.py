"""Encodes prompts to embeddings."""

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
"""Stand-ins for a part's index: the start and end tokens of chunks."""


@dataclass(frozen=True, slots=True)
class Edit:
    """The encoded prompt after its swaps (`cat.swap(dog)`)."""

    embeds: torch.Tensor
    """1 × tokens × width, of the edited text; as many tokens as the original."""
    pooled: torch.Tensor | None
    same: tuple[tuple[int, int], ...]
    """Positions of each token that both texts share: (in the original, in the edited text)."""
    window: Window


@dataclass(frozen=True, slots=True)
class Encoded:
    """An encoded text."""

    embeds: torch.Tensor
    """1 × tokens × width."""
    pooled: torch.Tensor | None
    """1 × width, from the last text encoder with a projection (Stable Diffusion XL)."""
    cut: str
    """The words that were cut off."""
    edit: Edit | None = None
    tokens: tuple[str, ...] = ()
    """The tokens of the text, for people: one line per chunk."""

    def lengthened(self, tokens: int, empty: torch.Tensor) -> "Encoded":
        """Pad to at least `tokens` tokens with chunks of the `empty` text."""
        edit = replace(self.edit, embeds=_lengthened(self.edit.embeds, tokens, empty)) if self.edit else None
        return replace(self, embeds=_lengthened(self.embeds, tokens, empty), edit=edit)


@dataclass(frozen=True, slots=True)
class Conditioning:
    """Everything that conditions the denoiser: prompts, controls, reference pictures."""

    prompt: Encoded
    negative: Encoded | None
    """None if guidance is off: the batch then has one row instead of two."""
    controls: tuple[Control, ...] = ()
    calls: int = 0
    """The number of calls of the denoiser, to which the controls' windows refer."""
    references: tuple[Reference, ...] = ()
    notes: tuple[str, ...] = ()
    """Notes for the user about how the texts were read."""

    @property
    def cut(self) -> str:
        return ", ".join(text.cut for text in (self.prompt, self.negative) if text and text.cut)

    @property
    def tokens(self) -> Iterator[str]:
        """The tokens of both texts, line by line."""
        yield from (f"prompt: tokens {line}" for line in self.prompt.tokens)
        if self.negative is not None:
            yield from (f"negative prompt: tokens {line}" for line in self.negative.tokens)


def texts(request: Request) -> tuple[str, str]:
    """The positive and the negative prompt of `request`, in the form that `encode` reads."""
    return texts_of(request.prompt, request.negative_prompt)


@torch.no_grad()
def encode(text: str, towers: tuple[TextEncoder, ...]) -> Encoded:
    """Encode `text` with its weights; the embeddings of several towers are concatenated along the width.

    A text of any length is used whole, in chunks of 77 tokens. Raises CommandError if the text cannot be read.
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
    """Pad both to the same number of tokens, so that the denoiser can take them in one batch.

    The padding is the empty text, encoded like each of them.
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
    """Positions, before and after, of tokens that no swap touches: words, starts, ends, and padding."""
    before, after = (_places(words, tower, edited=edited) for edited in (False, True))
    untouched = [part for part in before.keys() & after.keys() if part < 0 or not isinstance(words.parts[part], Swap)]
    pairs = [pair for part in untouched for pair in zip(before[part], after[part], strict=False)]
    length = tower.tokenizer.model_max_length
    for ends in zip(before[_END], after[_END], strict=False):
        # padding tokens carry much of a picture's layout
        filled = range(max(ends) + 1, (max(ends) // length + 1) * length)
        pairs += zip(filled, filled, strict=True)
    return tuple(pairs)


def _places(words: Words, tower: TextEncoder, *, edited: bool) -> dict[int, list[int]]:
    """The token positions of each part of `words`, by the part's index, and of the chunks' starts and ends."""
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
    """The concatenated embeddings of all towers, and the pooled embedding of the last tower that has one."""
    readings = [EncodedText(pieces, tower) for tower in towers]
    tokens = max(reading.embeds.shape[1] for reading in readings)
    embeds = [_lengthened(reading.embeds, tokens, reading.empty) for reading in readings]
    pooled = [reading.pooled for reading in readings if reading.pooled is not None]
    return torch.cat(embeds, dim=-1), pooled[-1] if pooled else None


def _joined(parts: list[torch.Tensor], parsed: Blend | Conjunction, empty: torch.Tensor) -> torch.Tensor:
    """The weighted sum of a blend's embeddings, or the concatenation of a conjunction's along the tokens."""
    if isinstance(parsed, Conjunction):
        weighted = []
        for part, weight in zip(parts, parsed.weights, strict=True):
            base = _lengthened(empty, part.shape[1], empty)
            weighted.append(part if weight == 1 else base + weight * (part - base))
        return torch.cat(weighted, dim=1)
    tokens = max(part.shape[1] for part in parts)
    return _sum([_lengthened(part, tokens, empty) for part in parts], parsed.weights)


def _mean(pooled: list[torch.Tensor], parsed: Blend | Conjunction) -> torch.Tensor:
    """Combine pooled embeddings: a weighted sum for a blend, the mean for a conjunction."""
    return _sum(pooled, parsed.weights if isinstance(parsed, Blend) else [1 / len(pooled)] * len(pooled))


def _sum(parts: list[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    total = sum(weight * part.float() for part, weight in zip(parts, weights, strict=True))
    assert isinstance(total, torch.Tensor)
    return total.to(parts[0].dtype)


def _lengthened(embeds: torch.Tensor, tokens: int, empty: torch.Tensor) -> torch.Tensor:
    missing = max(0, tokens - embeds.shape[1])
    return torch.cat([embeds, *[empty] * (missing // empty.shape[1])], dim=1) if missing else embeds
