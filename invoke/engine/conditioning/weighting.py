"""Encodes weighted text of any length to embeddings.

A text encoder takes 77 tokens, including start and end. A longer text is split into chunks, each with its own start
and end, after a sentence where possible (Compel, `SplitLongTextMode.SENTENCES`).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import pi, tan
from typing import Any, Literal

import torch

from invoke.engine.components.devices import inputs_of
from invoke.prompts import Fragment
from invoke.text import render_number

LEAST = 1e-5
"""Smallest weight used in place of 0, because the tangent of 90° is infinite."""


@dataclass(frozen=True, slots=True, eq=False)
class TextEncoder:
    """A tokenizer with its text encoder, and which of its layers is used."""

    tokenizer: Any
    text_encoder: Any
    layer: Literal["last", "penultimate"] = "last"
    """Stable Diffusion 1 and 2 use the last hidden state; XL uses the penultimate one, without the final norm."""
    skip: int = 0
    """How many layers earlier the output is taken (`--clip_skip`)."""
    triggers: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Trigger of a textual inversion, in lower case → ids of its vectors, after those of the vocabulary."""

    @property
    def most_skipped(self) -> int:
        """The largest valid `skip`."""
        layers: int = self.text_encoder.config.num_hidden_layers
        return layers - (1 if self.layer == "last" else 2)

    def embeds(self, output: Any) -> torch.Tensor:
        """Select the embeddings from the encoder's `output`, which has its hidden states if `needs_states`."""
        if self.layer == "penultimate":
            return output.hidden_states[-2 - self.skip]  # type: ignore[no-any-return]
        if not self.skip:
            return output.last_hidden_state  # type: ignore[no-any-return]
        norm = getattr(self.text_encoder, "text_model", self.text_encoder).final_layer_norm
        return norm(output.hidden_states[-1 - self.skip])  # type: ignore[no-any-return]

    @property
    def needs_states(self) -> bool:
        return self.layer == "penultimate" or self.skip > 0

    def ids(self, text: str) -> list[int]:
        """The token ids of `text`, without start and end. Triggers (case-insensitive) expand to all their vectors."""
        if not self.triggers:
            return self._plain_ids(text)
        found: list[int] = []
        for part in re.split(f"({any_of(self.triggers)})", text, flags=re.IGNORECASE):
            found += self.triggers.get(part.lower()) or self._plain_ids(part)
        return found

    def token(self, id: int) -> str:
        """The token in CLIP's notation, with `</w>` at the end of a word."""
        for word, ids in self.triggers.items():
            if id in ids:
                return f"{word}</w>" if id == ids[-1] else word
        return str(self.tokenizer.convert_ids_to_tokens(id))

    def is_word(self, text: str) -> bool:
        """Whether `text` is a single token of the vocabulary."""
        return f"{text.lower()}</w>" in self.tokenizer.get_vocab()

    def _plain_ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids)


