"""`!mask FILE -tm TEXT [threshold]`: read, and checked before anything is made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from invoke.command.commands import read_file_line
from invoke.command.draft import Bang
from invoke.command.picture_names import find_picture, is_reference, recalled
from invoke.command.render import render_prompt, render_switch
from invoke.errors import CommandError, PictureError, RequestError
from invoke.pictures import describe
from invoke.switch_types import TEXT_MASK_THRESHOLD
from invoke.switches import by_name, in_force

TAKEN = ("text_mask", "outdir")
"""The switches that say something about a selection."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a text selects in a picture."""

    path: str
    text: str
    threshold: float
    """0..1: how sure it has to be."""
    outdir: str
    outdir_column: int | None = None
    """Where the line says it itself."""

    @property
    def line(self) -> str:
        """The line that makes it again."""
        words = render_switch(by_name()["text_mask"], (self.text, self.threshold))
        return " ".join(["!mask", render_prompt(self.path), *words])


def read_selection(bang: Bang, defaults: Mapping[str, Any], newest: Sequence[tuple[str, int]]) -> Selection:
    """What `bang` selects; `defaults` are those of the launch and the sitting, `newest` the pictures made in it.

    Raises CommandError, PictureError or RequestError with the column.
    """
    draft = read_file_line(bang)
    for name, column in draft.columns.items():
        if name not in TAKEN:
            raise CommandError(f"{by_name()[name].spelling} says nothing to !mask", code="bad_value", column=column)
    if "text_mask" not in draft.switches:
        raise CommandError(
            "!mask expects -tm with what to select",
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
        error.column = bang.column
        raise
    text, threshold = (*draft.switches["text_mask"], TEXT_MASK_THRESHOLD)[:2]
    return Selection(path, text, threshold, outdir, draft.columns.get("outdir"))
