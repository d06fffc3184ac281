"""Networks compiled by torch (`--compile`).

On a CPU the weights become constants of the compiled code (inductor's `freezing`), which is where its gain comes from.
While such a network has other weights, as with a LoRA, its code must not run: it draws uncompiled.
"""

from collections.abc import Callable
from typing import Any

import torch


def compile_network(network: torch.nn.Module, device: torch.device) -> None:
    """Have `network`, which computes on `device`, compiled at the first call of each size."""
    if device.type == "cpu":
        import torch._inductor.config

        torch._inductor.config.freezing = True  # for the process: dynamo reads it before a network's own options
    network.compile()


def without_constants(network: torch.nn.Module) -> Callable[[], None]:
    """Have `network` run uncompiled where its compiled code holds copies of its weights; the result ends that."""
    code: Any = network._compiled_call_impl
    if code is not None and next(network.parameters()).device.type == "cpu":
        network._compiled_call_impl = None

    def end() -> None:
        network._compiled_call_impl = code

    return end
