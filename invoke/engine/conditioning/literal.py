"""Prompts for models and upscalers that take plain text: no weights, no swaps."""

import re
from typing import Any

from invoke.prompts import ParsedText, read_text, texts_of
from invoke.prompts.nodes import Words
from invoke.request import Request

_ESCAPED = re.compile(r"""\\([]()["+:-])""")
"""What a backslash makes text of, where others would read a mark."""


def literal_texts(request: Request) -> tuple[str, str]:
    """What to draw and what to keep out, quotes and brackets included."""
    positive, negative = texts_of(request.prompt, request.negative_prompt)
    return _ESCAPED.sub(r"\1", positive), _ESCAPED.sub(r"\1", negative)


def cut_words(text: str, tokenizer: Any, limit: int) -> str:
    """The end of `text` that a network of at most `limit` tokens does not read ("": all is read)."""
    tokens = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
    room = limit - tokenizer.num_special_tokens_to_add()
    return str(tokenizer.decode(tokens[room:])).strip() if len(tokens) > room else ""


def plain_texts(request: Request) -> tuple[str, str]:
    """What to draw and what to keep out, without signs and brackets."""
    positive, negative = texts_of(request.prompt, request.negative_prompt)
    return _plain(read_text(positive)), _plain(read_text(negative))


def _plain(parsed: ParsedText) -> str:
    texts = (parsed,) if isinstance(parsed, Words) else parsed.texts
    return " ".join(" ".join(piece.text for words in texts for piece in words.edited).split())
