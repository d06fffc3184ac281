"""Networks compiled by torch (`--compile`).

On a CPU the weights become constants of the compiled code (inductor's `freezing`), which makes it faster. While such a
network has other weights, such as a LoRA's, the compiled code must not run: the network runs uncompiled.
"""

from collections.abc import Callable
from typing import Any

import torch


def compile_network(network: torch.nn.Module, device: torch.device) -> None:
    """Compile `network`, which runs on `device`, at the first call with each size."""
    if device.type == "cpu":
        import torch._inductor.config

        torch._inductor.config.freezing = True  # process-wide: dynamo reads it before a network's own options
    network.compile()


def without_constants(network: torch.nn.Module) -> Callable[[], None]:
    """Run `network` uncompiled if its compiled code holds copies of its weights; call the result to undo this."""
    code: Any = network._compiled_call_impl
    if code is not None and next(network.parameters()).device.type == "cpu":
        network._compiled_call_impl = None

    def end() -> None:
        network._compiled_call_impl = code

    return end
