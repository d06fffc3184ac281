"""The tokens of a text, listed for people (`-t`)."""

from collections.abc import Sequence
from typing import Any

from invoke.engine.weighting import Chunk, Token
from invoke.switch_types import render_number


def listed(chunks: Sequence[Chunk], tokenizer: Any) -> tuple[str, ...]:
    """A line for each chunk: `1 to 3 of 3: 1 a · 2 light- · 3 house ×1.21`; a hyphen says that the word goes on."""
    whole, first, lines = sum(map(len, chunks)), 1, []
    for chunk in filter(None, chunks):
        words = [f"{number} {_shown(token, tokenizer)}" for number, token in enumerate(chunk, first)]
        lines.append(f"{first} to {first + len(chunk) - 1} of {whole}: {' · '.join(words)}")
        first += len(chunk)
    return tuple(lines)


def _shown(token: Token, tokenizer: Any) -> str:
    is_whole = token.id in tokenizer.added_tokens_decoder  # a trigger
    word_ends = is_whole or str(tokenizer.convert_ids_to_tokens(token.id)).endswith("</w>")
    text = str(tokenizer.decode([token.id])).strip() + ("" if word_ends else "-")
    return text if token.weight == 1 else f"{text} ×{render_number(round(token.weight, 2))}"
