"""Stable Diffusion 1, 2 and XL: a UNet with text in its cross-attention.

The UNet has 4 input channels, 9 with mask and masked picture, or 8 for edits by instruction. XL has two text encoders
(its refiner only the second) and is also conditioned on the pooled text and the picture's size (Podell et al. 2023,
2.1 and 2.2).
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch

from invoke.engine.adapters import Adapters, AdapterSet, networks_of
from invoke.engine.components.devices import Placement, dtype_of
from invoke.engine.components.hashes import BackgroundHash
from invoke.engine.components.lru_cache import LRUCache
from invoke.engine.components.vae import decode_latents, encode_pixels
from invoke.engine.conditioning.controlnet import following
from invoke.engine.conditioning.embeddings import Conditioning, Encoded, encode, same_length, texts
from invoke.engine.conditioning.ip_adapter import Reference, ReferringUNet, image_tokens
from invoke.engine.conditioning.perturbed_attention import can_perturb, perturbing
from invoke.engine.conditioning.prompt_to_prompt import swapping
from invoke.engine.conditioning.weighting import TextEncoder
from invoke.engine.img2img.mask import cells
from invoke.engine.model_protocol import UNetAndVAE
from invoke.engine.sampling.deepcache import CachedUNet, CachingUNet, reusing
from invoke.engine.sampling.guidance import Guidance
from invoke.engine.sampling.loop import Predict
from invoke.engine.sampling.model_call import Denoiser, ModelCall, Network, as_denoiser
from invoke.errors import RequestError
from invoke.models import ModelSpec
from invoke.models.text_layers import too_many_skipped
from invoke.request import Request

GREY = 0.5
"""The colour under the mask in the input of a 9-channel UNet."""
SCORE, NEGATIVE_SCORE = 6.0, 2.5
"""Aesthetic scores passed to the XL refiner, positive and negative: diffusers' defaults."""


