"""Reads the transformer of a model from a GGUF file, through diffusers."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from invoke.engine.components.devices import Placement, is_out_of_memory
from invoke.errors import ModelError
from invoke.models.folder import ModelFolder
from invoke.models.gguf import PART, check_gguf

_LOADER = "diffusers.loaders.single_file_model"
"""The module of diffusers that reads single files, and the name of its logger."""
_UNUSED = "Some weights of the model checkpoint were not used"
"""How it begins to say that the network has no place for some weights: it raises nothing."""


def read_gguf(name: str, file: Path, folder: ModelFolder, place: Placement) -> Any:
    """Read the transformer of the model `name`: weights from `file`, config from `folder`.

    The weights of its linear layers stay quantised; each is dequantised when its layer runs. Raises ModelError.
    """
    import diffusers
    from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES

    check_gguf(name, file, folder.family)
    kind = folder.kinds.get(PART, "none")
    if kind not in SINGLE_FILE_LOADABLE_CLASSES:
        raise ModelError(
            f"{name}: diffusers cannot read GGUF files of its transformer ({kind})",
            code="not_taken",
            hint=f"!edit_model {name} gguf= uses its own weights again; --quantize int8 halves them",
        )
    architecture = _checked(name, file)
    misfit = ModelError(
        f"{name}: {file.name} does not fit its transformer ({kind})",
        hint=f"the file says that its architecture is {architecture!r}; name one that was made of this model",
    )
    with _unused_weights() as unused:
        try:
            network = getattr(diffusers, kind).from_single_file(
                str(file),
                config=str(folder.path),
                subfolder=PART,
                quantization_config=diffusers.GGUFQuantizationConfig(place.dtype),  # type: ignore[no-untyped-call]
                dtype=place.dtype,
                local_files_only=True,
            )
        except (ValueError, LookupError, RuntimeError) as error:  # other names or shapes, or weights that are missing
            if is_out_of_memory(error):
                raise
            raise misfit from error
    if unused:  # that of a model which is like it, but does not mean the same
        raise misfit
    _dequantise_outside_linear_layers(network, place.dtype)
    return network


def _checked(name: str, file: Path) -> str:
    """The architecture that `file` states. Raises ModelError if it is incomplete or packed in an unsupported way."""
    from diffusers.quantizers.gguf.utils import SUPPORTED_GGUF_QUANT_TYPES, UNQUANTIZED_TYPES
    from gguf import GGUFReader

    try:
        reader = GGUFReader(file)
        types = {tensor.tensor_type for tensor in reader.tensors}
        field = reader.get_field("general.architecture")
        architecture = str(field.contents()) if field else "unknown"
    except (ValueError, LookupError, OverflowError, MemoryError) as error:
        raise ModelError(
            f"{name}: {file} is not a whole GGUF file", hint="download it again, or name another one"
        ) from error
    unread = sorted(kind.name for kind in types - {*SUPPORTED_GGUF_QUANT_TYPES, *UNQUANTIZED_TYPES})
    if unread:
        raise ModelError(
            f"{name}: diffusers cannot read weights of the type {unread[0]}, which {file.name} holds",
            code="not_taken",
            hint="take a file whose name says Q8_0, Q6_K, Q5_K, Q4_K, Q3_K or Q2_K",
        )
    return architecture


@contextmanager
def _unused_weights() -> Iterator[list[str]]:
    """What diffusers says meanwhile about weights of a single file that it has not used; it is not logged."""
    said: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        is_meant = record.getMessage().startswith(_UNUSED)
        if is_meant:
            said.append(record.getMessage())
        return not is_meant

    logger = logging.getLogger(_LOADER)
    level = logger.level
    logger.setLevel(logging.WARNING)
    logger.addFilter(keep)
    try:
        yield said
    finally:
        logger.removeFilter(keep)
        logger.setLevel(level)


def _dequantise_outside_linear_layers(network: Any, dtype: torch.dtype) -> None:
    """Only linear layers can dequantise their weight when they run: norms, biases and others get theirs now."""
    from diffusers.quantizers.gguf.utils import GGUFLinear, GGUFParameter, dequantize_gguf_tensor

    for module in network.modules():
        for held in (module._parameters, module._buffers):
            for name, tensor in held.items():
                if isinstance(tensor, GGUFParameter) and not (isinstance(module, GGUFLinear) and name == "weight"):
                    plain = dequantize_gguf_tensor(tensor).to(dtype)  # type: ignore[no-untyped-call]
                    held[name] = torch.nn.Parameter(plain, requires_grad=False) if held is module._parameters else plain
