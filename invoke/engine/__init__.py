"""The engine: requests in, events out. Nothing heavy is imported here.

`Engine` is what the rest of the program knows. `diffusion.DiffusionEngine` makes the pictures in this process,
`remote.RemoteEngine` in a worker process of its own; only modules below this package import torch.
"""

from collections.abc import Generator
from typing import Protocol

from invoke.events import EngineEvent
from invoke.request import Request


class Engine(Protocol):
    """Makes pictures. Quiet: it prints nothing, saves nothing, and keeps no request."""

    def generate(self, request: Request, *, preview_every: int = 0) -> Generator[EngineEvent, None, None]:
        """Yield `Loading? Loaded? Started Noted* Step… Finished`.

        With `preview_every` N > 0 every Nth `Step`, the one of index 0 and the last carry a picture. Closing the
        generator in the middle stops after the step that is running and leaves the engine usable.

        Raises PictureError, ModelError or EngineError.
        """
        ...

    @property
    def state(self) -> str:
        """What it is doing, for a toolbar: `starting`, `loading pocket`, `ready: pocket on cpu float32`, …"""
        ...

    def load(self, model: str) -> None:
        """Begin to make `model` ready, if this engine can do so meanwhile."""
        ...

    def kill(self) -> None:
        """Abandon whatever is going on, if this engine can; the next request finds it usable."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...
