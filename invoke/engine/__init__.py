"""The engine: requests in, events out. Nothing heavy is imported here.

`Engine` is what the rest of the program knows. `diffusion_engine.DiffusionEngine` makes the pictures in this process,
`process.remote.RemoteEngine` in a worker process of its own; only modules below this package import torch.
"""

from collections.abc import Generator, Sequence
from typing import Protocol

from invoke.errors import InvokeError
from invoke.events import NO_PREVIEWS, EngineEvent, EngineState, Previews
from invoke.models import Registry
from invoke.request import Request

Job = tuple[Request, Previews]
"""A picture, and what is shown of it on the way."""


class Engine(Protocol):
    """Makes pictures. Quiet: it prints nothing, saves nothing, and keeps no request."""

    def generate(self, request: Request, *, previews: Previews = NO_PREVIEWS) -> Generator[EngineEvent, None, None]:
        """Yield `DownloadRequired* Downloading* Loading* Loaded* Detected* Started Note* Step… Finished`.

        Steps carry pictures as `previews` says. Closing the generator in the middle stops after the step that is
        running and leaves the engine usable.

        Raises PictureError, ModelError or EngineError.
        """
        ...

    def generate_batch(self, jobs: Sequence[Job]) -> Generator[tuple[int, EngineEvent | InvokeError], None, None]:
        """What `generate` yields for each of `jobs`, with its index; those that can be are drawn side by side.

        A request that fails yields its error and no more; the others go on.
        """
        ...

    def segment(self, path: str, text: str) -> Generator[EngineEvent, None, None]:
        """Yield what `generate` may before it begins, then one `Heatmap`: how surely the image at `path` shows `text`.

        Raises PictureError, ModelError, RequestError or EngineError.
        """
        ...

    def unload(self) -> Generator[EngineEvent, None, None]:
        """Unload everything and yield one `Freed`. The next request loads its model again."""
        ...

    @property
    def state(self) -> EngineState:
        """What the engine is doing, for a toolbar."""
        ...

    @property
    def in_memory(self) -> tuple[str, ...]:
        """The entries of the list of models that are loaded: using them again costs nothing."""
        ...

    def set_models(self, models: Registry) -> None:
        """The models that can be named from now on."""
        ...

    def load(self, model: str) -> None:
        """Begin to load `model`, if this engine can do so in the background."""
        ...

    def kill(self) -> None:
        """Abandon whatever is going on, if this engine can; the next request finds it usable."""
        ...

    def close(self) -> None:
        """End the engine and free everything."""
        ...
