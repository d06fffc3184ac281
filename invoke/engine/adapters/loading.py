"""Loads the adapters of a picture: LoRAs merged into the weights, textual inversions added to the vocabulary.

Adapters of the previous picture are fully removed, so that a picture never depends on what was made before.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from invoke.engine.adapters.lora_layouts import Networks, read_changes
from invoke.engine.adapters.merging import MergedWeights, fitting
from invoke.engine.adapters.textual_inversions import LearnedWords, named_words, read_words, words_of
from invoke.engine.components.hashes import hash_files
from invoke.engine.conditioning.weighting import TextEncoder, any_of
from invoke.errors import ModelError
from invoke.files import read_text
from invoke.models import Kind, ModelSpec
from invoke.models.hub.locate import on_disk
from invoke.models.recognise import ADDED_FILES, check_contents
from invoke.models.registry import Registry
from invoke.models.safetensors_header import read_header, read_metadata
from invoke.models.spec import LARGEST_JSON
from invoke.prompts import read_prompt
from invoke.request import Request


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA or a textual inversion on this disk."""

    spec: ModelSpec
    file: Path
    stamp: tuple[int, int]
    """Changes when the file does."""
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class AdapterSet:
    """The adapters of one picture."""

    loras: tuple[Adapter, ...] = ()
    embeddings: tuple[Adapter, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.loras or self.embeddings)

    def hashes(self) -> dict[str, str]:
        """`lora NAME`, `embedding NAME` → SHA-256 of the file."""
        every = [("lora", one) for one in self.loras] + [("embedding", one) for one in self.embeddings]
        return {f"{kind} {one.spec.name}": _hash(one.file, one.stamp) for kind, one in every}


@lru_cache(maxsize=64)
def _hash(file: Path, stamp: tuple[int, int]) -> str:
    return hash_files(file.parent, [file])


def adapters_of(request: Request, models: Registry) -> AdapterSet:
    """Find the LoRA of the model's entry, the LoRAs in the prompts, and the embeddings whose triggers occur in them.

    Raises ModelError if one is missing.
    """
    return AdapterSet(
        tuple(_adapter(models.find(name, "lora"), weight) for name, weight in _loras(request, models)),
        tuple(_adapter(spec) for spec in triggered(f"{request.prompt} {request.negative_prompt}", models)),
    )


def adapter_names(request: Request, models: Registry) -> list[tuple[str, Kind]]:
    """Name and kind of each adapter that `adapters_of` would find, on this disk or not."""
    loras: list[tuple[str, Kind]] = [(name, "lora") for name, _ in _loras(request, models)]
    text = f"{request.prompt} {request.negative_prompt}"
    return [*loras, *((spec.name, "embedding") for spec in triggered(text, models))]


def _loras(request: Request, models: Registry) -> list[tuple[str, float]]:
    """Name and weight of each LoRA; that of the model's entry comes first."""
    own = []
    with suppress(ModelError):  # loading the model raises the error
        own = [(lora, 1.0) for lora in (models.find(request.model).lora,) if lora]
    return [*own, *read_prompt(request.prompt, request.negative_prompt).loras]


def triggered(text: str, models: Iterable[ModelSpec]) -> list[ModelSpec]:
    """The embeddings whose trigger or name, with or without angle brackets, occurs in `text` (case-insensitive)."""
    return [
        spec
        for spec in models
        if spec.kind == "embedding" and re.search(any_of(words_of(spec)), text, flags=re.IGNORECASE)
    ]


class Adapters:
    """Loads and removes the adapters of one model."""

    def __init__(self, name: str, networks: Networks, encoders: Sequence[TextEncoder]) -> None:
        """`networks`: those that LoRAs can change."""
        self._name = name
        self._networks = networks
        self._encoders = encoders
        self._weights = MergedWeights(name, networks)
        self._words = LearnedWords(encoders)
        self.now = AdapterSet()
        self.notes: tuple[str, ...] = ()
        """Notes for the user about the adapters in use."""

    def load(self, adapters: AdapterSet) -> None:
        """Apply `adapters` and remove all others.

        Raises ModelError; the model is then usable, without adapters.
        """
        if adapters == self.now:
            return
        try:
            if adapters.embeddings != self.now.embeddings:
                self.notes = tuple(self._learn(adapters.embeddings))
            if adapters.loras != self.now.loras:
                self._merge(adapters.loras)
        except BaseException:
            self._words.forget()
            self._weights.restore()
            self.now, self.notes = AdapterSet(), ()
            raise
        self.now = adapters

    def _merge(self, loras: tuple[Adapter, ...]) -> None:
        changes = []
        for lora in loras:
            name = lora.spec.name
            with fitting(name, self._name, "LoRA"):
                check_contents(name, read_header(lora.file))
                changes.append((name, read_changes(name, load_file(lora.file), _metadata(lora.file), self._networks)))
        self._weights.merge(
            [(*found, lora.weight) for found, lora in zip(changes, loras, strict=True) if lora.weight],
            " ".join(f"{_hash(lora.file, lora.stamp)}:{lora.weight!r}" for lora in loras),
        )

    def _learn(self, embeddings: tuple[Adapter, ...]) -> Iterator[str]:
        self._words.forget()
        for embedding in embeddings:
            with fitting(embedding.spec.name, self._name, "textual inversion"):
                check_contents(embedding.spec.name, read_header(embedding.file))
                words = read_words(embedding.spec, load_file(embedding.file), len(self._encoders))
                taken = [word for word, vectors in words.items() if not self._words.learn(word, vectors)]
            yield from named_words(taken, embedding.spec)


def networks_of(unet: Any, encoders: Sequence[TextEncoder], *, is_refiner: bool) -> Networks:
    """The networks that LoRAs can change, under the names that LoRA files use."""
    names = ("text_encoder_2",) if is_refiner else ("text_encoder", "text_encoder_2")
    texts = {name: encoder.text_encoder for name, encoder in zip(names, encoders, strict=False)}
    return {"unet": unet, **texts}


def _metadata(file: Path) -> Mapping[str, str]:
    """The file's metadata, and the peft config beside it."""
    sidecar = file.with_name("adapter_config.json")
    config = {sidecar.name: read_text(sidecar, LARGEST_JSON)} if sidecar.is_file() else {}
    return {**read_metadata(file), **config}


def _adapter(spec: ModelSpec, weight: float = 1.0) -> Adapter:
    path = on_disk(spec.name, spec.weights)
    if path.is_dir():
        files = sorted(path.glob("*.safetensors"))
        usual = [file for file in files if file.name in ADDED_FILES]
        if len(usual or files) != 1:
            raise ModelError(
                f"{spec.name}: {path} holds {len(files)} .safetensors files; it is not clear which one to use",
                hint="give the path of the file",
            )
        path = (usual or files)[0]
    found = path.stat()
    return Adapter(spec, path.absolute(), (found.st_mtime_ns, found.st_size), weight)
