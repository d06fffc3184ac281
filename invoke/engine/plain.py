"""Words for models that read them as they are: without weights, and up to a length."""

from typing import Any


def cut_words(text: str, tokenizer: Any, limit: int) -> str:
    """The end of `text` that a network of at most `limit` tokens does not read ("": all is read)."""
    tokens = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
    room = limit - tokenizer.num_special_tokens_to_add()
    return str(tokenizer.decode(tokens[room:])).strip() if len(tokens) > room else ""
