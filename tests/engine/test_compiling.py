"""`--compile` on a CPU by torch: weights are constants of the code, so a LoRA needs the uncompiled network."""

import pytest
import torch

from invoke.engine.adapters.lora_layouts import Change
from invoke.engine.adapters.merging import MergedWeights
from invoke.engine.components.compiling import Inductor, has_cxx


class Tiny(torch.nn.Module):
    """A network that dynamo does not skip, as it does torch's own containers."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(4, 8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.convolution(x)  # nothing but what needs no C++ to be compiled


@pytest.mark.slow
@pytest.mark.skipif(not has_cxx(), reason="there is no C++ compiler here")
def test_a_compiled_network_draws_with_and_without_a_lora(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor import config

    monkeypatch.setattr(config, "freezing", False)  # put back afterwards
    torch.manual_seed(0)
    network = Tiny().eval().requires_grad_(False)
    numbers, difference = torch.rand(2, 4, 16, 16), torch.rand(8, 4, 3, 3)
    Inductor().compile(network, torch.device("cpu"))
    weight = network.convolution.weight.clone()

    @torch.inference_mode()
    def error(expected: torch.Tensor) -> float:
        drawn = torch.nn.functional.conv2d(numbers, expected, network.convolution.bias)
        return (network(numbers) - drawn).abs().max().item()

    assert error(weight) < 1e-6
    loras = MergedWeights("tiny", {"unet": network})
    loras.merge([("lora", {("unet", "convolution"): Change({"diff": difference}, scale=1.0)}, 0.5)])
    assert error(weight + 0.5 * difference) < 1e-6
    loras.restore()
    assert error(weight) < 1e-6
    network.convolution.weight.add_(1)
    assert error(weight) < 1e-6, "the code holds copies; if it did not, the lines above would show nothing"
