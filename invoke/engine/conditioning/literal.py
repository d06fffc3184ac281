"""Prompts for models and upscalers that take plain text, without weights or swaps."""

import re
from typing import Any

from invoke.prompts import ParsedText, read_text, texts_of
from invoke.prompts.nodes import Words
from invoke.request import Request

_ESCAPED = re.compile(r"""\\([]()["+:-])""")
"""Characters of the prompt syntax, escaped with a backslash."""


def literal_texts(request: Request) -> tuple[str, str]:
    """The positive and the negative prompt as typed, with quotes and brackets but without escapes."""
    positive, negative = texts_of(request.prompt, request.negative_prompt)
    return _ESCAPED.sub(r"\1", positive), _ESCAPED.sub(r"\1", negative)


def cut_words(text: str, tokenizer: Any, limit: int) -> str:
    """The end of `text` that a network with at most `limit` tokens ignores; "" if it reads everything."""
    tokens = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
    room = limit - tokenizer.num_special_tokens_to_add()
    return str(tokenizer.decode(tokens[room:])).strip() if len(tokens) > room else ""


def cut_note(words: str) -> str:
    """The note about `words` at the end of a prompt that are ignored."""
    return f"the prompt is too long for this model; ignored: {words}"


def plain_texts(request: Request) -> tuple[str, str]:
    """The positive and the negative prompt without weights and other syntax."""
    positive, negative = texts_of(request.prompt, request.negative_prompt)
    return _plain(read_text(positive)), _plain(read_text(negative))


def _plain(parsed: ParsedText) -> str:
    texts = (parsed,) if isinstance(parsed, Words) else parsed.texts
    return " ".join(" ".join(piece.text for words in texts for piece in words.edited).split())
