"""Finds the image encoder of an IP-Adapter: from its entry, its file, or a folder beside it."""

from pathlib import Path

from invoke.errors import ModelError
from invoke.models.hub.cache import located
from invoke.models.spec import ModelSpec

FOLDER = "image_encoder"
"""Name of a folder with the image encoder beside the file, as in diffusers."""


def encoder_of(spec: ModelSpec) -> str:
    """The image encoder: a name of kind `image-encoder`, a folder, file or hub id. Raises ModelError if unknown."""
    if spec.image_encoder:
        return spec.image_encoder
    path = located(spec.weights)
    beside = path.parent / FOLDER if path is not None else Path(FOLDER)
    if (beside / "config.json").is_file():
        return str(beside)
    raise ModelError(
        f"--ip_adapter: the image encoder of {spec.name} is unknown",
        code="missing_part",
        hint=f"put its folder beside the file as {FOLDER}, or set it: !edit_model NAME image_encoder clip-vit-h",
    )
