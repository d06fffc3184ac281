"""The words of a model that was taught few of them, so that others can be named before they are painted."""

import json
from collections.abc import Set
from functools import lru_cache
from pathlib import Path

from invoke.models.spec import ModelSpec

CLOSED = "closed"
"""What an entry's field `vocabulary` says of a model whose tokenizer has whole words for all that it was taught."""
_END = "</w>"


def vocabulary(spec: ModelSpec) -> Set[str] | None:
    """The words, in lower case; None for models that read any word, or whose tokenizer is not there."""
    if spec.vocabulary != CLOSED:
        return None
    return _words(spec.weights)


@lru_cache(maxsize=4)
def _words(folder: str) -> frozenset[str] | None:
    try:
        tokenizer = json.loads((Path(folder) / "tokenizer" / "tokenizer.json").read_text(encoding="utf-8"))
        return frozenset(word.removesuffix(_END) for word in tokenizer["model"]["vocab"] if word.endswith(_END))
    except (OSError, ValueError, KeyError, TypeError):
        return None
