"""Encodes the files of a picture to bytes, where the picture is made; a single writer names and writes them."""

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
"""PNG compression of steps and sheets."""


@dataclass(frozen=True, slots=True)
class EncodedFile:
    """One encoded file of a picture, without a name."""

    kind: Kind
    data: bytes
    number: int = 0
    """The number of a step or a control."""
    line: str = ""
    """The canonical line that makes it; only for images and originals."""
    request: Request | None = None
    """Its request; only for images and originals."""
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
    """Encode a picture made by `line`, with its recipe and template.

    `recorded` is the request with the user's paths, if the engine read copies of the files.
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
    """Encode the preview of a step, which must have one, at `size` (width, height)."""
    assert step.image is not None
    return EncodedFile("step", png.encode(enlarged(step.image, size), _COMPRESSION, _label(ai_label)), step.index)


def encode_detected(detected: Detected) -> EncodedFile:
    """Encode a control image that was detected in the init picture. It has no AI label: no model made it."""
    return EncodedFile("control", png.encode(detected.image, _COMPRESSION), detected.number)


def encode_strip(frames: Sequence[tuple[Pixels, str]], size: tuple[int, int], *, ai_label: bool) -> EncodedFile:
    """Encode the steps of a picture side by side, each at `size` with its label."""
    pixels = sheets.strip([enlarged(picture, size) for picture, _ in frames], [text for _, text in frames])
    return EncodedFile("steps", png.encode(pixels, _COMPRESSION, _label(ai_label)))


def encode_gif(frames: Sequence[Pixels], size: tuple[int, int]) -> EncodedFile:
    """Encode the steps of a picture as an animation, at `size`."""
    return EncodedFile("gif", sheets.gif([enlarged(frame, size) for frame in frames]))


def encode_sheet(pixels: Pixels, line: str, *, ai_label: bool) -> bytes:
    """Encode a sheet of the pictures of `line`."""
    return png.encode(pixels, _COMPRESSION, metadata.line_texts(line, ai_label=ai_label))


def _label(is_labelled: bool) -> list[png.Text]:
    return [iptc.text(iptc.MADE)] if is_labelled else []
