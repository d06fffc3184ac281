"""Quantised weights: the library for each kind, what this machine supports, and the config for diffusers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch

from invoke.engine.components.devices import Placement
from invoke.errors import ModelError

SMALL = ("CLIPTextModel", "CLIPTextModelWithProjection", "CLIPVisionModelWithProjection")
"""Networks that are not quantised: it would save little and cost much quality."""
_OTHER = ("Tokenizer", "TokenizerFast", "Scheduler", "Processor", "Extractor")


@dataclass(frozen=True, slots=True)
class Quantization:
    """One kind of quantisation."""

    library: str
    needs_cuda: bool
    share: float
    """Size, as a fraction of the weights in half precision."""
    config: Callable[[str], Any]
    """Library of the network (`diffusers`, `transformers`) → its config."""


def _int8(library: str) -> Any:
    from torchao.quantization import Int8WeightOnlyConfig

    return _config(library, "TorchAoConfig")(Int8WeightOnlyConfig())


def _nf4(library: str) -> Any:
    how = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.bfloat16}
    return _config(library, "BitsAndBytesConfig")(**how)


def _config(library: str, name: str) -> Any:
    from importlib import import_module

    return getattr(import_module(library), name)


QUANTIZATIONS: Mapping[str, Quantization] = {
    "int8": Quantization("torchao", needs_cuda=False, share=0.5, config=_int8),
    "nf4": Quantization("bitsandbytes", needs_cuda=True, share=0.28, config=_nf4),
}


def check_can_quantize(name: str, how: str, place: Placement) -> None:
    """Raise ModelError if this machine does not support the quantisation `how`. `name` is the model's."""
    wanted = QUANTIZATIONS[how]
    if find_spec(wanted.library) is None:
        raise ModelError(
            f"{name}: --quantize {how} needs {wanted.library}, which is not installed",
            code="missing_library",
            hint="pip install 'invoke-shell[quantize]', or type --quantize none",
        )
    if wanted.needs_cuda and place.device.type != "cuda":
        raise ModelError(
            f"{name}: --quantize {how} needs an NVIDIA GPU, but this model runs on {place.device_name}",
            code="missing_library",
            hint="--quantize int8 works everywhere",
        )


def pipeline_quantization(how: str, index: Mapping[str, Any]) -> Any:
    """The quantisation config for a pipeline with this `model_index.json`: all but its VAE and small networks."""
    config = QUANTIZATIONS[how].config
    parts = {
        part: entry
        for part, entry in index.items()
        if isinstance(entry, list) and len(entry) == 2 and entry[1] and not str(entry[1]).endswith(_OTHER)
    }
    large = {
        part: config("transformers" if library == "transformers" else "diffusers")
        for part, (library, kind) in parts.items()
        if part not in {"vae", "safety_checker"} and kind not in SMALL
    }
    return _config("diffusers", "PipelineQuantizationConfig")(quant_mapping=large)
