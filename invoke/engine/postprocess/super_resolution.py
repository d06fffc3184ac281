"""Stable Diffusion's super-resolution x4, as diffusers' StableDiffusionUpscalePipeline runs it.

A diffusion model whose denoiser also takes the small, slightly noised picture, one pixel per latent (Ho et al. 2022,
Cascaded Diffusion Models, 4.2); its decoder makes 4 × 4 pixels of each latent.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from invoke.engine.components.devices import Placement, dtype_of
from invoke.engine.components.hashes import BackgroundHash
from invoke.engine.components.tiles import decode_large, in_tiles, padded
from invoke.engine.conditioning.literal import plain_texts
from invoke.engine.conditioning.weighting import TextEncoder
from invoke.engine.sampling.guidance import Guidance
from invoke.engine.sampling.loop import LoopState, Predict, at_once, denoise
from invoke.engine.sampling.schedules import make_schedule
from invoke.models.upscalers import SUPER_RESOLUTION, UPSCALERS
from invoke.request import Request

NOISE_LEVEL = 20
"""Timestep to which the small picture is noised, at most 350. The authors' default; more noise invents more detail."""
SIDE, OVERLAP = 128, 32
"""Tile side (as in training) and overlap of neighbouring tiles, in pixels of the small picture."""


@dataclass(frozen=True, eq=False)
class SuperResolution:
    """A loaded super-resolution model."""

    name: str
    place: Placement
    unet: Any
    vae: Any
    """Always in float32: it overflows in half precision."""
    tower: TextEncoder
    scheduler_config: Mapping[str, Any]
    low_res_scheduler: Any
    weights_hash: BackgroundHash
    factor: ClassVar[int] = UPSCALERS[SUPER_RESOLUTION].factor
    fixed_factor: ClassVar[bool] = True

    def steps(self, request: Request, width: int, height: int) -> int:
        return UPSCALERS[SUPER_RESOLUTION].steps(request)

    @torch.no_grad()
    def enlarge(
        self, picture: torch.Tensor, latents: torch.Tensor | None, request: Request
    ) -> Generator[float, None, torch.Tensor]:
        height, width = picture.shape[:2]
        multiple = 2 ** (len(self.unet.config.block_out_channels) - 1)
        pixels = 2 * (picture.permute(2, 0, 1)[None].float() / 255) - 1
        small = padded(pixels, multiple)
        generator = torch.Generator("cpu").manual_seed(request.seed)
        noise = torch.randn(small.shape, generator=generator)
        guide = self.low_res_scheduler.add_noise(small, noise, torch.tensor([NOISE_LEVEL])).to(self.place.device)
        shape = (1, self.vae.config.latent_channels, *small.shape[-2:])
        large = torch.randn(shape, generator=generator).to(self.place.device)
        steps = self.steps(request, width, height)
        schedule = make_schedule(self.scheduler_config, "ddim", steps=steps, taken=steps)
        for visit in denoise(self._predict(guide, request), schedule, large * schedule.noise_scale, generator):
            if isinstance(visit, LoopState) and visit.index:
                large = visit.latents
                yield visit.timestep
        return decode_large(self.vae, large, self.name)[: 4 * height, : 4 * width]

    def _predict(self, guide: torch.Tensor, request: Request) -> Predict:
        unet, dtype = self.unet, dtype_of(self.unet)
        guidance = Guidance(request.enlarging_guidance)
        guided = guidance.scale > 1
        texts = plain_texts(request)
        embeds = torch.cat([self._embed(text) for text in (texts[::-1] if guided else texts[:1])])
        level = torch.full((len(embeds),), NOISE_LEVEL, device=self.place.device)

        def asked(x: torch.Tensor, low: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            both = torch.cat([x, low], dim=1).to(dtype).repeat(len(embeds), 1, 1, 1)
            output = unet(both, t, encoder_hidden_states=embeds, class_labels=level, return_dict=False)[0].float()
            return guidance.combined(output) if guided else output

        def predict(x: torch.Tensor, t: torch.Tensor, index: int) -> torch.Tensor:
            return in_tiles(lambda x, low: asked(x, low, t), x, guide, side=SIDE, overlap=OVERLAP)

        return at_once(predict)

    def _embed(self, text: str) -> torch.Tensor:
        tokenizer, text_encoder = self.tower.tokenizer, self.tower.text_encoder
        length = tokenizer.model_max_length
        tokens = tokenizer(text, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        uses_mask = getattr(text_encoder.config, "use_attention_mask", False)
        mask = tokens.attention_mask.to(self.place.device) if uses_mask else None
        embeds = text_encoder(tokens.input_ids.to(self.place.device), attention_mask=mask)[0]
        return embeds.to(self.place.device, dtype_of(self.unet))  # type: ignore[no-any-return]
