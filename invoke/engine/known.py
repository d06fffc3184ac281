"""What was computed before and is needed again: texts and pictures, encoded."""

from dataclasses import dataclass, field
from hashlib import sha256

import torch

from invoke.engine import images
from invoke.engine.conditioning import Encoded, encode
from invoke.engine.loading import Model
from invoke.engine.remembered import Remembered


@dataclass(frozen=True, slots=True)
class Known:
    """A few of each; per model and content, so that nothing can go stale."""

    _texts: Remembered[Encoded] = field(default_factory=lambda: Remembered(64))
    _pictures: Remembered[torch.Tensor] = field(default_factory=lambda: Remembered(8))

    def text(self, model: Model, text: str) -> Encoded:
        """`text` as `model` is told it."""
        return self._texts.get((model.spec, text), lambda: encode(text, model.tokenizer, model.text_encoder))

    def picture(self, model: Model, picture: torch.Tensor) -> torch.Tensor:
        """The latents of `picture` (0..1, height × width × 3)."""
        key = (model.spec, picture.shape, sha256(picture.numpy().tobytes()).digest())
        return self._pictures.get(key, lambda: images.encode(model.vae, picture))

    def clear(self) -> None:
        self._texts.clear()
        self._pictures.clear()
