"""Face networks with random weights: the real classes, narrow if possible, and the real file formats."""

from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from invoke.engine.postprocess.spandrel_files import load_spandrel


def narrow_gfpgan(patch: pytest.MonkeyPatch) -> None:
    """Have spandrel build GFPGAN with a sixteenth of its channels: as it is, its file has 350 MB."""
    load_spandrel("gfpgan", "faces")
    from spandrel.architectures import GFPGAN

    whole = GFPGAN.GFPGAN

    def narrow(*, narrow: float, **given: Any) -> Any:
        return whole(**given, narrow=1 / 16)

    patch.setattr(GFPGAN, "GFPGAN", narrow)


def gfpgan_state(seed: int = 4) -> dict[str, torch.Tensor]:
    """Of a narrow one. The noise that it adds, which starts at 0, is made to be seen."""
    load_spandrel("gfpgan", "faces")
    from spandrel.architectures.GFPGAN import GFPGAN

    state = _state(partial(GFPGAN, narrow=1 / 16), seed)
    return {name: value + 0.1 if _is_noise(name, value) else value for name, value in state.items()}


def save_gfpgan(path: Path, seed: int = 4) -> Path:
    save_file(gfpgan_state(seed), path)
    return path


def save_gfpgan_pickle(path: Path) -> Path:
    """As GFPGAN's makers publish it."""
    torch.save({"params_ema": OrderedDict(gfpgan_state())}, path)
    return path


def save_restoreformer(path: Path) -> Path:
    """As small as its file can tell it to be: 2 MB."""
    load_spandrel("restoreformer", "faces")
    from spandrel.architectures.RestoreFormer import RestoreFormer

    small = {"ch": 32, "ch_mult": (1,) * 6, "num_res_blocks": 1, "attn_resolutions": (16,), "resolution": 512}
    codes = {"n_embed": 8, "embed_dim": 8, "z_channels": 8}
    save_file(_state(partial(RestoreFormer, **small, **codes), 5), path)
    return path


def save_codeformer(path: Path) -> Path:
    """Of one layer: its width is fixed, 300 MB. It is made where the user has installed it."""
    load_spandrel("codeformer", "faces")
    from spandrel_extra_arches.architectures.CodeFormer import CodeFormer

    save_file(_state(partial(CodeFormer, n_layers=1, codebook_size=16), 6), path)
    return path


def _state(build: Any, seed: int) -> dict[str, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return {name: value.contiguous().clone() for name, value in build().state_dict().items()}


def _is_noise(name: str, value: torch.Tensor) -> bool:
    return name.startswith("stylegan_decoder.style_conv") and name.endswith(".weight") and value.shape == (1,)
