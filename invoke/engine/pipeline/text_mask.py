"""Text masks: CLIPSeg (Lüddecke and Ecker 2022) scores where a picture shows what a text names."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from invoke.engine.components.devices import Placement
from invoke.engine.components.hashes import BackgroundHash
from invoke.engine.components.lru_cache import LRUCache
from invoke.engine.components.reading import one_sentence
from invoke.engine.loading.model_pool import ModelPool
from invoke.errors import ModelError, RequestError
from invoke.events import EngineEvent, Heatmap
from invoke.images import Picture
from invoke.models import Kind, ModelSpec
from invoke.models.folder import read_json
from invoke.models.hub.locate import on_disk
from invoke.models.safetensors_header import read_header

NAME = "clipseg"
"""The name of CLIPSeg in the list of models."""
KIND: Kind = "text-mask"
WEIGHTS = "model.safetensors"


class TextMasks:
    """Computes heatmaps and caches them, so that another threshold or seed costs nothing."""

    def __init__(self, pool: ModelPool) -> None:
        self._pool = pool
        self._heats: LRUCache[Heatmap] = LRUCache(16)

    def load(self) -> Iterator[EngineEvent]:
        """Download (if the user agrees) and load the model, if it is not loaded. Raises ModelError."""
        yield from self._pool.ready(NAME, KIND, read)

    def heat(self, picture: Picture, text: str) -> Heatmap:
        """Score where `picture` shows `text`. Raises ModelError, or RequestError if the text is too long."""
        reader = self._reader()
        key = (reader.weights_hash, picture.sha256, text)
        return self._heats.get_or_compute(key, lambda: _look(reader, picture, text))

    def clear(self) -> None:
        self._heats.clear()

    def _reader(self) -> "Reader":
        return self._pool.get(NAME, KIND, read)


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """A loaded CLIPSeg."""

    network: Any
    processor: Any
    """Scales a picture of any shape to the network's square input, as in CLIPSeg's own code."""
    weights_hash: BackgroundHash


def read(spec: ModelSpec, place: Placement) -> Reader:
    """Load the CLIPSeg of `spec` to the device of `place`, in float32: masks should not depend on rounding.

    Raises ModelError with a hint.
    """
    folder = on_disk(spec.name, spec.weights)
    _check(spec.name, folder)

    from transformers import CLIPSegForImageSegmentation, CLIPSegProcessor

    options: dict[str, Any] = {"local_files_only": True}
    with one_sentence(spec.name):
        network: Any = CLIPSegForImageSegmentation.from_pretrained(
            str(folder), use_safetensors=True, dtype=torch.float32, **options
        )
        processor = CLIPSegProcessor.from_pretrained(str(folder), **options)
    network = network.to(place.device).eval().requires_grad_(False)
    return Reader(network, processor, BackgroundHash(folder, [folder / WEIGHTS]))


def _check(name: str, folder: Path) -> None:
    kind = read_json(name, folder / "config.json").get("model_type")
    if kind != "clipseg":
        raise ModelError(f"{name}: text masks need CLIPSeg; this is a model of type {kind}")
    if not (folder / WEIGHTS).is_file():
        raise ModelError(
            f"{name}: this model is incomplete: {WEIGHTS} is missing",
            hint="download it again; weights in other files can contain code and are not opened",
        )
    read_header(folder / WEIGHTS)


@torch.no_grad()
def _look(reader: Reader, picture: Picture, text: str) -> Heatmap:
    most = reader.network.config.text_config.max_position_embeddings
    words = reader.processor.tokenizer([text], padding="max_length", max_length=most, return_tensors="pt")
    if words["input_ids"].shape[-1] > most:
        raise RequestError(
            f"-tm: this text has {words['input_ids'].shape[-1]} tokens; at most {most} are allowed",
            code="text_too_long",
            hint="name the thing in a few words",
        )
    pixels = reader.processor(images=[picture.image], return_tensors="pt")["pixel_values"]
    device = reader.network.device
    logits = reader.network(**words.to(device), pixel_values=pixels.to(device)).logits
    heat = logits.float().sigmoid().reshape(logits.shape[-2:]).cpu().contiguous()
    height, width = heat.shape
    return Heatmap(width, height, heat.numpy().tobytes(), reader.weights_hash.result())
