"""Model: the protocol between the denoising loop and a family; properties read from the configs of a UNet and a VAE."""

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
    """The attributes of every loaded model."""

    @property
    def spec(self) -> ModelSpec: ...
    @property
    def place(self) -> Placement: ...
    @property
    def weights_hash(self) -> BackgroundHash: ...
    def use_adapters(self, adapters: AdapterSet) -> None:
        """Apply exactly the LoRAs and textual inversions in `adapters`, removing any others. Raises ModelError."""
        ...


class Decoder(Protocol):
    """Decodes latents to pictures."""

    @property
    def place(self) -> Placement: ...
    @property
    def vae(self) -> Any: ...
    @property
    def factor(self) -> int:
        """Pixels per latent, in each direction."""
        ...

    @property
    def latent_channels(self) -> int: ...
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode latents to a picture (−1..1, 1 × 3 × height × width, float32)."""
        ...


class Model(AnyModel, Decoder, Protocol):
    """Networks on a device, and how they are called."""

    @property
    def unet(self) -> Any: ...
    @property
    def scheduler_config(self) -> Mapping[str, Any]:
        """The model's scheduler config; every sampler is built from it."""
        ...

    @property
    def input_channels(self) -> int:
        """Input channels of the denoiser: more than `latent_channels` if it also takes a mask and a masked picture."""
        ...

    @property
    def edits(self) -> bool:
        """Whether it edits by instruction (InstructPix2Pix): the denoiser also takes the latents of the init image."""
        ...

    @property
    def multiple(self) -> int:
        """The sides of its pictures, in pixels, must be multiples of this."""
        ...

    @property
    def keeps_outside(self) -> bool:
        """Whether the latents outside the mask are restored after each step."""
        ...

    def condition(self, request: Request) -> Conditioning:
        """Encode the prompts of `request`; the result is cached for the next picture."""
        ...

    def predict(
        self, request: Request, conditioning: Conditioning, size: tuple[int, int], channels: torch.Tensor | None
    ) -> Predict:
        """Make the function that calls the denoiser for a picture of `size` (width, height, in pixels).

        `channels` are concatenated to the latents: an inpainting model's mask and masked picture.
        """
        ...

    def encode(self, picture: torch.Tensor) -> torch.Tensor:
        """Encode a picture (0..1, height × width × 3) to latents (float32)."""
        ...

    def cells(self, repaint_mask: torch.Tensor) -> torch.Tensor:
        """Reduce the mask (0..1, height × width) to latent space: 1 × 1 × latent height × width."""
        ...

    def extra_channels(
        self, repaint_mask: torch.Tensor, picture: torch.Tensor, encode: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """Extra input channels of an inpainting denoiser: the mask (0 or 1) and the encoded, masked `picture`.

        `encode` is this model's `encode`, possibly cached.
        """
        ...


class UNetAndVAE:
    """Properties read from the configs of a UNet and a VAE."""

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
