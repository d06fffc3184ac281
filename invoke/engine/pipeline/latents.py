"""Images encoded once and cached; latents decoded, or an error: never a black picture."""

from hashlib import sha256

import torch

from invoke.engine.components.devices import dtype_of
from invoke.engine.components.lru_cache import LRUCache
from invoke.engine.components.vae import finite, to_bytes
from invoke.engine.model_protocol import Model
from invoke.errors import EngineError


def decode_once(model: Model, latents: torch.Tensor) -> torch.Tensor:
    """The picture of `latents`, as bytes. Raises EngineError when numbers overflowed on the way."""
    if not latents.sum().isfinite():
        raise _overflow("the denoiser", dtype_of(model.unet))
    decoded = finite(model.vae, lambda: model.decode(latents))
    if decoded is None:
        raise _overflow("the decoder", torch.float32)
    return to_bytes(decoded)


def _overflow(part: str, dtype: torch.dtype) -> EngineError:
    """`dtype` is what was overflowed in."""
    wider = "" if dtype == torch.float32 else ", or use --precision float32"
    return EngineError(f"overflow in {part}; no picture was made", code="overflow", hint=f"lower -C{wider}")


class LatentCache:
    """A few; per model and content, so that nothing can go stale."""

    def __init__(self) -> None:
        self._pictures: LRUCache[torch.Tensor] = LRUCache(8)
        self._digests: LRUCache[tuple[torch.Tensor, bytes]] = LRUCache(8)
        """By the identity of a picture, which is kept here so that no other can have it."""

    def encode(self, model: Model, picture: torch.Tensor) -> torch.Tensor:
        """The latents of `picture` (0..1, height × width × 3)."""
        _, digest = self._digests.get_or_compute(
            id(picture), lambda: (picture, sha256(picture.numpy().tobytes()).digest())
        )
        # by the files of this very model, which may have been replaced since
        key = (model.weights_hash, getattr(model, "vae_hash", None), picture.shape, digest)
        return self._pictures.get_or_compute(key, lambda: model.encode(picture))

    def clear(self) -> None:
        self._pictures.clear()
        self._digests.clear()
