"""The engine: requests in, events out. Nothing heavy is imported here.

The rest of the program sees only `Engine`. `diffusion_engine.DiffusionEngine` makes the pictures in this process,
`process.remote.RemoteEngine` in a worker process of its own; only modules below this package import torch.
"""

from collections.abc import Generator, Sequence
from typing import Protocol

from invoke.errors import InvokeError
from invoke.events import NO_PREVIEWS, EngineEvent, EngineState, Previews
from invoke.models import Registry
from invoke.request import Request

Job = tuple[Request, Previews]
"""A request, and which previews are shown while it runs."""


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
        """Yield the events of `generate` for each of `jobs`, with its index; jobs are drawn in a batch where possible.

        A request that fails yields its error and nothing more; the others go on.
        """
        ...

    def segment(self, path: str, text: str) -> Generator[EngineEvent, None, None]:
        """Yield the events of downloading and loading, then one `Heatmap`: how surely the image at `path` shows `text`.

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
        """Names of the loaded models: using them again costs nothing."""
        ...

    def set_models(self, models: Registry) -> None:
        """Replace the list of models."""
        ...

    def load(self, model: str) -> None:
        """Start loading `model`, if this engine can do so in the background."""
        ...

    def kill(self) -> None:
        """Abort the current work, if this engine can; it stays usable."""
        ...

    def close(self) -> None:
        """End the engine and free everything."""
        ...
