"""Recognises what a folder or a file holds, by its configs or the names and shapes of its tensors, without torch."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from invoke.errors import ModelError
from invoke.models.editors import EDITED_CHANNELS, EDITORS, PIX2PIX, PIX2PIX_XL
from invoke.models.families import FAMILIES, Family, family_of_folder
from invoke.models.folder import pipeline_class, read_json
from invoke.models.parametrisation import SIDECARS, read_parametrisation
from invoke.models.safetensors_header import Header, read_header, read_metadata
from invoke.models.spec import INDEX, Kind, ModelSpec
from invoke.models.tensor_names import REFUSED, read_checkpoint, read_kind, refused_contents
from invoke.models.upscalers import UPSCALERS

V2_WIDTH, V2_SIDE = 1024, 768
"""Stable Diffusion 2: width of its text embeddings; native side of the version with v prediction."""
MOST_BLOCKS, LONGEST_SIDE = 16, 65_536
"""Blocks of a VAE, and pixels of a side, that a config can mean."""
AUTO_MULTIPLE = 16
"""Default for transformers whose configs do not say: that of SD 3, Flux and similar models."""

UNIONS = ("ControlNetUnionModel", "ControlNetModel_Union")
"""Class names of union ControlNets in configs: diffusers' and the authors'."""
DEPTH = "ForDepthEstimation"
"""Suffix of transformers' classes for depth estimation."""
_PARTS_ALONE = {
    "ControlNetModel": "controlnet",
    **dict.fromkeys(UNIONS, "controlnet"),
    "AutoencoderKL": "vae",
    "AutoencoderTiny": "vae",
    "CLIPVisionModelWithProjection": "image-encoder",
}

ADDED_FILES: Mapping[str, Kind] = {
    "pytorch_lora_weights.safetensors": "lora",
    "adapter_model.safetensors": "lora",
    "learned_embeds.safetensors": "embedding",
}
"""File names of LoRAs and embeddings in folders written by diffusers and peft."""


def recognise_folder(name: str, path: Path, *, weights: str = "") -> ModelSpec:
    """Recognise the folder `path`, called `name`. `weights`: its name in the entry, if not its path.

    Raises ModelError if it is not a model, or cannot be identified.
    """
    stamps = tuple(_stamp(path / file) for file in (INDEX, "config.json"))
    fields = _recognise_folder(name, path, stamps)
    return ModelSpec(name=name, weights=weights or str(path), **({"description": "folder"} | fields))


def forget() -> None:
    """Clear the cache: in another working folder, the same relative paths are different files."""
    _recognise_folder.cache_clear()
    _recognise_file.cache_clear()


@lru_cache(256)
def _recognise_folder(name: str, path: Path, stamps: tuple[int, ...]) -> dict[str, Any]:
    if (path / INDEX).is_file():
        return _pipeline(name, path, read_json(name, path / INDEX))
    if (path / "config.json").is_file():
        return _part(name, path, read_json(name, path / "config.json"))
    for file, kind in ADDED_FILES.items():
        if (path / file).is_file():
            return {"kind": kind}
    raise ModelError(
        f"{name}: this folder is not a model: it has no {INDEX}",
        hint="use a folder in diffusers layout or a .safetensors file",
    )


_REFUSED_CLASSES = {
    "T2IAdapter": "a T2I-Adapter",
    "MultiAdapter": "a T2I-Adapter",
    "ControlNetXSAdapter": "a ControlNet-XS",
    "MotionAdapter": "a motion module (AnimateDiff)",
}
"""Class in a folder's config → its name in `REFUSED`."""


