"""Kandinsky 2.2: a prior turns text into an image embedding, from which a UNet draws the picture.

Razzhigaev et al. (2023); the two stages are those of unCLIP (Ramesh et al. 2022). The UNet has 4 input channels, or 9
with masked picture and mask, and predicts the noise and a variance.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it

from invoke.engine.adapters import AdapterSet
from invoke.engine.components.devices import Placement, dtype_of
from invoke.engine.components.hashes import BackgroundHash
from invoke.engine.components.reading import read_network
from invoke.engine.components.vae import input_of
from invoke.engine.conditioning.embeddings import Conditioning, Encoded
from invoke.engine.families.kandinsky_prior import NAME_ITS_PRIOR, Prior, read_prior
from invoke.engine.img2img.mask import cells
from invoke.engine.model_protocol import UNetAndVAE
from invoke.engine.sampling.guidance import Guidance
from invoke.engine.sampling.loop import Predict
from invoke.engine.sampling.model_call import ModelCall, call_model
from invoke.errors import ModelError
from invoke.models import ModelSpec
from invoke.models.folder import ModelFolder, read_json
from invoke.request import Request


@dataclass(frozen=True, eq=False)
class Kandinsky(UNetAndVAE):
    """A loaded model of the family."""

    spec: ModelSpec
    place: Placement
    unet: Any
    vae: Any
    """The MoVQ (Zheng et al. 2022). Its latents are not scaled, and not quantised before decoding."""
    prior: Prior
    scheduler_config: Mapping[str, Any]
    weights_hash: BackgroundHash

    @property
    def multiple(self) -> int:
        """64 for the real model: its UNet needs latents that can be halved at each level."""
        return self.factor * 2 ** (len(self.unet.config.block_out_channels) - 1)  # type: ignore[no-any-return]

    @property
    def keeps_outside(self) -> bool:
        """Always, even if the UNet takes the mask, as in diffusers' pipeline."""
        return True

    def use_adapters(self, adapters: AdapterSet) -> None:
        """Raise ModelError if there are any `adapters`."""
        if adapters:
            raise ModelError(
                f"{self.spec.name} is a Kandinsky model, which does not support LoRAs and textual inversions"
            )

    def condition(self, request: Request) -> Conditioning:
        """Image embeddings (1 × width) instead of text embeddings."""
        return self.prior.condition(request)

    def forget(self) -> None:
        """Clear the cache of embeddings."""
        self.prior.forget()

    def predict(
        self, request: Request, conditioning: Conditioning, size: tuple[int, int], channels: torch.Tensor | None
    ) -> Predict:
        """The UNet's predicted variance is not used: samplers have their own."""
        unet, dtype = self.unet, dtype_of(self.unet)
        guidance = Guidance.of(request, self.scheduler_config.get("num_train_timesteps", 1000))

        def inputs(*texts: Encoded) -> dict[str, Any]:
            embeds = torch.cat([text.embeds for text in texts]).to(self.place.device, dtype)
            return {"encoder_hidden_states": None, "added_cond_kwargs": {"image_embeds": embeds}}

        alone = inputs(conditioning.prompt)
        both = inputs(conditioning.negative, conditioning.prompt) if conditioning.negative is not None else None

        def predict(x: torch.Tensor, t: torch.Tensor, index: int) -> Generator[ModelCall, None, torch.Tensor]:
            if channels is not None:
                x = torch.cat([x, channels], dim=1)
            t = t.float() if t.dtype == torch.float64 else t  # MPS has no float64
            if both is None or not guidance.reaches(t):
                answer = yield from call_model(unet, x.to(dtype), t, **alone)
                return answer[0][:, : self.latent_channels].float()  # type: ignore[no-any-return]
            answer = yield from call_model(unet, torch.cat([x, x]).to(dtype), t, **both)
            return guidance.combined(answer[0][:, : self.latent_channels].float())

        return predict

    @torch.no_grad()
    def encode(self, picture: torch.Tensor) -> torch.Tensor:
        return self.vae.encode(input_of(self.vae, picture)).latents.float()  # type: ignore[no-any-return]

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        decoded = self.vae.decode(latents.to(dtype_of(self.vae)), force_not_quantize=True, return_dict=False)[0]
        return decoded.float()  # type: ignore[no-any-return]

    def cells(self, repaint_mask: torch.Tensor) -> torch.Tensor:
        """For a UNet with 9 channels the mask grows by one cell, as in its training."""
        in_cells = cells(repaint_mask, self.factor)
        return in_cells if self.input_channels == self.latent_channels else _grown(in_cells)

    def extra_channels(
        self, repaint_mask: torch.Tensor, picture: torch.Tensor, encode: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """The picture's latents with zeros under the mask, and a mask that is 1 where they are kept."""
        latents = encode(picture)
        kept = 1 - self.cells(repaint_mask).to(latents.device)
        return torch.cat([latents * kept, kept], dim=1)


def read_kandinsky(spec: ModelSpec, folder: ModelFolder, prior: ModelFolder | None, place: Placement) -> Kandinsky:
    """Load the decoder in `folder` and the prior in `prior`, or in the same folder.

    Raises ModelError, and whatever the libraries raise.
    """
    if prior is None and "prior_prior" not in folder.kinds:
        raise ModelError(f"{spec.name}: a Kandinsky model needs its prior, but none is named", hint=NAME_ITS_PRIOR)
    unet = read_network(folder, "unet", folder.kinds["unet"], place)
    if unet.config.in_channels not in (4, 9):
        raise ModelError(
            f"{spec.name}: Kandinsky UNets with {unet.config.in_channels} input channels are not supported"
        )
    scheduler_config = read_json(spec.name, folder.path / "scheduler" / "scheduler_config.json")
    return Kandinsky(
        spec=replace(spec, family="kandinsky"),
        place=place,
        unet=unet,
        vae=read_network(folder, "movq", folder.kinds["movq"], place),
        prior=read_prior(spec.name, prior or folder, place),
        # with it, samplers would expect a learned variance in each prediction
        scheduler_config={key: value for key, value in scheduler_config.items() if key != "variance_type"},
        weights_hash=BackgroundHash(
            folder.path, folder.files, BackgroundHash(prior.path, prior.files) if prior else None
        ),
    )


def _grown(cells: torch.Tensor) -> torch.Tensor:
    """Grow the mask to the left, right, top, bottom, upper left and lower right, like diffusers' `prepare_mask`."""
    height, width = cells.shape[-2:]
    around = F.pad(cells, (1, 1, 1, 1))
    ways = [(1, 1), (0, 1), (2, 1), (1, 0), (1, 2), (0, 0), (2, 2)]
    return torch.stack([around[..., y : y + height, x : x + width] for y, x in ways]).amax(0)
