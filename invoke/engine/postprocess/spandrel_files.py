"""Networks in single files, read with the library spandrel: the ESRGAN family, GFPGAN. Safetensors only."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from invoke.errors import ModelError
from invoke.models import ModelSpec
from invoke.models.hub.locate import on_disk
from invoke.models.safetensors_header import read_header

_FUNCTIONAL = "torchvision.transforms.functional"

ANOTHER = "name a network that enlarges, such as real-esrgan-x4"
_PURPOSES = {
    "Restoration": "cleans pictures and keeps their size",
    "FaceSR": "repairs faces (-G)",
}
"""spandrel's purposes of networks, other than enlarging (`SR`)."""
_CODEFORMER, _MORE = "idx_pred_layer.1.weight", "spandrel_extra_arches"


def read_network(spec: ModelSpec, *, extra: str) -> Any:
    """Read the network in the file of `spec`, as a `spandrel.ImageModelDescriptor` on the CPU.

    Raises ModelError; if spandrel is missing, the hint names the `extra` of this package that includes it.
    """
    path = on_disk(spec.name, spec.weights)
    header = read_header(path)
    spandrel = load_spandrel(spec.name, extra)
    if _CODEFORMER in header and find_spec(_MORE) is None:
        raise ModelError(
            f"{spec.name}: this is CodeFormer, whose code is licensed for non-commercial use only: install it yourself",
            code="not_installed",
            hint=f"pip install --no-deps {_MORE}",
        )

    from safetensors.torch import load_file

    try:
        # spandrel's own file reader would also open pickles
        with notices_ignored():
            network = spandrel.ModelLoader().load_from_state_dict(spandrel.canonicalize_state_dict(load_file(path)))
    except (spandrel.UnsupportedModelError, RuntimeError, LookupError, ValueError, AssertionError, TypeError) as error:
        raise ModelError(
            f"{spec.name}: the network in this file is not supported",
            code="unknown_family",
            hint="supported networks are listed at https://github.com/chaiNNer-org/spandrel",
        ) from error
    if not isinstance(network, spandrel.ImageModelDescriptor):
        raise ModelError(
            f"{spec.name}: this is a {network.architecture.name} network, which needs more than a picture",
            code="unknown_family",
            hint=ANOTHER,
        )
    if (network.input_channels, network.output_channels) != (3, 3):
        raise ModelError(
            f"{spec.name}: this {network.architecture.name} network has {network.input_channels} input and "
            f"{network.output_channels} output channels, but colour pictures have 3",
            code="unknown_family",
            hint=ANOTHER,
        )
    network.model.eval().requires_grad_(False)
    return network


@contextmanager
def notices_ignored() -> Iterator[None]:
    """Suppress torch warnings about the code of some architectures, which users cannot fix."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.meshgrid: in an upcoming release", UserWarning)
        warnings.filterwarnings("ignore", "Initializing zero-element tensors", UserWarning)
        yield


def does_not_enlarge(name: str, network: Any) -> ModelError:
    """The error for a network that spandrel knows but that does not enlarge."""
    does = _PURPOSES.get(network.purpose, "does something else")
    what = f"a {network.architecture.name} network that {does}"
    return ModelError(f"{name}: this is {what}; it does not enlarge", code="wrong_kind", hint=ANOTHER)


def load_spandrel(name: str, extra: str) -> Any:
    """Import spandrel, for the network `name`. Raises ModelError if it is missing."""
    if find_spec("spandrel") is None:
        raise ModelError(
            f"{name}: networks in single files need the library spandrel",
            code="not_installed",
            hint=f"pip install 'invoke-shell[{extra}]'",
        )
    with _torchvision():
        import spandrel

        if find_spec(_MORE) is not None:
            import_module(_MORE).install(ignore_duplicates=True)
    return spandrel


@contextmanager
def _torchvision() -> Iterator[None]:
    """Give spandrel a stub to import if torchvision is missing.

    Only two of forty architectures use torchvision, and only in calls through spandrel, which we do not make. Its usual
    build for Linux needs CUDA: with a CPU-only torch, it makes `import diffusers` fail.
    """
    if "spandrel" in sys.modules or find_spec("torchvision") is not None:
        yield
        return
    parts = _FUNCTIONAL.split(".")
    names = [".".join(parts[: depth + 1]) for depth in range(len(parts))]
    functional = ModuleType(_FUNCTIONAL)
    functional.__dict__.update(dict.fromkeys(("normalize", "rotate", "InterpolationMode")))
    sys.modules.update({name: ModuleType(name) for name in names} | {_FUNCTIONAL: functional})
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]  # no other code must find the stub
