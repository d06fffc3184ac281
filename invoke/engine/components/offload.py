"""Offloading: networks stay in the CPU's memory until they are needed (`--offload`).

`model` moves a whole network to the device when it is called, and moves networks of other stages away. `group` moves
the blocks of a denoiser one after another, and the layers of all networks that read; VAEs stay on the device.
`sequential` moves each layer by itself, which is slow but needs very little memory. `group` is diffusers'
`apply_group_offloading`, without streams; the others use accelerate's hooks, like diffusers'
`enable_model_cpu_offload` and `enable_sequential_cpu_offload`.
"""

from typing import Any
from weakref import WeakSet

import torch
from accelerate import cpu_offload
from accelerate.hooks import ModelHook, add_hook_to_module
from accelerate.utils import send_to_device

from invoke.options import Offload

PARTS = {"UNet2DConditionModel": "denoiser", "ControlNetModel": "denoiser", "AutoencoderKL": "vae", "VQModel": "vae"}
"""Networks with the same value may share the device; all others (text encoders, priors, CLIPSeg) are readers."""

_on_device: "WeakSet[torch.nn.Module]" = WeakSet()


def offloaded(network: Any, device: torch.device, how: Offload) -> Any:
    """Move `network` to `device`, or hook it so that it moves there when called."""
    if how == "none":
        return network.to(device)
    network.to("cpu")
    if how == "sequential":
        cpu_offload(network, device, offload_buffers=True)
        return network
    if how == "group":
        return _in_groups(network, device)
    return add_hook_to_module(network, _OnePartAtATime(device, PARTS.get(type(network).__name__, "reader")))


def _in_groups(network: Any, device: torch.device) -> Any:
    """Hook `network` so that its groups move to `device` when they are called.

    A VAE, whose `decode` calls its blocks past their groups, is moved there as a whole.
    """
    from diffusers import ModelMixin
    from diffusers.hooks.group_offloading import apply_group_offloading

    if hasattr(network, "decode"):
        return network.to(device)
    denoises = isinstance(network, ModelMixin)
    apply_group_offloading(
        network, device, offload_type="block_level" if denoises else "leaf_level", num_blocks_per_group=1
    )
    network.onload_device = device  # see `devices.inputs_of`
    return network


class _OnePartAtATime(ModelHook):  # type: ignore[misc] # accelerate has no types
    """Moves its network to the device before a call, and moves the networks of other parts to the CPU."""

    def __init__(self, device: torch.device, part: str) -> None:
        self.device, self.part = device, part
        self.execution_device = device  # read by diffusers' own pipelines

    def pre_forward(self, module: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        for other in list(_on_device):
            if other._hf_hook.part != self.part:  # type: ignore[union-attr]
                other.to("cpu")
                _on_device.discard(other)
        if module not in _on_device:
            module.to(self.device)
            _on_device.add(module)
        return send_to_device(args, self.device), send_to_device(kwargs, self.device)
