"""ControlNets (Zhang et al. 2023): a control image becomes residuals that are added to the UNet."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import torch
from PIL import Image

from invoke.engine.components.devices import dtype_of
from invoke.engine.components.hashes import BackgroundHash
from invoke.engine.components.tensor_tree import mapped
from invoke.engine.sampling.model_call import Denoiser, ModelCall, call_model
from invoke.images import prepare

Residuals = list[torch.Tensor]
"""What is added to each block of the UNet's first half, then to its middle: 1 or more × channels × height × width."""


@dataclass(frozen=True, slots=True, eq=False)
class Control:
    """A loaded ControlNet, the picture that it follows, and how strongly."""

    name: str
    network: Any
    weights_hash: BackgroundHash
    picture: Image.Image
    """Mode RGB, of any size."""
    sha256: str
    """Of the picture's file; "" where it was found in the init picture."""
    scale: float
    window: tuple[float, float] = (0.0, 1.0)
    """The shares of the calls between which it is followed."""
    mode: int | None = None
    """Of a ControlNet union: the number of the kind of picture that it follows."""

    def speaks(self, index: int, calls: int) -> bool:
        """Whether it is followed at the call of this index (diffusers' `control_guidance_start` and `_end`)."""
        start, end = self.window
        return start <= index / calls and (index + 1) / calls <= end

    def shown(self, size: tuple[int, int]) -> torch.Tensor:
        """The picture as the network sees it, scaled to cover `size` (width, height): 0..1, 1 × 3 × height × width."""
        levels = torch.from_numpy(np.array(prepare(self.picture, *size))).permute(2, 0, 1)[None]
        return (levels.float() / 255).to(self.network.device, dtype_of(self.network))

    def residuals(
        self, picture: torch.Tensor, x: torch.Tensor, t: torch.Tensor, options: Mapping[str, Any]
    ) -> Generator[ModelCall, None, Residuals]:
        """The residuals for latents `x` at timestep `t`, with the text in `options`.

        One with global pooling gives zeros for the negative prompt, as in diffusers.
        """
        network, rows, dtype, own_dtype = self.network, len(x), x.dtype, dtype_of(self.network)
        inputs = {name: options[name] for name in ("encoder_hidden_states", "added_cond_kwargs")}
        options = mapped(inputs, lambda tensor: tensor.to(own_dtype))
        if network.config.global_pool_conditions:
            x, options = x[-1:], mapped(options, lambda tensor: tensor[-1:])
        x = x[:, : network.config.in_channels].to(own_dtype)  # an inpainting UNet sees more than latents
        picture = picture.expand(len(x), -1, -1, -1)
        shown = {"controlnet_cond": picture, "conditioning_scale": self.scale} | self._as_union(picture)
        down, middle = yield from call_model(network, x, t, **shown, **options)
        outputs = [residual.to(dtype) for residual in (*down, middle)]
        if len(x) == rows:
            return outputs
        return [torch.cat([torch.zeros_like(residual), residual]) for residual in outputs]

    def _as_union(self, picture: torch.Tensor) -> dict[str, Any]:
        """What a union is told instead: its pictures one by one, and what kind each is."""
        if self.mode is None:
            return {}
        kinds = torch.zeros(len(picture), self.network.config.num_control_type, device=picture.device)
        kinds[:, self.mode] = 1
        inputs = {"controlnet_cond": [picture], "conditioning_scale": [self.scale]}
        return inputs | {"control_type": kinds.to(picture.dtype), "control_type_idx": [self.mode]}


def following(ask: Denoiser, controls: Sequence[Control], size: tuple[int, int], calls: int) -> Denoiser:
    """`ask`, which is asked `calls` times for one picture, with the residuals of all `controls` at `size` added up.

    `ask` itself where there are none.
    """
    if not controls:
        return ask
    pictures = [control.shown(size) for control in controls]
    turns = count()

    def ask_with_residuals(
        sample: torch.Tensor, timestep: torch.Tensor, **options: Any
    ) -> Generator[ModelCall, None, torch.Tensor]:
        residuals, index = [], next(turns)
        for control, picture in zip(controls, pictures, strict=True):
            if not control.speaks(index, calls):
                continue
            residuals.append((yield from control.residuals(picture, sample, timestep, options)))
        if not residuals:
            return (yield from ask(sample, timestep, **options))
        *down, middle = (sum(layer[1:], layer[0]) for layer in zip(*residuals, strict=True))
        options |= {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        return (yield from ask(sample, timestep, **options))

    return ask_with_residuals


def hashes_of(controls: Sequence[Control]) -> dict[str, str]:
    """What they are made from, for people → SHA-256. Waits for those of the weights."""
    found = {f"ControlNet {control.name}": control.weights_hash.result() for control in controls}
    for number, control in enumerate(controls, start=1):
        if control.sha256:
            found[f"control picture {number}" if number > 1 else "control picture"] = control.sha256
    return found
