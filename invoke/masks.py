"""What a text selects in a picture, shown as three pictures (`!mask`)."""

from collections.abc import Generator, Mapping
from contextlib import closing

from invoke.command.selection import Selection
from invoke.engine import Engine
from invoke.events import Event, Heat, Masked
from invoke.outputs.writer import Writer
from invoke.pictures import open_picture
from invoke.pictures.heat import grey, kept


def write_masks(engine: Engine, writer: Writer, selection: Selection) -> Generator[Event, None, None]:
    """Look at the picture and save three: what is selected, alone; the picture without it; and a mask for `-M`.

    In the first two, transparency tells how surely; the mask is black from the threshold on. Raises InvokeError.
    """
    with closing(engine.look(selection.path, selection.text)) as events:
        for event in events:
            if isinstance(event, Heat):
                yield from _saved(event, writer, selection)
            else:
                yield event


def _saved(heat: Heat, writer: Writer, selection: Selection) -> Generator[Event, None, None]:
    from PIL import Image, ImageChops

    picture = open_picture(selection.path)
    sure = grey(heat, picture.image.size)
    job = writer.begin()
    shown: Mapping[Masked, Image.Image] = {"deselected": ImageChops.invert(sure), "selected": sure}
    for kind, alpha in shown.items():
        image = picture.image.copy()
        image.putalpha(ImageChops.multiply(alpha, picture.alpha) if picture.alpha else alpha)
        yield job.save_mask(kind, image, selection.path, selection.text, selection.line)
    mask = kept(heat, picture.image.size, selection.threshold)
    yield job.save_mask("masked", mask, selection.path, selection.text, selection.line)
