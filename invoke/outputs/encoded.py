"""The files of a picture as bytes: encoded where the picture is made, named and written by the one writer."""

from collections.abc import Sequence
from dataclasses import dataclass

from invoke.events import Detected, Finished, Kind, Pixels, RunInfo, Step
from invoke.images.pixels import with_alpha
from invoke.language.plan import Output
from invoke.outputs import iptc, metadata, png, sheets
from invoke.outputs.metadata import NO_TEMPLATE, Template
from invoke.outputs.sheets import enlarged
from invoke.request import Request

_COMPRESSION = 6
"""Of steps and sheets."""


@dataclass(frozen=True, slots=True)
class EncodedFile:
    """One file of a picture, whole but for its name."""

    kind: Kind
    data: bytes
    number: int = 0
    """Of a step or a control."""
    line: str = ""
    """The canonical line that makes it; of images and originals."""
    request: Request | None = None
    """What it was made from; of images and originals."""
    facts: RunInfo | None = None


def encode_image(  # noqa: PLR0913 - all but the first three by keyword
    kind: Kind,
    finished: Finished,
    line: str,
    *,
    output: Output,
    template: Template = NO_TEMPLATE,
    recorded: Request | None = None,
) -> EncodedFile:
    """A picture that `line` has made, with its recipe and what its texts were drawn from.

    `recorded` is its request as the user knows it, where the engine has read copies of its files.
    """
    request = recorded or finished.request
    texts = metadata.texts(finished, line, ai_label=output.ai_label, template=template, recorded=request)
    image = finished.image
    if image.alpha is not None:
        data = png.encode_image(with_alpha(image), texts)
    else:
        data = png.encode(image, output.png_compression, texts)
    return EncodedFile(kind, data, 0, line, request, finished.facts)


def encode_step(step: Step, size: tuple[int, int], *, ai_label: bool) -> EncodedFile:
    """The picture of one step, which it must have, at `size` (width, height)."""
    assert step.image is not None
    return EncodedFile("step", png.encode(enlarged(step.image, size), _COMPRESSION, _label(ai_label)), step.index)


def encode_detected(detected: Detected) -> EncodedFile:
    """What a ControlNet follows that was found in the init picture. No model has made it."""
    return EncodedFile("control", png.encode(detected.image, _COMPRESSION), detected.number)


def encode_strip(frames: Sequence[tuple[Pixels, str]], size: tuple[int, int], *, ai_label: bool) -> EncodedFile:
    """The steps that led to a picture side by side, each at `size` with its label."""
    pixels = sheets.strip([enlarged(picture, size) for picture, _ in frames], [text for _, text in frames])
    return EncodedFile("steps", png.encode(pixels, _COMPRESSION, _label(ai_label)))


def encode_gif(frames: Sequence[Pixels], size: tuple[int, int]) -> EncodedFile:
    """The steps that led to a picture as an animation, at `size`."""
    return EncodedFile("gif", sheets.gif([enlarged(frame, size) for frame in frames]))


def encode_sheet(pixels: Pixels, line: str, *, ai_label: bool) -> bytes:
    """A sheet of the pictures that `line` has made."""
    return png.encode(pixels, _COMPRESSION, metadata.line_texts(line, ai_label=ai_label))


def _label(is_labelled: bool) -> list[png.Text]:
    return [iptc.text(iptc.MADE)] if is_labelled else []
