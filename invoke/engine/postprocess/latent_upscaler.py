"""The latent upscaler x2 by Katherine Crowson, as diffusers' StableDiffusionLatentUpscalePipeline runs it.

It doubles the size of Stable Diffusion 1 and 2 latents, then decodes them with its own VAE. The network is
preconditioned as in Karras et al. (2022), table 1, for data with standard deviation 1.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it

from invoke.engine.components.devices import Placement, dtype_of
from invoke.engine.components.hashes import BackgroundHash
from invoke.engine.components.tiles import decode_large, in_tiles, padded
from invoke.engine.components.vae import encode_pixels
from invoke.engine.conditioning.literal import plain_texts
from invoke.engine.conditioning.weighting import TextEncoder
from invoke.engine.sampling.guidance import Guidance
from invoke.engine.sampling.loop import LoopState, Predict, at_once, denoise
from invoke.engine.sampling.schedules import Schedule, make_schedule
from invoke.models.upscalers import LATENT_UPSCALER, UPSCALERS
from invoke.request import Request

SIDE, OVERLAP = 128, 32
"""Tile side (1024 pixels of the result) and overlap of neighbouring tiles, in latents."""


@dataclass(frozen=True, eq=False)
class LatentUpscaler:
    """A loaded latent upscaler."""

    name: str
    place: Placement
    unet: Any
    vae: Any
    tower: TextEncoder
    scheduler_config: Mapping[str, Any]
    weights_hash: BackgroundHash
    factor: ClassVar[int] = UPSCALERS[LATENT_UPSCALER].factor
    fixed_factor: ClassVar[bool] = True

    def steps(self, request: Request, width: int, height: int) -> int:
        return UPSCALERS[LATENT_UPSCALER].steps(request)

    def reads(self, vae: Any) -> bool:
        """Whether this tool can use latents of `vae`: whether both encode alike."""
        return vae is self.vae or _encodes_alike(vae, self.vae)

    @torch.no_grad()
    def enlarge(
        self, picture: torch.Tensor, latents: torch.Tensor | None, request: Request
    ) -> Generator[float, None, torch.Tensor]:
        height, width = picture.shape[:2]
        small = self._encode(picture) if latents is None else latents
        small = padded(small.to(self.place.device), self._multiple)
        guide = F.interpolate(small, scale_factor=2, mode="nearest")
        steps = self.steps(request, width, height)
        # D = c_skip·x + c_out·F, which equals v prediction with v = −F
        config = {**self.scheduler_config, "prediction_type": "v_prediction"}
        schedule = make_schedule(config, "k_euler", steps=steps, taken=steps)
        generator = torch.Generator("cpu").manual_seed(request.seed)
        noise = torch.randn(guide.shape, generator=generator).to(self.place.device)
        large = noise
        for visit in denoise(
            self._predict(schedule, guide, request), schedule, noise * schedule.noise_scale, generator
        ):
            if isinstance(visit, LoopState) and visit.index:
                large = visit.latents
                yield visit.timestep
        return decode_large(self.vae, large, self.name)[: 2 * height, : 2 * width]

    @property
    def _multiple(self) -> int:
        """The latents of the small picture need sides that are multiples of this: they are doubled, then halved at each
        level but the last."""
        levels: int = len(self.unet.config.block_out_channels)
        return int(max(1, 2 ** (levels - 2)))

    def _encode(self, picture: torch.Tensor) -> torch.Tensor:
        factor = 2 ** (len(self.vae.config.block_out_channels) - 1)
        padded_picture = padded(picture.permute(2, 0, 1)[None].float() / 255, factor)
        return encode_pixels(self.vae, padded_picture[0].permute(1, 2, 0))

    def _predict(self, schedule: Schedule, guide: torch.Tensor, request: Request) -> Predict:
        guidance, texts = Guidance(request.enlarging_guidance), plain_texts(request)
        guided = guidance.scale > 1
        conditions = [self._condition(text) for text in (texts[::-1] if guided else texts[:1])]
        embeds, condition = (torch.cat(parts) for parts in zip(*conditions, strict=True))
        unet, dtype = self.unet, dtype_of(self.unet)

        def asked(x: torch.Tensor, low: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            both = torch.cat([x, low], dim=1).to(dtype).repeat(len(embeds), 1, 1, 1)
            time = 0.25 * sigma.log()
            output = unet(both, time, encoder_hidden_states=embeds, timestep_cond=condition, return_dict=False)[0]
            # the last channel is a variance, which is not used
            output = output[:, :-1].float()
            # preconditioning is the same for both texts, so it can be applied after guidance
            return guidance.combined(output) if guided else output

        def predict(x: torch.Tensor, t: torch.Tensor, index: int) -> torch.Tensor:
            sigma = schedule.levels[index].sigma.to(x.device)
            return -in_tiles(lambda x, low: asked(x, low, sigma), x, guide, side=SIDE, overlap=OVERLAP)

        return at_once(predict)

    def _condition(self, text: str) -> tuple[torch.Tensor, torch.Tensor]:
        """The UNet's conditioning: the text's hidden states, and the noise level (none) with the pooled text."""
        tokenizer, text_encoder = self.tower.tokenizer, self.tower.text_encoder
        length = tokenizer.model_max_length
        tokens = tokenizer(text, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        encoded = text_encoder(tokens.input_ids.to(self.place.device), output_hidden_states=True)
        level = torch.cat([encoded.pooler_output.new_ones(1, 64), encoded.pooler_output.new_zeros(1, 64)], dim=1)
        pooled, device, dtype = torch.cat([level, encoded.pooler_output], dim=1), self.place.device, dtype_of(self.unet)
        return encoded.hidden_states[-1].to(device, dtype), pooled.to(device, dtype)


def _encodes_alike(one: Any, other: Any) -> bool:
    """Whether two VAEs have the same encoder, by its last layer; often only the decoder is finetuned."""
    if one.config.scaling_factor != other.config.scaling_factor:
        return False
    first, second = one.encoder.conv_out.weight, other.encoder.conv_out.weight
    return first.shape == second.shape and torch.allclose(first.float(), second.float(), atol=1e-3)
