"""Replays a network's call from a recording instead of running its modules; one recording per input shape.

What a recording is depends on the device: a CUDA graph (`cuda_graphs.py`) or a list of operations (`flat_calls.py`).
Results are bit-identical: each recording is checked against an eager call when it is made; if it differs, its shape is
always computed eagerly.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import torch

from invoke.engine.components.lru_cache import LRUCache
from invoke.engine.components.tensor_tree import shape, tensors
from invoke.engine.sampling.model_call import ModelCall, Outputs, run_eager

MOST = 8
"""Recordings kept for each network: CUDA graphs hold their intermediate results in memory."""

Replay = Callable[[ModelCall], Outputs]
"""Computes a call with the shapes of the recorded one."""
Capture = Callable[[ModelCall], Replay]
"""Records a call. Raises RuntimeError if it cannot be recorded. The result must not reference the network itself."""


@dataclass
class RecordedCalls:
    """An executor that records the second call of each shape, and replays it from the third on."""

    capture: Capture
    _shapes: "WeakKeyDictionary[torch.nn.Module, LRUCache[_Shape]]" = field(default_factory=WeakKeyDictionary)

    def __call__(self, call: ModelCall) -> Outputs:
        """See `model_call.Executor`."""
        network = call.network
        if not isinstance(network, torch.nn.Module) or not is_as_loaded(network):
            return run_eager(call)
        if (shapes := self._shapes.get(network)) is None:
            shapes = self._shapes[network] = LRUCache(MOST)
        key = shape((call.sample, call.timestep, call.options))
        return shapes.get_or_compute(key, lambda: _Shape(self.capture)).answer(call)

    def clear(self) -> None:
        self._shapes.clear()


def inputs_of_call(call: ModelCall) -> list[torch.Tensor]:
    """All tensors that `call` passes to its network, in a fixed order."""
    return [call.sample, call.timestep, *tensors(call.options)]


def is_as_loaded(network: torch.nn.Module) -> bool:
    """Whether `network` has no hooks or changes that a recording would miss or repeat."""
    network = network._modules.get("unet") or network  # unwrap, e.g. DeepCache
    first, blocks = network._modules.get("conv_in"), network._modules.get("up_blocks")
    block = None if blocks is None else blocks._modules.get("0")
    own = vars(network)  # asking a module for an attribute that it lacks is slow
    return not (
        own.get("peft_config")  # LoRAs
        or "_hf_hook" in own
        or "onload_device" in own  # offloaded
        or (block is not None and vars(block).get("b1"))  # `--freeu`
        or (first is not None and "_conv_forward" in vars(first))  # `--seamless`
    )


class _Shape:
    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._seen = 0
        self._replay: Replay | None = None

    def answer(self, call: ModelCall) -> Outputs:
        self._seen += 1
        if self._seen == 2:  # a single call is not worth recording
            return self._recorded(call)
        return run_eager(call) if self._replay is None else self._replay(call)

    def _recorded(self, call: ModelCall) -> Outputs:
        answer = run_eager(call)
        try:
            replay = self._capture(call)
            if all(torch.equal(mine, its) for mine, its in zip(tensors(replay(call)), tensors(answer), strict=True)):
                self._replay = replay
        except RuntimeError:  # something in it cannot be recorded, or memory ran out
            pass
        return answer
