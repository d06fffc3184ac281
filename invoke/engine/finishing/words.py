"""The words of a request as tools read them: upscalers know no weights and no swaps."""

from invoke.command.prompts import Said, read_text, texts_of
from invoke.command.prompts.tree import Words
from invoke.request import Request


def plain_texts(request: Request) -> tuple[str, str]:
    """What to draw and what to keep out, without signs and brackets."""
    positive, negative = texts_of(request.prompt, request.negative_prompt)
    return _plain(read_text(positive)), _plain(read_text(negative))


def _plain(said: Said) -> str:
    texts = (said,) if isinstance(said, Words) else said.texts
    return " ".join(" ".join(piece.text for words in texts for piece in words.edited).split())
