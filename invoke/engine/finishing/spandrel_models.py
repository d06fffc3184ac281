"""Models in single files that the library spandrel knows (ESRGAN and its kin, networks for faces), safetensors only."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch

from invoke.engine.hub import on_disk
from invoke.errors import ModelError
from invoke.models import ModelSpec
from invoke.models.header import read_header

_FUNCTIONAL = "torchvision.transforms.functional"


def read_model(spec: ModelSpec, *, extra: str) -> Any:
    """The model in the file of `spec`, as a `spandrel.ImageModelDescriptor` on the CPU.

    Raises ModelError; `extra` is the part of this program that has to be installed where spandrel is missing.
    """
    path = on_disk(spec.name, spec.weights)
    read_header(path)
    spandrel = _spandrel(spec.name, extra)

    from safetensors.torch import load_file

    try:
        # its own reader of files would open pickles as well
        model = spandrel.ModelLoader().load_from_state_dict(spandrel.canonicalize_state_dict(load_file(path)))
    except (spandrel.UnsupportedModelError, RuntimeError, KeyError, ValueError) as error:
        raise ModelError(
            f"{spec.name}: this file holds no network that is known here", code="unknown_family"
        ) from error
    colours = (model.input_channels, model.output_channels) == (3, 3)
    if not isinstance(model, spandrel.ImageModelDescriptor) or not colours:
        raise ModelError(f"{spec.name}: this network makes no colour picture of a colour picture")
    model.model.eval().requires_grad_(False)
    return model


def _spandrel(name: str, extra: str) -> Any:
    if find_spec("spandrel") is None:
        raise ModelError(
            f"{name}: networks in single files need the library spandrel",
            code="not_installed",
            hint=f"pip install 'invoke-shell[{extra}]'",
        )
    with _torchvision():
        import spandrel  # type: ignore[import-not-found,unused-ignore]
    return spandrel


@contextmanager
def _torchvision() -> Iterator[None]:
    """Something for spandrel to import where there is no torchvision.

    Of two dozen architectures one rotates with it and one normalizes; and the torchvision of PyPI for Linux is made
    for CUDA: beside a torch without it, `import diffusers` fails.
    """
    if "spandrel" in sys.modules or find_spec("torchvision") is not None:
        yield
        return
    parts = _FUNCTIONAL.split(".")
    names = [".".join(parts[: depth + 1]) for depth in range(len(parts))]
    functional = ModuleType(_FUNCTIONAL)
    functional.__dict__.update(normalize=_normalize, rotate=None, InterpolationMode=None)
    sys.modules.update({name: ModuleType(name) for name in names} | {_FUNCTIONAL: functional})
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]  # nobody else shall take it for the real one


def _normalize(picture: torch.Tensor, mean: Sequence[float], deviation: Sequence[float]) -> torch.Tensor:
    channels = torch.tensor([mean, deviation], device=picture.device, dtype=picture.dtype)[..., None, None]
    return (picture - channels[0]) / channels[1]
