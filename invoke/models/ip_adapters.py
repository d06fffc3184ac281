"""The image encoder of an IP-Adapter: what looks at its pictures, named by its entry, its file or where it lies."""

from pathlib import Path

from invoke.errors import ModelError
from invoke.models.hub.cache import located
from invoke.models.spec import ModelSpec

FOLDER = "image_encoder"
"""How a folder beside the file is called that holds it, as diffusers expects it."""


def encoder_of(spec: ModelSpec) -> str:
    """A name of kind `image-encoder`, a folder, a file or a hub id. Raises ModelError where none is known."""
    if spec.image_encoder:
        return spec.image_encoder
    path = located(spec.weights)
    beside = path.parent / FOLDER if path is not None else Path(FOLDER)
    if (beside / "config.json").is_file():
        return str(beside)
    raise ModelError(
        f"--ip_adapter: {spec.name} does not say which image encoder looks at its pictures",
        code="missing_part",
        hint=f"put its folder beside the file as {FOLDER}, or name it: !edit_model NAME image_encoder clip-vit-h",
    )
