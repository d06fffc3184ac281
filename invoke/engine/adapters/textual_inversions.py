"""Textual inversions: new words for a text encoder, each one or more vectors added to its vocabulary."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from invoke.engine.components.finite import check_finite
from invoke.engine.conditioning.weighting import TextEncoder
from invoke.models import ModelSpec
from invoke.models.tensor_names import PAIRS, UNNAMED

Vectors = tuple[torch.Tensor, ...]
"""One tensor per text encoder of a model: count × width."""


def words_of(spec: ModelSpec) -> tuple[str, ...]:
    """The words that trigger a textual inversion in a prompt: its triggers, and its name with and without brackets."""
    return tuple(dict.fromkeys((*spec.triggers, f"<{spec.name}>", spec.name)))


def read_words(spec: ModelSpec, tensors: Mapping[str, torch.Tensor], encoders: int) -> dict[str, Vectors]:
    """Read a file: word → vectors. Raises ValueError if it is made for another number of text encoders, or has no
    vectors, and ModelError if one of them is not finite."""
    check_finite(spec.name, "textual inversion", tensors.items())
    both = [tensors[key] for pair in PAIRS for key in pair if key in tensors]
    if both:
        if len(both) != encoders or len(both) != len(tensors):
            raise ValueError("it is for other text encoders")
        return dict.fromkeys(words_of(spec), tuple(map(_rows, both)))
    if encoders != 1:
        raise ValueError("it is for one text encoder")
    named = {word: (_rows(tensor),) for word, tensor in _joined(tensors).items()}
    if not named:
        raise ValueError("it holds no vectors")
    first = named.get("emb_params", next(iter(named.values())))
    # several words in one file keep their own vectors; every other name gets the first word's
    several = {word: vectors for word, vectors in named.items() if word not in UNNAMED} if len(named) > 1 else {}
    return {word: several.get(word, first) for word in dict.fromkeys((*words_of(spec), *several))}


def _joined(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Join the vectors of each word: diffusers stores further vectors of `<x>` as `<x>_1`, `<x>_2`, …"""
    found: dict[str, torch.Tensor] = {}
    for key in sorted(tensors, key=lambda key: (len(key), key)):
        base, _, number = key.rpartition("_")
        if number.isdigit() and base in found:
            found[base] = torch.cat([_rows(found[base]), _rows(tensors[key])])
        else:
            found[key] = tensors[key]
    return found


def _rows(tensor: torch.Tensor) -> torch.Tensor:
    """Count × width. Raises ValueError for anything else."""
    rows = tensor if tensor.dim() > 1 else tensor[None]
    if rows.dim() != 2 or not len(rows):
        raise ValueError("it holds no vectors")
    return rows


class LearnedWords:
    """The words added to the text encoders of a model for one picture."""

    def __init__(self, encoders: Sequence[TextEncoder]) -> None:
        self._tables = [_Table(encoder) for encoder in encoders]

    def forget(self) -> None:
        """Restore the model's own vocabulary."""
        for table in self._tables:
            table.clear()

    def learn(self, word: str, vectors: Vectors) -> bool:
        """Add `word` with `vectors`; returns False, and adds nothing, if the vocabulary already has this word.

        Raises ValueError if their width differs from the text encoders'.
        """
        if any(table.encoder.is_word(word) for table in self._tables):
            return False
        for table, rows in zip(self._tables, vectors, strict=True):
            table.add(word, rows)
        return True


class _Table:
    """A text encoder's embedding table with extra rows, added with hooks."""

    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = encoder
        self._layer = encoder.text_encoder.get_input_embeddings()
        self._size: int = self._layer.num_embeddings
        self._rows: list[torch.Tensor] = []
        self._ids: torch.Tensor | None = None
        self._hooks: list[Any] = []

    def add(self, word: str, rows: torch.Tensor) -> None:
        if rows.shape[-1] != self._layer.embedding_dim:
            raise ValueError(f"{rows.shape[-1]} numbers per vector, not {self._layer.embedding_dim}")
        first = self._size + len(self._rows)
        self.encoder.triggers[word.lower()] = tuple(range(first, first + len(rows)))
        self._rows += rows.float().unbind()
        if not self._hooks:
            self._hooks = [
                self._layer.register_forward_pre_hook(self._look_up),
                self._layer.register_forward_hook(self._put_in),
            ]

    def clear(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self.encoder.triggers.clear()
        self._rows, self._hooks = [], []

    def _look_up(self, layer: Any, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        self._ids = inputs[0]
        return (inputs[0].clamp(max=self._size - 1),)

    def _put_in(self, layer: Any, inputs: object, found: torch.Tensor) -> torch.Tensor:
        assert self._ids is not None
        learned, rows = self._ids >= self._size, torch.stack(self._rows)
        found = found.clone()
        found[learned.to(found.device)] = rows.to(found)[(self._ids[learned] - self._size).to(found.device)]
        return found


def named_words(words: Sequence[str], spec: ModelSpec) -> Iterator[str]:
    """Notes about `words` that a textual inversion cannot use."""
    for word in words:
        yield f"{word} is already a word and keeps its meaning; type <{spec.name}> for the textual inversion"
