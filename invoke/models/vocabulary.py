"""The words of a model with a small vocabulary, so that unknown words can be reported."""

import json
from collections.abc import Set
from functools import lru_cache
from pathlib import Path

from invoke.files import read_text
from invoke.models.spec import LARGEST_JSON, ModelSpec

CLOSED = "closed"
"""Value of an entry's field `vocabulary`: the tokenizer has a whole word for everything the model knows."""
_END = "</w>"


def vocabulary(spec: ModelSpec) -> Set[str] | None:
    """The words in lower case; None for models that know any word, or whose tokenizer is missing."""
    if spec.vocabulary != CLOSED:
        return None
    return _words(spec.weights)


@lru_cache(maxsize=4)
def _words(folder: str) -> frozenset[str] | None:
    try:
        tokenizer = json.loads(read_text(Path(folder) / "tokenizer" / "tokenizer.json", LARGEST_JSON))
        return frozenset(word.removesuffix(_END) for word in tokenizer["model"]["vocab"] if word.endswith(_END))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
