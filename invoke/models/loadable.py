"""Checks whether a model can be loaded without reading its weights: parts, parametrisation, schedule."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from invoke.errors import ModelError
from invoke.models.architectures import ARCHITECTURES, Architecture
from invoke.models.families import FAMILIES
from invoke.models.folder import check_folder, read_json
from invoke.models.gguf import check_gguf
from invoke.models.hub.cache import located
from invoke.models.parametrisation import Parametrisation, read_parametrisation
from invoke.models.recognise import V2_WIDTH, recognise_file
from invoke.models.safetensors_header import read_header, read_metadata
from invoke.models.scheduler_config import scheduler_config
from invoke.models.spec import ModelSpec
from invoke.models.tensor_names import Checkpoint, read_checkpoint, refused_contents
from invoke.paths import expanded

SCHEDULER = "scheduler_config.json"
TITLES = {"unet": "UNet", "vae": "VAE", "text_encoder": "text encoder", "text_encoder_2": "second text encoder"}
"""Display names of the parts of a checkpoint."""


def check_loadable(spec: ModelSpec) -> None:
    """Raise ModelError if loading `spec` is bound to fail. Models that are not on this disk are not checked."""
    path = expanded(spec.weights)
    if spec.gguf and (gguf := located(spec.gguf)):
        check_gguf(spec.name, gguf, spec.family)
    if path.is_dir():
        if FAMILIES[check_folder(spec.name, path, spec.without).family].comes_in_one_file:
            scheduler_config(spec, read_json(spec.name, path / "scheduler" / SCHEDULER), Parametrisation())
    elif path.is_file():
        checkpoint, trained = check_file(spec, path)
        if not spec.config:
            scheduler_config(spec, architecture_of(spec.name, checkpoint).scheduler, trained)


def bytes_of_weights(spec: ModelSpec) -> int:
    """The bytes of all weights of `spec` that are on this disk."""
    return sum(bytes_of_parts(spec).values())


def bytes_of_parts(spec: ModelSpec) -> Mapping[str, int]:
    """The same of each part of its folder; of a single file, under one name."""
    path = located(spec.weights)
    files = path.rglob("*.safetensors") if path is not None and path.is_dir() else [] if path is None else [path]
    sizes: dict[str, int] = {}
    for file in files:
        if file.parent.name != spec.without and file.is_file():
            sizes[file.parent.name] = sizes.get(file.parent.name, 0) + file.stat().st_size
    if spec.gguf and (gguf := located(spec.gguf)):
        sizes[spec.without] = gguf.stat().st_size
    return sizes


def check_file(spec: ModelSpec, path: Path) -> tuple[Checkpoint, Parametrisation]:
    """Check the checkpoint `path` of `spec`; returns its contents and parametrisation.

    Raises ModelError if it is not a checkpoint, if its parametrisation is unknown, or if a part is missing that the
    entry does not take from elsewhere.
    """
    header = read_header(path)
    checkpoint = read_checkpoint(header) if refused_contents(header) is None else None
    if checkpoint is None:
        recognise_file(spec.name, path)  # raises an error that says what it is
        raise ModelError(
            f"{spec.name}: this file does not hold a whole model",
            hint="use a checkpoint, or a folder in diffusers layout",
        )
    if not spec.config:
        architecture_of(spec.name, checkpoint)
    trained = read_parametrisation(path, header, read_metadata(path))
    if not spec.config and checkpoint.text_width == V2_WIDTH and not (spec.prediction_type or trained.prediction_type):
        raise _unknown_prediction(spec)
    lacking = [part for part in checkpoint.missing if not spec.base and not (part == "vae" and spec.vae)]
    if lacking:
        raise _missing_parts(spec, checkpoint, lacking)
    return checkpoint, trained


def architecture_of(name: str, checkpoint: Checkpoint) -> Architecture:
    """The architecture of `checkpoint`. Raises ModelError if it belongs to no known family."""
    found = ARCHITECTURES.get((checkpoint.family, checkpoint.text_width))
    if found is None:
        raise ModelError(
            f"{name}: its UNet takes text embeddings of width {checkpoint.text_width}, unlike any known family",
            code="unknown_family",
            hint="set a folder with its configs in its entry: !edit_model NAME config FOLDER",
        )
    return found


def _missing_parts(spec: ModelSpec, checkpoint: Checkpoint, parts: Sequence[str]) -> ModelError:
    family = checkpoint.family
    usual = family if family != "sd" else "sd-2.1" if checkpoint.text_width == V2_WIDTH else "sd-1.5"
    entry = spec.name if spec.stated else "NAME"
    how = f"!edit_model {entry} base {usual} takes them from that model"
    if "vae" in parts:
        one = "vae-ft-mse" if family == "sd" else "vae-sdxl-fp16"
        how += f"; !edit_model {entry} vae {one} supplies the VAE"
        how = how.split("; ")[1] if list(parts) == ["vae"] else how
    return ModelError(
        f"{spec.name}: this file has no {' and no '.join(TITLES[part] for part in parts)}",
        code="missing_part",
        hint=how if spec.stated else f"put it on the list (!import_model {spec.weights} NAME), then {how}",
    )


def _unknown_prediction(spec: ModelSpec) -> ModelError:
    entry = spec.name if spec.stated else "NAME"
    how = f"!edit_model {entry} prediction_type v_prediction (the one for 768×768), or epsilon (512×512)"
    return ModelError(
        f"{spec.name}: this is Stable Diffusion 2, but its file does not say whether it predicts noise or v",
        code="unknown_prediction",
        hint=how if spec.stated else f"put it on the list (!import_model {spec.weights} NAME), then {how}",
    )
