"""Inverts the callback of a diffusers pipeline into an iterator of steps that the caller drives."""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from inspect import signature
from queue import SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

import torch

from invoke.engine.components.vae import to_bytes, to_pixels
from invoke.engine.model_protocol import Decoder
from invoke.engine.preview import linear_decoder
from invoke.events import Note, Previews, Step

OnStep = Callable[[float, torch.Tensor], None]
"""Called with a timestep and the latents after it."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Makes the events and previews of one picture from its pipeline's callbacks."""

    pipeline: Any
    decoder: Decoder
    name: str
    size: tuple[int, int]
    """Width and height, in pixels."""
    previews: Previews
    total: int

    def after(self, index: int, timestep: float, latents: torch.Tensor) -> Iterator[Note | Step]:
        """The events after call `index`, counted from 1."""
        if not self.previews.every and not self.previews.watched:
            yield Step(index, self.total, timestep)
            return
        plain = self._unpacked(latents)
        if plain is None and index == 1:
            yield Note(f"previews are not available: {self.name} has an unknown kind of latents")
        image = None
        if plain is not None and self.previews.shown(index, self.total):
            decode = self.decoder.decode if self.previews.decoder == "vae" else linear_decoder(self.decoder)
            image = to_pixels(to_bytes(decode(plain)))
        yield Step(index, self.total, timestep, image)

    def _unpacked(self, latents: torch.Tensor) -> torch.Tensor | None:
        """Latents as 1 × channels × height × width, from that shape or Flux's packed one; None for any other."""
        factor, config = self.decoder.factor, getattr(self.decoder.vae, "config", {})
        width, height = self.size
        if latents.ndim == 3 and hasattr(self.pipeline, "_unpack_latents"):
            latents = self.pipeline._unpack_latents(latents, height, width, factor)
        usual = (1, config.get("latent_channels"), height // factor, width // factor)
        return latents if latents.shape == usual and config.get("scaling_factor") else None


def following(pipeline: Any, on_step: OnStep) -> dict[str, Any]:
    """The arguments that make `pipeline` call `on_step` after each call of its denoiser."""
    if "callback_on_step_end" not in signature(pipeline.__call__).parameters:
        return {"callback": lambda index, timestep, latents: on_step(float(timestep), latents), "callback_steps": 1}

    def after_step(pipeline: Any, index: int, timestep: Any, kept: Mapping[str, Any]) -> dict[str, Any]:
        on_step(float(timestep), kept["latents"])
        return {}

    return {"callback_on_step_end": after_step}


Item = TypeVar("Item")
Result = TypeVar("Result")


def inverted(run: Callable[[Callable[[Item], None]], Result]) -> Generator[Item, None, Result]:
    """Yield what `run(emit)` emits, then return its result or raise its exception.

    `run` has a thread of its own; at any time one of the two waits for the other. When the iterator is closed, the
    pending `emit` raises an exception that `except Exception` does not catch.
    """
    messages: SimpleQueue[_Emitted[Item] | _Ended | BaseException] = SimpleQueue()
    goes_on: SimpleQueue[bool] = SimpleQueue()
    results: list[Result] = []

    def emit(item: Item) -> None:
        messages.put(_Emitted(item))
        if not goes_on.get():
            raise _Closed

    def body() -> None:
        try:
            results.append(run(emit))
            messages.put(_Ended())
        except BaseException as error:  # re-raised in the iterator's thread
            messages.put(error)

    thread = Thread(target=body, name="inverted", daemon=True)
    thread.start()
    try:
        while isinstance(news := messages.get(), _Emitted):
            yield news.item
            goes_on.put(True)
    finally:
        goes_on.put(False)
        thread.join()
    if isinstance(news, BaseException):
        raise news
    return results[0]


class _Closed(BaseException):
    """The iterator was closed."""


@dataclass(frozen=True, slots=True)
class _Emitted(Generic[Item]):
    item: Item


class _Ended:
    """No more events will come."""
