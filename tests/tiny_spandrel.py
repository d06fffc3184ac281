"""Tiny networks of the architectures that spandrel knows, with random weights, by its own classes."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from invoke.engine.postprocess.spandrel_files import load_spandrel, notices_ignored

_SWIN = {
    "embed_dim": 16,
    "num_heads": [2],
    "mlp_ratio": 2.0,
    "img_size": 16,
    "window_size": 8,
    "depths": [2],
    "upsampler": "pixelshuffle",
}


def _class(architecture: str, module: str, name: str) -> Callable[..., Any]:
    load_spandrel("tiny", "upscale")
    found: Callable[..., Any] = getattr(import_module(f"spandrel.architectures.{architecture}.__arch.{module}"), name)
    return found


def _kinds(name: str, module: str, cls: str = "", **options: Any) -> Callable[..., Any]:
    return lambda **more: _class(name, module, cls or name)(**(options | more))


ARCHITECTURES: Mapping[str, tuple[Callable[..., Any], str]] = {
    "Compact": (_kinds("Compact", "SRVGG", "SRVGGNetCompact", num_feat=8, num_conv=2), "upscale"),
    "SPAN": (_kinds("SPAN", "span", num_in_ch=3, num_out_ch=3, feature_channels=8), "upscale"),
    "PLKSR": (_kinds("PLKSR", "PLKSR", dim=16, n_blocks=2), "upscaling_factor"),
    "RealPLKSR": (_kinds("PLKSR", "RealPLKSR", "RealPLKSR", dim=16, n_blocks=2), "upscaling_factor"),
    "OmniSR": (_kinds("OmniSR", "OmniSR", num_feat=16, block_num=1, res_num=1), "up_scale"),
    "SwinIR": (_kinds("SwinIR", "SwinIR", **_SWIN), "upscale"),
    "Swin2SR": (_kinds("Swin2SR", "Swin2SR", **_SWIN), "upscale"),
    "DAT": (
        _kinds("DAT", "DAT", img_size=16, embed_dim=16, depth=[2], num_heads=[2], split_size=[4, 8]),
        "upscale",
    ),
    "HAT": (_kinds("HAT", "HAT", **_SWIN, compress_ratio=4, squeeze_factor=4), "upscale"),
    "ATD": (_kinds("ATD", "atd_arch", **_SWIN, num_tokens=8, reducted_dim=4), "upscale"),
    "DRCT": (_kinds("DRCT", "drct_arch", **_SWIN, gc=8), "upscale"),
    "RGT": (_kinds("RGT", "rgt", img_size=16, embed_dim=16, depth=[2], num_heads=[2], split_size=[4, 8]), "upscale"),
    "SAFMN": (_kinds("SAFMN", "safmn", dim=16, n_blocks=2), "upscaling_factor"),
    "RCAN": (_kinds("RCAN", "rcan_arch", n_resgroups=1, n_resblocks=1, n_feats=16, reduction=4), "scale"),
    "MoSR": (_kinds("MoSR", "mosr_arch", n_block=2, dim=16), "upscale"),
    "SeemoRe": (_kinds("SeemoRe", "seemore_arch", num_layers=1, embedding_dim=16), "scale"),
    "CRAFT": (_kinds("CRAFT", "CRAFT", embed_dim=12, depths=[2], num_heads=[6]), "upscale"),
    "SwiftSRGAN": (_kinds("SwiftSRGAN", "SwiftSRGAN", "Generator", num_channels=8, num_blocks=1), "upscale_factor"),
    "DITN": (_kinds("DITN", "DITN_Real", "DITN_Real", dim=12, ITL_blocks=1, SAL_blocks=1), "upscale"),
    "RealCUGAN": (_kinds("RealCUGAN", "upcunet_v3", "UpCunet2x", in_channels=3, out_channels=3), ""),
}
"""Name → a function that makes a network, and its argument for the factor (none if fixed)."""
FAR_LOOKING = frozenset({"OmniSR", "HAT", "RCAN", "SAFMN", "CRAFT", "DITN", "RealPLKSR", "RealCUGAN", "ATD"})
"""Networks with channel attention, normalisation or pooling over the whole picture."""


def save(path: Path, name: str, scale: int = 4) -> Path:
    """A network of the architecture `name` that enlarges `scale` times, as one file."""
    make, factor = ARCHITECTURES[name]
    return _save(path, lambda: make(**({factor: scale} if factor else {})))


def save_grey(path: Path) -> Path:
    """One for pictures without colour."""
    return _save(path, lambda: ARCHITECTURES["Compact"][0](num_in_ch=1, num_out_ch=1))


def _save(path: Path, make: Callable[[], Any]) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        with notices_ignored():
            network = make()
    save_file({key: tensor.contiguous().clone() for key, tensor in network.state_dict().items()}, path)
    return path
