"""Encodes images once and caches the latents; decodes latents, or raises an error instead of a black picture."""

from hashlib import sha256

import torch

from invoke.engine.components.devices import dtype_of
from invoke.engine.components.finite import first_not_finite, not_finite
from invoke.engine.components.lru_cache import LRUCache
from invoke.engine.components.packing import unpacked
from invoke.engine.components.vae import finite, to_bytes
from invoke.engine.model_protocol import Model
from invoke.errors import EngineError


def decode_once(model: Model, latents: torch.Tensor) -> torch.Tensor:
    """Decode `latents` to bytes. Raises EngineError on an overflow, and ModelError if weights are not finite."""
    if not latents.sum().isfinite():
        _check_weights(model)
        raise _overflow("the denoiser", dtype_of(model.unet))
    decoded = finite(model.vae, lambda: model.decode(latents))
    if decoded is None:
        _check_weights(model)
        raise _overflow("the decoder", torch.float32)
    return to_bytes(decoded)


def _check_weights(model: Model) -> None:
    """Raise ModelError if NaN or infinite weights of `model`, and not an overflow, are the cause."""
    texts = [("text encoder", tower.text_encoder) for tower in getattr(model, "towers", ())]
    for title, network in [("UNet", model.unet), ("VAE", model.vae), *texts]:
        with unpacked(network):
            if (damaged := first_not_finite(network.named_parameters())) is not None:
                raise not_finite(model.spec.name, f"model's {title}", damaged)


def _overflow(part: str, dtype: torch.dtype) -> EngineError:
    """The error for an overflow in `part`, which computed in `dtype`."""
    wider = "" if dtype == torch.float32 else ", or use --precision float32"
    return EngineError(f"overflow in {part}; no picture was made", code="overflow", hint=f"lower -C{wider}")


class LatentCache:
    """Caches the latents of a few pictures by model and content, so that no entry goes stale."""

    def __init__(self) -> None:
        self._pictures: LRUCache[torch.Tensor] = LRUCache(8)
        self._digests: LRUCache[tuple[torch.Tensor, bytes]] = LRUCache(8)
        """Keyed by `id(picture)`; the picture is kept here so that its id is not reused."""

    def encode(self, model: Model, picture: torch.Tensor) -> torch.Tensor:
        """The latents of `picture` (0..1, height × width × 3), cached."""
        _, digest = self._digests.get_or_compute(
            id(picture), lambda: (picture, sha256(picture.numpy().tobytes()).digest())
        )
        # weights_hash is unique to this loaded model: its files may have been replaced since
        key = (model.weights_hash, getattr(model, "vae_hash", None), picture.shape, digest)
        return self._pictures.get_or_compute(key, lambda: model.encode(picture))

    def clear(self) -> None:
        self._pictures.clear()
        self._digests.clear()
