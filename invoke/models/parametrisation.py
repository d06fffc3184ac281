"""Parametrisation of a single-file checkpoint: what its network predicts, and on which schedule.

Nothing in the weights shows it, and a wrong guess draws garbage. Merging tools leave marks that show it among the
tensors (`v_pred`, `ztsnr`), by the metadata in the file's head, or by a `.yaml` of the same name beside it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from invoke.errors import ModelError, first_line
from invoke.models.safetensors_header import Header

SIDECARS = (".yaml", ".yml")
LARGEST_SIDECAR = 200_000
DEEPEST = 40
_EDM = ("edm_mean", "edm_std", "edm_vpred.sigma_max", "edm_vpred.sigma_min")
FEW_STEPS = re.compile(r"(?<![a-z])(turbo|lightning|hyper|dmd2?|flash)(?![a-z])", re.IGNORECASE)
"""In the name of a model that was distilled to a few steps: those begin at the top of the schedule (`trailing`)."""
STEPS_OF_V2_BASE = 875000
"""Of the training of Stable Diffusion 2 for 512×512, which predicts noise; the one for 768×768 predicts v."""


@dataclass(frozen=True, slots=True)
class Parametrisation:
    """What is known; empty where nothing is."""

    prediction_type: str = ""
    """`epsilon`, the noise, or `v_prediction`."""
    zero_snr: bool = False
    """Whether the schedule ends in pure noise (Lin et al. 2024)."""
    timestep_spacing: str = ""
    """`leading`, `trailing` or `linspace`."""
    cfg_rescale: float = 0.0
    """How much of the guided prediction's contrast is taken back, 0..1 (Lin et al. 2024, 3.4)."""
    edm: bool = False
    """Trained in the variables of Karras et al. (2022), which no sampler here has."""

    @property
    def fields(self) -> dict[str, Any]:
        """Those that are known, as fields of an entry."""
        values = {row.name: getattr(self, row.name) for row in fields(self) if row.name != "edm"}
        return {name: value for name, value in values.items() if value}


def read_parametrisation(path: Path, header: Header, metadata: Mapping[str, str]) -> Parametrisation:
    """What the checkpoint `path`, its head and its sidecar say. Raises ModelError where the sidecar cannot be read."""
    found: dict[str, Any] = {"timestep_spacing": "trailing"} if FEW_STEPS.search(path.stem) else {}
    found |= dict(_of_metadata(metadata)) | dict(_of_tensors(header)) | dict(_of_sidecar(path))
    if found.get("zero_snr"):  # else pure noise, which it begins with, is never shown to it
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
    """The names of the ModelSpec standard, of kohya's trainers, and of `!optimize_model`."""
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
    return {"v": "v_prediction", "vpred": "v_prediction", "v-pred": "v_prediction", "eps": "epsilon"}.get(text, text)


def _scalars(file: Path) -> Iterator[tuple[str, str]]:
    """Each key of a YAML file whose value is one word. Nothing is built of it: not even a list."""
    import yaml

    try:
        if file.stat().st_size > LARGEST_SIDECAR:
            raise ModelError(
                f"{file}: larger than {LARGEST_SIDECAR:,} bytes, this is not a checkpoint's config",
                hint="move it, or rename it: a .yaml of the same name says how the checkpoint was trained",
            )
        document = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeError, RecursionError, OSError) as error:
        raise ModelError(
            f"{file}: cannot be read: {first_line(error)}",
            hint="it would say how the checkpoint beside it was trained; mend or move it",
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
