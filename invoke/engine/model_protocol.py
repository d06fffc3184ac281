"""Model: what the loop asks of a family; and what the configs of a UNet and its VAE say, whatever the family."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch

from invoke.engine.adapters import AdapterSet
from invoke.engine.components.devices import Placement
from invoke.engine.components.hashes import BackgroundHash
from invoke.engine.conditioning.embeddings import Conditioning
from invoke.engine.sampling.loop import Predict
from invoke.models import ModelSpec
from invoke.request import Request


class AnyModel(Protocol):
    """What is known of every loaded model."""

    @property
    def spec(self) -> ModelSpec: ...
    @property
    def place(self) -> Placement: ...
    @property
    def weights_hash(self) -> BackgroundHash: ...
    def add(self, adapters: AdapterSet) -> None:
        """Have exactly the LoRAs and textual inversions that are `adapters`. Raises ModelError."""
        ...


class Decoder(Protocol):
    """What makes pictures of latents."""

    @property
    def place(self) -> Placement: ...
    @property
    def vae(self) -> Any: ...
    @property
    def factor(self) -> int:
        """Pixels per latent, each way."""
        ...

    @property
    def latent_channels(self) -> int: ...
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """The picture (−1..1, 1 × 3 × height × width, float32) of latents."""
        ...


class Model(AnyModel, Decoder, Protocol):
    """Networks on a device, and how they are called."""

    @property
    def unet(self) -> Any: ...
    @property
    def scheduler_config(self) -> Mapping[str, Any]:
        """As the model's own file has it: every sampler is made from this."""
        ...

    @property
    def input_channels(self) -> int:
        """Of the denoiser: more than `latent_channels` where it sees a mask and the masked picture beside them."""
        ...

    @property
    def edits(self) -> bool:
        """Whether it edits a picture by instruction, whose latents it sees beside its own."""
        ...

    @property
    def multiple(self) -> int:
        """What the sides of its pictures must be multiples of, in pixels."""
        ...

    @property
    def keeps_outside(self) -> bool:
        """Whether the latents outside a hole are put back after each step."""
        ...

    def condition(self, request: Request) -> Conditioning:
        """What `request` says in words, encoded; remembered for the next picture."""
        ...

    def predict(
        self, request: Request, conditioning: Conditioning, size: tuple[int, int], channels: torch.Tensor | None
    ) -> Predict:
        """The denoiser's predictions for a picture of `size` (width, height, in pixels).

        `channels` are stacked on the latents: an inpainting model's mask and masked picture.
        """
        ...

    def encode(self, picture: torch.Tensor) -> torch.Tensor:
        """Latents (float32) of a picture (0..1, height × width × 3)."""
        ...

    def cells(self, repaint_mask: torch.Tensor) -> torch.Tensor:
        """The mask (0..1, height × width) in latent space: 1 × 1 × latent height × width."""
        ...

    def extra_channels(
        self, repaint_mask: torch.Tensor, picture: torch.Tensor, encode: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """Further input channels of an inpainting denoiser: the mask (0 or 1), and the masked `picture`, encoded.

        `encode` is this model's, or remembers what that has made.
        """
        ...


class UNetAndVAE:
    """A model that has both."""

    unet: Any
    vae: Any

    @property
    def factor(self) -> int:
        """See `Decoder.factor`."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)  # type: ignore[no-any-return]

    @property
    def latent_channels(self) -> int:
        """See `Decoder.latent_channels`."""
        return self.vae.config.latent_channels  # type: ignore[no-any-return]

    @property
    def input_channels(self) -> int:
        """See `Model.input_channels`."""
        return self.unet.config.in_channels  # type: ignore[no-any-return]

    @property
    def edits(self) -> bool:
        """See `Model.edits`."""
        return self.input_channels == 2 * self.latent_channels