def _part(name: str, path: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    named = config.get("architectures")
    kind = str(config.get("_class_name") or (named[0] if isinstance(named, list) and named else "unknown"))
    if kind == "CLIPSegForImageSegmentation":
        return {"kind": "text-mask"}
    if kind.endswith(DEPTH):
        return {"kind": "detector", "family": "auto"}
    if kind in _REFUSED_CLASSES:
        what = _REFUSED_CLASSES[kind]
        raise ModelError(
            f"{name}: this folder holds {what}, which is not supported", code="not_read", hint=REFUSED[what][1]
        )
    if kind not in _PARTS_ALONE:
        raise ModelError(
            f"{name}: this folder holds only the class {kind}, which is not supported on its own",
            hint=f"use the folder above it, which has a {INDEX}"
            if (path.absolute().parent / INDEX).is_file()
            else f"use a model's folder, which has a {INDEX}, or a ControlNet or VAE for Stable Diffusion 1, 2 or XL",
        )
    is_xl = config.get("addition_embed_type") == "text_time"
    return {"kind": _PARTS_ALONE[kind], "family": "sdxl" if is_xl else "sd"}


def _pipeline(name: str, path: Path, index: Mapping[str, Any]) -> dict[str, Any]:
    classes = {
        part: str(entry[1])
        for part, entry in index.items()
        if isinstance(entry, list) and len(entry) == 2 and entry[1] is not None
    }
    pipeline = pipeline_class(index)
    if pipeline in UPSCALERS:
        return {"kind": "upscaler", "family": "auto"}
    if pipeline.startswith("KandinskyV22") and "unet" not in classes:
        raise ModelError(
            f"{name}: this is the prior of a Kandinsky model, not the model",
            hint="use the decoder with -m, and set the prior in its entry: !edit_model NAME prior …",
        )
    family = family_of_folder({part: kind.removesuffix("Fast") for part, kind in classes.items()})
    fields: dict[str, Any] = {"family": family, "sampler": FAMILIES[family].sampler}
    if pipeline in EDITORS:
        fields["pipeline"] = pipeline
    if family == "kandinsky" and "prior_prior" not in classes:
        fields["prior"] = _prior_beside(path)
    return fields | _size(name, path, family)


def _prior_beside(decoder: Path) -> str:
    """The folder of the prior beside the one of a Kandinsky decoder, as the hub keeps them; "" if there is none."""
    prior = decoder.with_name(decoder.name.replace("decoder", "prior"))
    return str(prior) if prior != decoder and (prior / INDEX).is_file() else ""


def _size(name: str, path: Path, family: Family) -> dict[str, int]:
    """Native size and multiple of the model, in pixels."""
    try:
        factor = _factor(name, path / FAMILIES[family].vae)
        side = _number(name, path / ("transformer" if family == "auto" else "unet"), "sample_size") * factor
    except ModelError:
        if family != "auto":
            raise
        factor, side = 1, FAMILIES[family].side
    # the size of Kandinsky's latents must be divisible by the MoVQ's factor, too
    multiple = {"kandinsky": factor**2, "auto": max(AUTO_MULTIPLE, factor)}.get(family, factor)
    return {"width": side, "height": side, "multiple": multiple}


def _factor(name: str, vae: Path) -> int:
    """Pixels per latent, in each direction."""
    config = read_json(name, vae / "config.json")
    blocks = config.get("block_out_channels") or config.get("encoder_block_out_channels")
    if not isinstance(blocks, list) or not 0 < len(blocks) <= MOST_BLOCKS:
        raise ModelError(f"{name}: this model is incomplete: {vae.name}/config.json lacks block_out_channels")
    return int(2 ** (len(blocks) - 1))


def _number(name: str, part: Path, field: str) -> int:
    value = read_json(name, part / "config.json").get(field)
    if type(value) is not int or not 0 < value <= LONGEST_SIDE:
        raise ModelError(f"{name}: this model is incomplete: {part.name}/config.json lacks {field}")
    return value


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


PICKLES = (".ckpt", ".pt", ".pth", ".bin")
"""Extensions of weight files that can contain code."""


def recognise_file(name: str, path: Path, kind: Kind = "model", *, weights: str = "") -> ModelSpec:
    """Recognise the `.safetensors` file `path`, called `name`. `weights`: its name in the entry, if not its path.

    A file with unknown tensors is assumed to be of `kind`, except for whole models.
    Raises ModelError if it is damaged or not supported.
    """
    stamp = path.stat()
    found, refused = _recognise_file(
        path, stamp.st_mtime_ns, stamp.st_size, sum(_stamp(path.with_suffix(end)) for end in SIDECARS)
    )
    if refused is not None:
        raise _not_read(name, *refused)
    if found is None and kind == "model":
        raise ModelError(
            f"{name}: this file does not hold a model of a supported family",
            code="unknown_family",
            hint="use a checkpoint of Stable Diffusion 1, 2 or XL, or a folder in diffusers layout",
        )
    return ModelSpec(
        name=name, weights=weights or str(path), **({"description": "single file"} | (found or {"kind": kind}))
    )


def check_contents(name: str, header: Header) -> None:
    """Raise ModelError if a file with this `header` holds something that is known, but not supported."""
    if (refused := refused_contents(header)) is not None:
        raise _not_read(name, *refused)


def _not_read(name: str, contents: str, advice: str) -> ModelError:
    return ModelError(f"{name}: this file holds {contents}, which is not supported", code="not_read", hint=advice)


@lru_cache(256)
def _recognise_file(
    path: Path, changed: int, size: int, sidecar: int
) -> tuple[dict[str, Any] | None, tuple[str, str] | None]:
    """The fields of a ModelSpec, or unsupported contents of the file with advice."""
    header = read_header(path)
    fields, metadata = recognise_header(header), read_metadata(path)
    if fields is not None and fields.get("kind") == "embedding" and metadata.get("name"):
        fields = {"triggers": (metadata["name"],)} | fields  # written by `!optimize_model`
    if fields is not None and fields.get("kind", "model") == "model":
        parametrisation = read_parametrisation(path, header, metadata)
        fields = fields | parametrisation.fields
        if is_v2_base(fields["family"], fields["width"], parametrisation.prediction_type):
            fields |= {"width": 512, "height": 512}
    return fields, None if fields is not None else refused_contents(header)


def is_v2_base(family: str, side: int, prediction_type: str) -> bool:
    """Whether a model taken for Stable Diffusion 2 at 768 pixels is the base version, which was trained at 512."""
    return (family, side, prediction_type) == ("sd", V2_SIDE, "epsilon")


def gaps_of(spec: ModelSpec) -> tuple[str, ...]:
    """What is missing in the single file of `spec`: some of `prediction_type vae text_encoder text_encoder_2`."""
    path = Path(spec.weights)
    found = read_checkpoint(read_header(path)) if path.is_file() and spec.kind == "model" else None
    if found is None:
        return ()
    is_open = found.text_width == V2_WIDTH and not spec.prediction_type and not spec.config
    return (*(("prediction_type",) if is_open else ()), *found.missing)


def recognise_header(header: Header) -> dict[str, Any] | None:
    """The fields of a ModelSpec that follow from a file's tensors; None if they are unknown or unsupported."""
    if refused_contents(header) is not None:
        return None
    found = read_checkpoint(header)
    if found is None:
        return read_kind(header)
    row = FAMILIES[found.family]
    side = V2_SIDE if (found.family, found.text_width) == ("sd", V2_WIDTH) else row.side
    edits = {"pipeline": PIX2PIX if found.family == "sd" else PIX2PIX_XL} if found.channels == EDITED_CHANNELS else {}
    return edits | {"family": found.family, "width": side, "height": side, "sampler": row.sampler}
