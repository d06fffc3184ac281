"""What was computed before and is needed again: pictures, encoded."""

from hashlib import sha256

import torch

from invoke.engine.model import Model
from invoke.engine.remembered import Remembered


class Known:
    """A few; per model and content, so that nothing can go stale."""

    def __init__(self) -> None:
        self._pictures: Remembered[torch.Tensor] = Remembered(8)
        self._digests: Remembered[tuple[torch.Tensor, bytes]] = Remembered(8)
        """By the identity of a picture, which is kept here so that no other can have it."""

    def picture(self, model: Model, picture: torch.Tensor) -> torch.Tensor:
        """The latents of `picture` (0..1, height × width × 3)."""
        _, digest = self._digests.get(id(picture), lambda: (picture, sha256(picture.numpy().tobytes()).digest()))
        key = (model.spec, picture.shape, digest)
        return self._pictures.get(key, lambda: model.encode(picture))

    def clear(self) -> None:
        self._pictures.clear()
        self._digests.clear()
