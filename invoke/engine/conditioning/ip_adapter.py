"""IP-Adapters (Ye et al. 2023): encode pictures as tokens that the UNet attends to in addition to the text's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image

from invoke.engine.components.devices import dtype_of
from invoke.engine.components.hashes import BackgroundHash
from invoke.engine.components.lru_cache import LRUCache
from invoke.engine.conditioning.attention import attending


@dataclass(frozen=True, slots=True, eq=False)
class IPAdapter:
    """A loaded IP-Adapter."""

    projection: Any
    """Maps encoded pictures to tokens with the width of the text's."""
    layers: Mapping[str, torch.Tensor]
    """Name → key and value projection of a UNet layer: `1.to_k_ip.weight`, …"""
    tensors: Mapping[str, torch.Tensor]
    """The projection's tensors under the file's names; diffusers infers the number of tokens from them."""
    weights_hash: BackgroundHash

    @property
    def sees_patches(self) -> bool:
        """Whether it takes the embeddings of all patches (plus and full), not one embedding of the picture."""
        return "proj.weight" not in self.tensors


@dataclass(frozen=True, slots=True, eq=False)
class ImageEncoder:
    """A loaded CLIP image encoder."""

    network: Any
    weights_hash: BackgroundHash
    _seen: LRUCache[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=lambda: LRUCache(16))

    def encode(self, picture: Image.Image, sha256: str, *, patches: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """The embeddings of `picture` and of no picture: 1 × width, or, with `patches`, 1 × patches × width.

        Those of patches come from the penultimate layer.
        """
        return self._seen.get_or_compute((sha256, patches), lambda: self._encoded(picture, patches=patches))

    @torch.no_grad()
    def _encoded(self, picture: Image.Image, *, patches: bool) -> tuple[torch.Tensor, torch.Tensor]:
        from transformers import CLIPImageProcessor

        side = self.network.config.image_size
        read = CLIPImageProcessor(size=side, crop_size=side)
        pixels = torch.from_numpy(np.asarray(read(picture, return_tensors="np").pixel_values)).to(
            self.network.device, dtype_of(self.network)
        )
        if not patches:
            found = self.network(pixels).image_embeds
            return found, torch.zeros_like(found)
        both = (self.network(shown, output_hidden_states=True) for shown in (pixels, torch.zeros_like(pixels)))
        found, nothing = (output.hidden_states[-2] for output in both)
        return found, nothing


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A reference picture for style or subject, with its IP-Adapter and scale."""

    name: str
    adapter: IPAdapter
    encoder_hash: BackgroundHash
    tokens: torch.Tensor
    """1 × 1 × tokens × width."""
    no_tokens: torch.Tensor
    """The tokens of no picture, for the negative side of guidance."""
    sha256: str
    """Of the picture's file."""
    scale: float


@torch.no_grad()
def reference(  # noqa: PLR0913, PLR0917 - what it is made from
    name: str, adapter: IPAdapter, encoder: ImageEncoder, picture: Image.Image, sha256: str, scale: float
) -> Reference:
    """Encode `picture` for `adapter`."""
    own = dtype_of(adapter.projection)
    found = encoder.encode(picture, sha256, patches=adapter.sees_patches)
    tokens, no_tokens = (adapter.projection(each.to(own))[:, None] for each in found)
    return Reference(name, adapter, encoder.weights_hash, tokens, no_tokens, sha256, scale)


class ReferringUNet(torch.nn.Module):
    """A UNet that also attends to `image_tokens`, with separate layers for each of `references`.

    The UNet itself is changed only during a call, so that pictures without references can share it.
    """

    def __init__(self, unet: Any, references: Sequence[Reference]) -> None:
        super().__init__()
        self.unet = unet
        states = [
            {"image_proj": dict(each.adapter.tensors), "ip_adapter": dict(each.adapter.layers)} for each in references
        ]
        every = unet._convert_ip_adapter_attn_to_diffusers(states)
        self._processors = {name: processor for name, processor in every.items() if hasattr(processor, "scale")}
        for processor in self._processors.values():
            processor.scale = [each.scale for each in references]

    def forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor,
        *,
        encoder_hidden_states: torch.Tensor,
        image_tokens: list[torch.Tensor],
        **options: Any,
    ) -> Any:
        """Call the UNet; `image_tokens` has rows × 1 × tokens × width for each reference."""
        with attending(self.unet, self.unet.attn_processors | self._processors):
            return self.unet(sample, timestep, encoder_hidden_states=(encoder_hidden_states, image_tokens), **options)


def image_tokens(references: Sequence[Reference], *, rows: int, like: Any) -> list[torch.Tensor]:
    """The tokens of all `references`, with the device and dtype of `like`; all `rows` but the last have no picture."""
    return [
        torch.cat([*[each.no_tokens] * (rows - 1), each.tokens]).to(like.device, dtype_of(like)) for each in references
    ]


def hashes_of(references: Sequence[Reference]) -> dict[str, str]:
    """Display name → SHA-256 of the weights and pictures. Waits for the hashes of the weights."""
    found = {f"IP-Adapter {each.name}": each.adapter.weights_hash.result() for each in references}
    found |= {f"image encoder of {each.name}": each.encoder_hash.result() for each in references}
    for number, each in enumerate(references, start=1):
        found[f"IP-Adapter picture {number}" if number > 1 else "IP-Adapter picture"] = each.sha256
    return found
