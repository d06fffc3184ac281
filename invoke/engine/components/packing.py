"""Packed weights: convolutions and linear layers keep their weights in oneDNN's blocked layout.

In eager mode oneDNN reorders a layer's weights into its own blocked layout at every call, which takes a fifth of a call
of Stable Diffusion 1.5's UNet at 256×256. Packing does this once. The kernels stay the same and results are
bit-identical (`tests/engine/test_packing.py`); only one copy of the weights is kept. Only layers for which this is
known to hold are packed: bfloat16 on a CPU with instructions for it. In float32 small products do not use oneDNN.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it

LEAST = 16**3
"""In eager mode, products of at most this many multiplications do not use oneDNN."""


class PackedConv2d(torch.nn.Conv2d):
    """A convolution whose `weight` is packed."""

    def _conv_forward(self, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return conv2d(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)


class PackedLinear(torch.nn.Linear):
    """A linear layer whose `weight` is packed."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        linear: torch.Tensor = torch.ops.mkldnn._linear_pointwise(input, self.weight, self.bias, "none", [], "")
        return linear


def conv2d(  # noqa: PLR0913, PLR0917 - torch.nn.functional.conv2d's own
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int] | str,
    dilation: Sequence[int],
    groups: int,
) -> torch.Tensor:
    """torch.nn.functional.conv2d, whether `weight` is packed or not."""
    if not weight.is_mkldnn:
        return F.conv2d(x, weight, bias, tuple(stride), padding, tuple(dilation), groups)
    convolve = torch.ops.mkldnn._convolution_pointwise
    result: torch.Tensor = convolve(x, weight, bias, padding, stride, dilation, groups, "none", [], "")
    return result


def can_pack() -> bool:
    """Whether this build of torch multiplies bfloat16 with oneDNN on this CPU."""
    has_packing = hasattr(torch.ops.mkldnn, "_linear_pointwise") and torch._C._has_mkldnn
    return has_packing and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def pack(network: torch.nn.Module) -> None:
    """Pack every packable layer of `network`; packing again has no effect."""
    if not can_pack():
        return
    for layer in network.modules():
        if not _is_packable(layer):
            continue
        with torch.no_grad():
            if isinstance(layer, torch.nn.Conv2d):
                assert not isinstance(layer.padding, str)
                shape = list(layer.padding), list(layer.stride), list(layer.dilation), layer.groups
                packed = torch.ops.mkldnn._reorder_convolution_weight(layer.weight, *shape, None)
                layer.__class__ = PackedConv2d
            else:
                packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight, None)
                layer.__class__ = PackedLinear
            layer.weight = torch.nn.Parameter(packed, requires_grad=False)


def unpack(network: torch.nn.Module) -> None:
    """Restore the plain weight of every packed layer of `network`, bit-identically."""
    for layer in network.modules():
        if isinstance(layer, PackedConv2d | PackedLinear):
            weight = layer.weight.to_dense()
            if isinstance(layer, PackedConv2d):
                weight = weight.contiguous(memory_format=torch.channels_last)
            layer.__class__ = type(layer).__base__  # type: ignore[assignment]
            layer.weight = torch.nn.Parameter(weight, requires_grad=False)


@contextmanager
def unpacked(*networks: torch.nn.Module) -> Iterator[None]:
    """Context in which the weights of `networks` are plain tensors that can be changed; they are repacked on exit."""
    were_packed = [layer for network in networks for layer in network.modules() if _is_packed(layer)]
    for layer in were_packed:
        unpack(layer)
    try:
        yield
    finally:
        for layer in were_packed:
            pack(layer)


def _is_packed(layer: torch.nn.Module) -> bool:
    return isinstance(layer, PackedConv2d | PackedLinear)


def _is_packable(layer: torch.nn.Module) -> bool:
    """Whether a plain call of `layer` would use oneDNN, and the layer is neither subclassed nor hooked."""
    if type(layer) not in (torch.nn.Conv2d, torch.nn.Linear):
        return False
    weight = layer.weight
    assert isinstance(weight, torch.Tensor)
    if weight.device.type != "cpu" or weight.dtype != torch.bfloat16 or hasattr(layer, "_hf_hook"):
        return False
    if isinstance(layer, torch.nn.Conv2d):
        return layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return weight.numel() > LEAST
