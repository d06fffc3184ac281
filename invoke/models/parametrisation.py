"""The parametrisation of a single-file checkpoint: what its network predicts, and its schedule.

It cannot be derived from the weights, and a wrong guess gives garbage. It may be given by marker tensors of merging
tools (`v_pred`, `ztsnr`), by metadata in the file's header, or by a `.yaml` of the same name beside the file.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from invoke.errors import ModelError, first_line
from invoke.files import read_text
from invoke.models.safetensors_header import Header
from invoke.yaml_text import YamlError, compose

SIDECARS = (".yaml", ".yml")
LARGEST_SIDECAR = 200_000
DEEPEST = 40
_EDM = ("edm_mean", "edm_std", "edm_vpred.sigma_max", "edm_vpred.sigma_min")
FEW_STEPS = re.compile(
    r"(?<![a-z])(turbo|lightning|hyper(?![ _-]?(real|photo|detail))|dmd2?|flash(?![ _-]?photo))(?![a-z])",
    re.IGNORECASE,
)
"""Names of distilled models, which need trailing timesteps; not those of models for hyper-realistic pictures."""
STEPS_OF_V2_BASE = 875000
"""Training steps of Stable Diffusion 2 for 512×512, which predicts noise; the version for 768×768 predicts v."""


@dataclass(frozen=True, slots=True)
class Parametrisation:
    """What is known about the training; empty fields are unknown."""

    prediction_type: str = ""
    """`epsilon` (the noise) or `v_prediction`."""
    zero_snr: bool = False
    """Whether the schedule ends in pure noise (Lin et al. 2024)."""
    timestep_spacing: str = ""
    """`leading`, `trailing` or `linspace`."""
    cfg_rescale: float = 0.0
    """Default for `--cfg_rescale`, 0..1 (Lin et al. 2024, 3.4)."""
    edm: bool = False
    """Trained with the parametrisation of Karras et al. (2022), which no sampler here supports."""

    @property
    def fields(self) -> dict[str, Any]:
        """The known values, as fields of an entry."""
        values = {row.name: getattr(self, row.name) for row in fields(self) if row.name != "edm"}
        return {name: value for name, value in values.items() if value}


def read_parametrisation(path: Path, header: Header, metadata: Mapping[str, str]) -> Parametrisation:
    """Read it from a checkpoint's tensors, metadata and sidecar. Raises ModelError if the sidecar cannot be read."""
    found: dict[str, Any] = {"timestep_spacing": "trailing"} if FEW_STEPS.search(path.stem) else {}
    found |= dict(_of_metadata(metadata)) | dict(_of_tensors(header)) | dict(_of_sidecar(path))
    if found.get("zero_snr"):  # needs the last timestep, which is pure noise
        found.setdefault("timestep_spacing", "trailing")
    return Parametrisation(**found)


def _of_tensors(header: Header) -> Iterator[tuple[str, Any]]:
    if "v_pred" in header:
        yield "prediction_type", "v_prediction"
    if "ztsnr" in header:
        yield "zero_snr", True
    if any(key in header for key in _EDM):
        yield "edm", True


def _of_metadata(metadata: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """From the metadata of the ModelSpec standard, of kohya's trainers, and of `!optimize_model`."""
    if metadata.get("global_step") == str(STEPS_OF_V2_BASE):
        yield "prediction_type", "epsilon"
    predicts = metadata.get("modelspec.prediction_type", metadata.get("modelspec.predict_key", ""))
    if predicts or metadata.get("ss_v_parameterization") == "True":
        yield "prediction_type", _predicted(predicts or "v")
    if metadata.get("ss_zero_terminal_snr") == "True":
        yield "zero_snr", True
    if FEW_STEPS.search(metadata.get("modelspec.title", "")):
        yield "timestep_spacing", "trailing"


_NAMES: Mapping[str, tuple[str, ...]] = {
    "prediction_type": ("parameterization", "prediction_type"),
    "zero_snr": ("ztsnr", "zero_snr", "zero_terminal_snr", "rescale_betas_zero_snr"),
    "timestep_spacing": ("timestep_spacing",),
    "cfg_rescale": ("cfg_rescale", "guidance_rescale"),
}
"""Field → its names in sidecars, at any depth."""


def _of_sidecar(path: Path) -> Iterator[tuple[str, Any]]:
    file = next((sidecar for end in SIDECARS if (sidecar := path.with_suffix(end)).is_file()), None)
    if file is None:
        return
    for key, value in _scalars(file):
        for name, written in _NAMES.items():
            if key in written:
                yield name, _value(file, name, value)
        if key == "target" and "EDMScaling" in value:
            yield "edm", True
        elif key == "target" and "VScaling" in value:
            yield "prediction_type", "v_prediction"
        elif key == "target" and "EpsScaling" in value:
            yield "prediction_type", "epsilon"


def _value(file: Path, name: str, text: str) -> Any:
    if name == "prediction_type":
        return _predicted(text)
    if name == "zero_snr":
        return text.lower() in {"true", "yes", "on", "1"}
    if name == "timestep_spacing":
        return text
    try:
        return float(text)
    except ValueError:
        raise ModelError(f"{file}: {name} must be a number, not '{text[:40]}'") from None


def _predicted(text: str) -> str:
    """diffusers' word for what a network predicts, by any of its names."""
    return _PREDICTED.get(text.lower(), text)


_PREDICTED = dict.fromkeys(("v", "vpred", "v-pred", "v_pred", "velocity"), "v_prediction") | {"eps": "epsilon"}


def _scalars(file: Path) -> Iterator[tuple[str, str]]:
    """Yield each key with a scalar value in a YAML file, without constructing any objects."""
    try:
        document = compose(read_text(file, LARGEST_SIDECAR), deepest=DEEPEST)
    except (YamlError, UnicodeError, OSError) as error:
        raise ModelError(
            f"{file}: cannot be read: {first_line(error)}",
            hint="it is read as the training config of the checkpoint beside it; correct or move it",
        ) from error
    yield from _walk(document, set(), DEEPEST)


def _walk(node: Any, seen: set[int], depth: int) -> Iterator[tuple[str, str]]:
    if id(node) in seen or depth == 0 or node is None or isinstance(node.value, str):
        return
    seen.add(id(node))
    for child in node.value:
        key, value = child if isinstance(child, tuple) else (None, child)
        if key is not None and isinstance(key.value, str) and isinstance(value.value, str):
            yield key.value, value.value
        yield from _walk(value, seen, depth - 1)
