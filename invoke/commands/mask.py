"""`!mask FILE -tm TEXT [threshold]`: shows what a text selects in a picture."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from invoke.commands.context import CommandContext
from invoke.engine import Engine
from invoke.errors import CommandError, PictureError, RequestError
from invoke.events import Event, Heatmap, Masked
from invoke.images import describe, open_picture
from invoke.images.heatmap import grey, kept
from invoke.language.command_table import by_command, read_file_line
from invoke.language.parse import CommandCall
from invoke.language.render import render_prompt, render_switch
from invoke.language.resolve.init_image import find_picture, is_reference, recalled
from invoke.language.switches import by_name, in_force
from invoke.language.types import TEXT_MASK_THRESHOLD
from invoke.outputs.writer import Writer


@dataclass(frozen=True, slots=True)
class Selection:
    """A request to select part of a picture by a text."""

    path: str
    text: str
    threshold: float
    """0..1: the minimum confidence."""
    outdir: str
    outdir_column: int | None = None
    """The column of the line's own -o, if it has one."""

    @property
    def line(self) -> str:
        """The command that repeats it."""
        words = render_switch(by_name()["text_mask"], (self.text, self.threshold))
        return " ".join(["!mask", render_prompt(self.path), *words])


def mask(context: CommandContext, call: CommandCall) -> None:
    """`!mask`. Raises InvokeError."""
    session = context.session
    selection = read_selection(call, session.defaults, session.made)
    context.make_files(
        selection.outdir,
        selection.outdir_column,
        lambda: write_masks(session.engine, session.writer(selection.outdir), selection),
    )


def write_masks(engine: Engine, writer: Writer, selection: Selection) -> Generator[Event, None, None]:
    """Run CLIPSeg and save three pictures: the selected part, the picture without it, and a mask for `-M`.

    In the first two, alpha follows the confidence; the mask is black above the threshold. Raises InvokeError.
    """
    with closing(engine.segment(selection.path, selection.text)) as events:
        for event in events:
            if isinstance(event, Heatmap):
                yield from _saved(event, writer, selection)
            else:
                yield event


def _saved(heat: Heatmap, writer: Writer, selection: Selection) -> Generator[Event, None, None]:
    from PIL import Image, ImageChops

    picture = open_picture(selection.path)
    sure = grey(heat, picture.image.size)
    files = writer.begin()
    shown: Mapping[Masked, Image.Image] = {"deselected": ImageChops.invert(sure), "selected": sure}
    for kind, alpha in shown.items():
        image = picture.image.copy()
        image.putalpha(ImageChops.multiply(alpha, picture.alpha) if picture.alpha else alpha)
        yield files.save_mask(kind, image, selection.path, selection.text, selection.line)
    mask = kept(heat, picture.image.size, selection.threshold)
    yield files.save_mask("masked", mask, selection.path, selection.text, selection.line)


def read_selection(call: CommandCall, defaults: Mapping[str, Any], newest: Sequence[tuple[str, int]]) -> Selection:
    """Parse `call`; `defaults` are those of launch and session, `newest` the pictures made in the session.

    Raises CommandError, PictureError or RequestError with the column.
    """
    draft = read_file_line(call)
    for name, column in draft.columns.items():
        if name not in by_command()["mask"].switches:
            raise CommandError(f"{by_name()[name].spelling} cannot be used with !mask", code="bad_value", column=column)
    if "text_mask" not in draft.switches:
        raise CommandError(
            "!mask needs -tm and what to select",
            code="missing_value",
            column=0,
            hint='!mask face.png -tm "the hair"',
        )
    outdir = in_force("outdir", dict(defaults) | dict(draft.switches))
    typed = str(draft.prompt)
    try:
        path = recalled("picture", int(typed), newest)[0] if is_reference(typed) else find_picture(typed, outdir)
        describe(path)
    except (PictureError, RequestError) as error:
        error.column = call.column
        raise
    text, threshold = (*draft.switches["text_mask"], TEXT_MASK_THRESHOLD)[:2]
    return Selection(path, text, threshold, outdir, draft.columns.get("outdir"))