def any_of(words: Iterable[str]) -> str:
    """A regular expression that matches any of `words` as a whole word, the longest first."""
    longest = sorted(words, key=len, reverse=True)
    return rf"(?<!\w)(?:{'|'.join(map(re.escape, longest))})(?!\w)"


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a text."""

    id: int
    weight: float
    piece: int
    """The index of the piece of text that it comes from."""


Chunk = tuple[Token, ...]
"""At most as many tokens as a text encoder takes between start and end."""


def tokenize(pieces: Iterable[Fragment], tower: TextEncoder) -> list[Token]:
    """The tokens of `pieces`, without start and end tokens."""
    return [Token(id, piece.weight, index) for index, piece in enumerate(pieces) for id in tower.ids(piece.text)]


def chunks_of(tokens: Sequence[Token], tower: TextEncoder) -> list[Chunk]:
    """Split `tokens` into one or more chunks; each ends after a sentence, else a phrase, else a word."""
    room, chunks = tower.tokenizer.model_max_length - 2, []
    while len(tokens) > room:
        end = _end_of_chunk([tower.token(token.id) for token in tokens[:room]])
        chunks.append(tuple(tokens[:end]))
        tokens = tokens[end:]
    return [*chunks, tuple(tokens)]


def _end_of_chunk(words: list[str]) -> int:
    """How many of `words` go into the chunk."""
    for ends in ((".</w>",), (".</w>", ",</w>", ";</w>", ":</w>")):
        for index in reversed(range(len(words))):
            if words[index] in ends:
                return index + 1
    return next((index + 1 for index in reversed(range(len(words))) if words[index].endswith("</w>")), len(words))


class EncodedText:
    """A text encoded by one tower."""

    def __init__(self, pieces: Sequence[Fragment], tower: TextEncoder) -> None:
        self.tower = tower
        self.chunks = chunks_of(tokenize(pieces, tower), tower)

    @cached_property
    def embeds(self) -> torch.Tensor:
        """1 × (77 × chunks) × width."""
        read = zip(self.chunks, self._plain, strict=True)
        return torch.cat([self._weighted(chunk, plain) for chunk, (plain, _) in read], dim=1)

    @property
    def pooled(self) -> torch.Tensor | None:
        """1 × width, of the first chunk without weights; None if the text encoder has no projection."""
        return self._plain[0][1]

    @cached_property
    def _plain(self) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
        return [self._ask(chunk) for chunk in self.chunks]

    @cached_property
    def empty(self) -> torch.Tensor:
        """1 × 77 × width, of a chunk without words."""
        return self._ask(())[0]

    def _weighted(self, chunk: Chunk, plain: torch.Tensor) -> torch.Tensor:
        """Apply the weights to a chunk's embeddings, like Compel (`DownweightMode.MASK`).

        Weights scale the distance from the empty text's embedding: z = z₀ + w·(z − z₀). Weights below 1 also move it
        towards the text with the piece masked, by tan((1 − w)·90°).
        """
        if all(token.weight == 1 for token in chunk):
            return plain
        empty = self.empty.float()
        weights = torch.ones_like(empty)
        weights[0, 1 : len(chunk) + 1] = torch.tensor([[token.weight] for token in chunk], device=weights.device)

        def heavy(z: torch.Tensor) -> torch.Tensor:
            return torch.where(weights == 1, z.float(), empty + weights * (z.float() - empty))

        total, share = heavy(plain), 1.0
        for piece, weight in {token.piece: token.weight for token in chunk if token.weight < 1}.items():
            masked = [index for index, token in enumerate(chunk, start=1) if token.piece == piece]
            pull = tan((1 - max(weight, LEAST)) * pi / 2)
            total += pull * heavy(self._ask(chunk, masked)[0])
            share += pull
        return (total / share).to(plain.dtype)

    def _ask(self, chunk: Chunk, masked: Sequence[int] = ()) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Encode a chunk with the tokens at `masked` hidden from attention: embeddings (1 × 77 × width) and pooled."""
        tokenizer, encoder = self.tower.tokenizer, self.tower.text_encoder
        ids = [tokenizer.bos_token_id, *(token.id for token in chunk), tokenizer.eos_token_id]
        padding = tokenizer.model_max_length - len(ids)
        # a network trained with masked padding says so in its config; the others attend to padding
        mask = [1] * len(ids) + [0 if getattr(encoder.config, "use_attention_mask", False) else 1] * padding
        for index in masked:
            mask[index] = 0
        output = encoder(
            torch.tensor([ids + [tokenizer.pad_token_id] * padding], device=inputs_of(encoder)),
            attention_mask=None if all(mask) else torch.tensor([mask], device=inputs_of(encoder)),
            output_hidden_states=self.tower.needs_states,
        )
        return self.tower.embeds(output), getattr(output, "text_embeds", None)


def listed(chunks: Sequence[Chunk], tower: TextEncoder) -> tuple[str, ...]:
    """One line per chunk: `1 to 3 of 3: 1 a · 2 light- · 3 house ×1.21`; a hyphen means that the word continues."""
    whole, first, lines = sum(map(len, chunks)), 1, []
    for chunk in filter(None, chunks):
        words = [f"{number} {_shown(token, tower)}" for number, token in enumerate(chunk, first)]
        lines.append(f"{first} to {first + len(chunk) - 1} of {whole}: {' · '.join(words)}")
        first += len(chunk)
    return tuple(lines)


def _shown(token: Token, tower: TextEncoder) -> str:
    written = tower.token(token.id)
    is_trigger = any(token.id in ids for ids in tower.triggers.values())
    text = written.removesuffix("</w>") if is_trigger else str(tower.tokenizer.decode([token.id])).strip()
    text += "" if written.endswith("</w>") else "-"
    return text if token.weight == 1 else f"{text} ×{render_number(round(token.weight, 2))}"
