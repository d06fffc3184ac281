"""ControlNets (Zhang et al. 2023): turn a control image into residuals that are added to the UNet."""

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
"""Residuals for the UNet's down blocks, then for its mid block: each 1 or more × channels × height × width."""


@dataclass(frozen=True, slots=True, eq=False)
class Control:
    """A loaded ControlNet with its control image and scale."""

    name: str
    network: Any
    weights_hash: BackgroundHash
    picture: Image.Image
    """Mode RGB, of any size."""
    sha256: str
    """Of the picture's file; "" if it was detected in the init image."""
    scale: float
    window: tuple[float, float] = (0.0, 1.0)
    """The fractions of the calls at which it starts and ends."""
    mode: int | None = None
    """For a union ControlNet: the number of the mode."""

    def speaks(self, index: int, calls: int) -> bool:
        """Whether it is active at the call `index` (diffusers' `control_guidance_start` and `_end`)."""
        start, end = self.window
        return start <= index / calls and (index + 1) / calls <= end

    def shown(self, size: tuple[int, int]) -> torch.Tensor:
        """The picture as network input, scaled to cover `size` (width, height): 0..1, 1 × 3 × height × width."""
        levels = torch.from_numpy(np.array(prepare(self.picture, *size))).permute(2, 0, 1)[None]
        return (levels.float() / 255).to(self.network.device, dtype_of(self.network))

    def residuals(
        self, picture: torch.Tensor, x: torch.Tensor, t: torch.Tensor, options: Mapping[str, Any]
    ) -> Generator[ModelCall, None, Residuals]:
        """The residuals for latents `x` at timestep `t`, with the text in `options`.

        With global pooling, the residuals of the negative prompt are zeros, as in diffusers.
        """
        network, rows, dtype, own_dtype = self.network, len(x), x.dtype, dtype_of(self.network)
        inputs = {name: options[name] for name in ("encoder_hidden_states", "added_cond_kwargs")}
        options = mapped(inputs, lambda tensor: tensor.to(own_dtype))
        if network.config.global_pool_conditions:
            x, options = x[-1:], mapped(options, lambda tensor: tensor[-1:])
        x = x[:, : network.config.in_channels].to(own_dtype)  # drop the extra channels of an inpainting UNet
        picture = picture.expand(len(x), -1, -1, -1)
        shown = {"controlnet_cond": picture, "conditioning_scale": self.scale} | self._as_union(picture)
        down, middle = yield from call_model(network, x, t, **shown, **options)
        outputs = [residual.to(dtype) for residual in (*down, middle)]
        if len(x) == rows:
            return outputs
        return [torch.cat([torch.zeros_like(residual), residual]) for residual in outputs]

    def _as_union(self, picture: torch.Tensor) -> dict[str, Any]:
        """The arguments of a union ControlNet instead: a list of pictures, and the mode of each."""
        if self.mode is None:
            return {}
        kinds = torch.zeros(len(picture), self.network.config.num_control_type, device=picture.device)
        kinds[:, self.mode] = 1
        inputs = {"controlnet_cond": [picture], "conditioning_scale": [self.scale]}
        return inputs | {"control_type": kinds.to(picture.dtype), "control_type_idx": [self.mode]}


def following(ask: Denoiser, controls: Sequence[Control], size: tuple[int, int], calls: int) -> Denoiser:
    """Wrap `ask`, called `calls` times per picture, to add the summed residuals of all `controls` at `size`.

    Returns `ask` itself if there are no controls.
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
    """Display name → SHA-256 of the weights and pictures. Waits for the hashes of the weights."""
    found = {f"ControlNet {control.name}": control.weights_hash.result() for control in controls}
    for number, control in enumerate(controls, start=1):
        if control.sha256:
            found[f"control picture {number}" if number > 1 else "control picture"] = control.sha256
    return found
