"""Networks that wait in the CPU's memory until they are needed (`--offload`).

`model`: whole networks come to the device when they are called, and those that belong to another part of the work
leave it. `sequential`: each layer comes and goes by itself, which is slow and takes next to no memory.
Both through accelerate's hooks, as diffusers' `enable_model_cpu_offload` and `enable_sequential_cpu_offload` do.
"""

from typing import Any
from weakref import WeakSet

import torch
from accelerate import cpu_offload
from accelerate.hooks import ModelHook, add_hook_to_module
from accelerate.utils import send_to_device

from invoke.options import Offload

PARTS = {"UNet2DConditionModel": "denoiser", "ControlNetModel": "denoiser", "AutoencoderKL": "vae", "VQModel": "vae"}
"""What may be on the device together; every other network reads or looks (text encoders, priors, CLIPSeg)."""

_on_device: "WeakSet[torch.nn.Module]" = WeakSet()


def offloaded(network: Any, device: torch.device, how: Offload) -> Any:
    """`network`, which is on `device` from now on, or comes there when it is called."""
    if how == "none":
        return network.to(device)
    network.to("cpu")
    if how == "sequential":
        cpu_offload(network, device, offload_buffers=True)
        return network
    return add_hook_to_module(network, _OnePartAtATime(device, PARTS.get(type(network).__name__, "reader")))


class _OnePartAtATime(ModelHook):  # type: ignore[misc] # accelerate has no types
    """Brings its network to the device before it is called, and sends those of other parts away."""

    def __init__(self, device: torch.device, part: str) -> None:
        self.device, self.part = device, part
        self.execution_device = device  # where diffusers' own pipelines look for it

    def pre_forward(self, module: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        for other in list(_on_device):
            if other._hf_hook.part != self.part:  # type: ignore[union-attr]
                other.to("cpu")
                _on_device.discard(other)
        if module not in _on_device:
            module.to(self.device)
            _on_device.add(module)
        return send_to_device(args, self.device), send_to_device(kwargs, self.device)