@dataclass(frozen=True, eq=False)
class StableDiffusion(UNetAndVAE):
    """A loaded model of the family."""

    spec: ModelSpec
    place: Placement
    unet: Any
    vae: Any
    towers: tuple[TextEncoder, ...]
    scheduler_config: Mapping[str, Any]
    weights_hash: BackgroundHash
    vae_hash: BackgroundHash | None = None
    """The hash of a VAE that replaces the model's own."""
    preview_vae: Any = None
    """A tiny VAE for previews."""
    cfg_rescale: float = 0.0
    """The model's default for `--guidance_rescale`."""
    scales_edited: bool = False
    """For edits by instruction: whether the latents of the init image are scaled by the VAE's factor (CosXL)."""
    zero_negative: bool = False
    """Whether an empty negative prompt is encoded as zeros rather than as the empty text."""
    _texts: LRUCache[Encoded] = field(default_factory=lambda: LRUCache(64))
    _referring: LRUCache[ReferringUNet] = field(default_factory=lambda: LRUCache(1))

    @cached_property
    def adapters(self) -> Adapters:
        """The adapters of the networks."""
        networks = networks_of(self.unet, self.towers, is_refiner=self.spec.family == "sdxl-refiner")
        return Adapters(self.spec.name, networks, self.towers)

    def use_adapters(self, adapters: AdapterSet) -> None:
        """See `AnyModel.use_adapters`."""
        if adapters or "adapters" in self.__dict__:
            self.adapters.load(adapters)

    def forget(self) -> None:
        """Clear the cache of encoded texts and remove all adapters."""
        self._texts.clear()
        self.use_adapters(AdapterSet())

    @property
    def _added(self) -> AdapterSet:
        return self.adapters.now if "adapters" in self.__dict__ else AdapterSet()

    @cached_property
    def halves(self) -> tuple[CachingUNet, CachedUNet] | None:
        """The UNet in two variants for `--reuse`; None for a UNet with one block, which has no deep half."""
        return (CachingUNet(self.unet), CachedUNet(self.unet)) if len(self.unet.up_blocks) > 1 else None

    @property
    def multiple(self) -> int:
        return self.factor

    @property
    def keeps_outside(self) -> bool:
        """True unless the UNet takes the mask itself."""
        return self.edits or self.input_channels == self.latent_channels

    @cached_property
    def size_numbers(self) -> int:
        """How many size and score conditions the UNet takes: none, 6, or the refiner's 5."""
        config = self.unet.config
        if config.addition_embed_type != "text_time":
            return 0
        pooled = self.towers[-1].text_encoder.config.projection_dim
        return (config.projection_class_embeddings_input_dim - pooled) // config.addition_time_embed_dim  # type: ignore[no-any-return]

    def condition(self, request: Request) -> Conditioning:
        prompt, negative = texts(request)
        self._check_skip(request.clip_skip)
        if request.pag_scale and not can_perturb(self.unet):
            raise RequestError(
                f"--pag: {self.spec.name} has no self-attention in the middle of its UNet", code="not_taken"
            )
        positive, notes = self._text(prompt, request.clip_skip), self.adapters.notes if self._added else ()
        if request.guidance_scale <= 1:
            return Conditioning(positive, None, notes=notes)
        if self.zero_negative and not negative:
            assert positive.pooled is not None
            nothing = Encoded(torch.zeros_like(positive.embeds), torch.zeros_like(positive.pooled), "")
            return Conditioning(positive, nothing, notes=notes)
        # as in diffusers, `--clip_skip` does not apply to the negative prompt
        empty = self._text("", request.clip_skip), self._text("")
        return Conditioning(*same_length(positive, self._text(negative), *empty), notes=notes)

    def _check_skip(self, skip: int) -> None:
        """Raise RequestError if a text encoder has too few layers for `skip`."""
        most = min(tower.most_skipped for tower in self.towers)
        if skip > most:
            raise too_many_skipped(self.spec, skip, most)

    def predict(
        self, request: Request, conditioning: Conditioning, size: tuple[int, int], channels: torch.Tensor | None
    ) -> Predict:
        """See `Model.predict`."""
        unet, train = self.unet, self.scheduler_config.get("num_train_timesteps", 1000)
        guidance, dtype = Guidance.of(request, train, self.cfg_rescale), dtype_of(unet)
        ask = self._denoiser(request, conditioning, size)

        def inputs(*texts: Encoded) -> dict[str, Any]:
            """The UNet's inputs for `texts`; the last is the positive prompt."""
            options = self._unet_inputs(list(texts), size, request.guidance_scale)
            if conditioning.references:
                options["image_tokens"] = image_tokens(conditioning.references, rows=len(texts), like=unet)
            return options

        prompt, negative = conditioning.prompt, conditioning.negative
        alone, both = inputs(prompt), None
        if negative is not None and unet.config.time_cond_proj_dim is None:
            if not self.edits:
                both = inputs(negative, prompt)
            elif request.image_guidance_scale >= 1:
                both = inputs(negative, negative, prompt)

        def predict(x: torch.Tensor, t: torch.Tensor, index: int) -> Generator[ModelCall, None, torch.Tensor]:
            rows = 1 if both is None or not guidance.reaches(t) else len(both["encoder_hidden_states"])
            x = torch.cat([x] * rows)
            if channels is not None:
                x = torch.cat([x, _beside(channels, rows)], dim=1)
            options = alone if both is None or rows == 1 else both
            answer = yield from ask(x.to(dtype), _time(t), **options)
            return guidance.combined(answer.float())

        return predict

    def _denoiser(self, request: Request, conditioning: Conditioning, size: tuple[int, int]) -> Denoiser:
        """The denoiser for one picture: the UNet with its references, controls, swaps and reuse."""
        edit, controls = conditioning.prompt.edit, conditioning.controls
        if conditioning.references or request.pag_scale:
            network: Network = self._looking_at(conditioning.references) if conditioning.references else self.unet
            if request.pag_scale:
                network = perturbing(network, self.unet)
            return following(as_denoiser(network), controls, size, conditioning.calls)
        if request.reuse > 1 and self.halves is not None and edit is None and not controls:
            return reusing(*self.halves, request.reuse)
        network = swapping(self.unet, edit, self.scheduler_config.get("num_train_timesteps", 1000))
        return following(as_denoiser(network), controls, size, conditioning.calls)

    def _looking_at(self, references: tuple[Reference, ...]) -> ReferringUNet:
        """The UNet with IP-Adapters; the same object for all pictures of a batch, which share adapters and scales."""
        key = tuple((id(each.adapter), each.scale) for each in references)
        return self._referring.get_or_compute(key, lambda: ReferringUNet(self.unet, references))

    def encode(self, picture: torch.Tensor) -> torch.Tensor:
        return encode_pixels(self.vae, picture)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return decode_latents(self.vae, latents)

    def cells(self, repaint_mask: torch.Tensor) -> torch.Tensor:
        return cells(repaint_mask, self.factor)

    def extra_channels(
        self, repaint_mask: torch.Tensor, picture: torch.Tensor, encode: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """For inpainting, the mask and the latents of the picture, grey under the mask; for edits, the latents."""
        if self.edits:
            return encode(picture) if self.scales_edited else encode(picture) / self.vae.config.scaling_factor
        cells = self.cells(repaint_mask).to(self.place.device)
        return torch.cat([cells, encode(torch.where(repaint_mask[..., None] == 1, GREY, picture))], dim=1)

    def _text(self, text: str, skip: int = 0) -> Encoded:
        towers = tuple(replace(tower, skip=skip) for tower in self.towers) if skip else self.towers
        return self._texts.get_or_compute((text, skip, self._added), lambda: encode(text, towers))

    def _unet_inputs(self, texts: list[Encoded], size: tuple[int, int], guidance_scale: float) -> dict[str, Any]:
        """The UNet's inputs other than latents and timestep, with one row per text."""
        return {
            "encoder_hidden_states": torch.cat([text.embeds for text in texts]).to(
                self.place.device, dtype_of(self.unet)
            ),
            "timestep_cond": _embedded_scale(self.unet, self.place.device, guidance_scale),
            "added_cond_kwargs": self._added_conditions(texts, size),
        }

    def _added_conditions(self, texts: list[Encoded], size: tuple[int, int]) -> dict[str, torch.Tensor] | None:
        """`added_cond_kwargs` of an XL UNet: the pooled texts, and sizes in the order (height, width)."""
        if not self.size_numbers:
            return None
        width, height = size
        rows = []
        for index in range(len(texts)):
            score = NEGATIVE_SCORE if len(texts) == 2 and index == 0 else SCORE
            last = (score,) if self.size_numbers == 5 else (height, width)
            rows.append((height, width, 0, 0, *last))
        pooled = torch.cat([text.pooled for text in texts if text.pooled is not None])
        device, dtype = self.place.device, dtype_of(self.unet)
        return {"text_embeds": pooled.to(device, dtype), "time_ids": torch.tensor(rows, device=device, dtype=dtype)}


def _beside(channels: torch.Tensor, rows: int) -> torch.Tensor:
    """Repeat `channels` for each of `rows`; the first of three rows, which is unconditional, gets zeros."""
    return torch.cat([torch.zeros_like(channels), channels, channels] if rows == 3 else [channels] * rows)


def _time(t: torch.Tensor) -> torch.Tensor:
    return t.float() if t.dtype == torch.float64 else t  # MPS has no float64


def _embedded_scale(unet: Any, device: torch.device, guidance_scale: float) -> torch.Tensor | None:
    """The guidance scale as `timestep_cond` of a latent consistency UNet, called once a step (Luo et al. 2023, 4.2)."""
    width = unet.config.time_cond_proj_dim
    if width is None:
        return None
    from diffusers.models.embeddings import get_timestep_embedding

    w = torch.tensor([(guidance_scale - 1) * 1000.0], device=device)
    return get_timestep_embedding(w, width, flip_sin_to_cos=False, downscale_freq_shift=1).to(dtype_of(unet))
