"""Models that edit by instruction: `-I` is the picture, and the prompt says what to change."""

from collections.abc import Mapping
from dataclasses import dataclass

from invoke.errors import RequestError
from invoke.models.spec import ModelSpec
from invoke.text import counted


@dataclass(frozen=True, slots=True)
class Editor:
    """The capabilities of one kind of editing model."""

    pictures: int = 1
    """Maximum number of pictures."""
    draws: bool = False
    """Whether it also works without a picture."""
    masked: str = ""
    """diffusers' pipeline that changes only what a mask covers; "": none."""
    has_image_guidance: bool = False
    """Whether it runs in our own loop, with `--image_cfg` and masks of any kind."""

    @property
    def takes_mask(self) -> bool:
        """Whether it can change only a part of the picture."""
        return bool(self.masked) or self.has_image_guidance


PIX2PIX, PIX2PIX_XL = "StableDiffusionInstructPix2PixPipeline", "StableDiffusionXLInstructPix2PixPipeline"
EDITED_CHANNELS = 8
"""Input channels of a UNet for editing: its own latents, and those of the picture."""
EDITORS: Mapping[str, Editor] = {
    PIX2PIX: Editor(has_image_guidance=True),
    PIX2PIX_XL: Editor(has_image_guidance=True),
    "FluxKontextPipeline": Editor(masked="FluxKontextInpaintPipeline"),
    "Flux2KleinPipeline": Editor(pictures=4, draws=True, masked="Flux2KleinInpaintPipeline"),
    "Flux2Pipeline": Editor(pictures=6, draws=True),
    "QwenImageEditPipeline": Editor(),
    "QwenImageEditPlusPipeline": Editor(pictures=3),
}
"""diffusers' pipeline class (`model_index.json`) → capabilities."""
EVERYTHING = 1.0
"""The strength of edits: only the prompt decides what is kept."""


def editor_of(spec: ModelSpec) -> Editor | None:
    """The model's editing capabilities; None if it does not edit by instruction."""
    return EDITORS.get(spec.pipeline)


def check_pictures(spec: ModelSpec, count: int) -> None:
    """Raise RequestError if the model does not take `count` pictures."""
    editor = editor_of(spec)
    most = editor.pictures if editor else 1
    if count > most:
        raise RequestError(
            f"-I: {spec.name} takes {'at most ' if most > 1 else ''}{counted(most, 'picture')}, not {count}",
            code="too_many_pictures",
            hint="" if editor else "--ip_adapter PICTURE adopts the style or subject of another",
        )
    if count == 0 and editor is not None and not editor.draws:
        raise RequestError(
            f"-m {spec.name}: it edits a picture, but this line has none",
            code="no_init_picture",
            hint="name one with -I",
        )


def check_strength(spec: ModelSpec, strength: float) -> None:
    """Raise RequestError if an editing model is given a strength other than 1."""
    editor = editor_of(spec)
    if editor is not None and strength != EVERYTHING:
        raise RequestError(
            f"-f: {spec.name} edits by instruction and has no strength",
            code="not_taken",
            hint="omit it; "
            + (
                "--image_cfg sets how closely the picture is kept"
                if editor.has_image_guidance
                else "say in the prompt how much to change"
            ),
        )


def check_mask(spec: ModelSpec) -> None:
    """Raise RequestError if a mask is given to a model that edits only whole pictures."""
    editor = editor_of(spec)
    if editor is not None and not editor.takes_mask:
        raise RequestError(
            f"{spec.name} edits whole pictures: no -M, -tm, -c or transparent part",
            code="not_taken",
            hint="say in the prompt what to change, and where",
        )
