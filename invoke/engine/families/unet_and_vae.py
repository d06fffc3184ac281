"""What the configs of a UNet and of its VAE say, whatever the family."""

from typing import Any


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
