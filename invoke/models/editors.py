"""Models that edit a picture by instruction: `-I` is the picture, and the prompt says what to change in it."""

from collections.abc import Mapping
from dataclasses import dataclass

from invoke.errors import RequestError
from invoke.models.spec import ModelSpec
from invoke.text import counted


@dataclass(frozen=True, slots=True)
class Editor:
    """What one kind of them takes."""

    pictures: int = 1
    """At most."""
    draws: bool = False
    """Whether it also draws without a picture."""
    masked: str = ""
    """The pipeline of diffusers that changes only what a mask covers."""
    has_image_guidance: bool = False
    """Whether it is drawn by our own loop, with `--image_cfg` and every mask."""

    @property
    def takes_mask(self) -> bool:
        """Whether it can change a part of the picture alone."""
        return bool(self.masked) or self.has_image_guidance


PIX2PIX, PIX2PIX_XL = "StableDiffusionInstructPix2PixPipeline", "StableDiffusionXLInstructPix2PixPipeline"
EDITED_CHANNELS = 8
"""Of a UNet that sees the picture to edit: its own latents, and those of the picture."""
EDITORS: Mapping[str, Editor] = {
    PIX2PIX: Editor(has_image_guidance=True),
    PIX2PIX_XL: Editor(has_image_guidance=True),
    "FluxKontextPipeline": Editor(masked="FluxKontextInpaintPipeline"),
    "Flux2KleinPipeline": Editor(pictures=4, draws=True, masked="Flux2KleinInpaintPipeline"),
    "Flux2Pipeline": Editor(pictures=6, draws=True),
    "QwenImageEditPipeline": Editor(),
    "QwenImageEditPlusPipeline": Editor(pictures=3),
}
"""Class of diffusers (`model_index.json`) → what it takes."""
EVERYTHING = 1.0
"""The strength of a picture that is edited: the words alone say what stays."""


def editor_of(spec: ModelSpec) -> Editor | None:
    """What the model takes to edit; None where `-I` is a picture to start from."""
    return EDITORS.get(spec.pipeline)


def check_pictures(spec: ModelSpec, count: int) -> None:
    """Raises RequestError where the model does not take `count` pictures."""
    editor = editor_of(spec)
    most = editor.pictures if editor else 1
    if count > most:
        raise RequestError(
            f"-I: {spec.name} takes {counted(most, 'picture')}{' at most' if most > 1 else ''}, not {count}",
            code="too_many_pictures",
            hint="" if editor else "--ip_adapter PICTURE takes over the style or subject of another",
        )
    if count == 0 and editor is not None and not editor.draws:
        raise RequestError(
            f"-m {spec.name}: it edits a picture as the prompt says, and this line names none",
            code="no_init_picture",
            hint="name one with -I",
        )


def check_strength(spec: ModelSpec, strength: float) -> None:
    """Raises RequestError where a model that edits is given a strength. 1 is what it does: all may change."""
    editor = editor_of(spec)
    if editor is not None and strength != EVERYTHING:
        raise RequestError(
            f"-f: {spec.name} edits the picture as the prompt says and knows no strength",
            code="not_taken",
            hint="leave it out; "
            + ("--image_cfg says how closely the picture is kept" if editor.has_image_guidance else "say it in words"),
        )


def check_mask(spec: ModelSpec) -> None:
    """Raises RequestError where a part of the picture is to be edited, and the model only takes all of it."""
    editor = editor_of(spec)
    if editor is not None and not editor.takes_mask:
        raise RequestError(
            f"{spec.name} edits whole pictures: no -M, -tm, -c or transparent part",
            code="not_taken",
            hint="say in words what to change, and where",
        )
