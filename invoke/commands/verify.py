"""`!verify`: makes a picture again from its recipe and compares the two."""

import os
from collections.abc import Generator, Iterator
from math import inf, log10
from pathlib import Path
from typing import Literal

from invoke.commands.context import CommandContext
from invoke.commands.picture_arguments import pictures_named
from invoke.commands.verdict import Verdict
from invoke.engine import Engine
from invoke.errors import ModelError, PictureError
from invoke.events import EngineEvent, Finished, Pixels, RunInfo
from invoke.images import as_image, read_pixels
from invoke.language.parse import CommandCall
from invoke.language.switches import by_name, in_force
from invoke.models import ModelSpec
from invoke.outputs import logs, metadata
from invoke.paths import expanded
from invoke.request import Request

MUCH = 4
"""More than this many times the model's usual pixels or steps need the user's consent."""
CLOSE = 30.0
"""PSNR in decibels above which two pictures look the same."""


def verify(context: CommandContext, call: CommandCall) -> None:
    """`!verify FILE…`. Files without a recipe, such as sheets, are skipped if a pattern matches several.

    Raises InvokeError.
    """
    paths = pictures_named(call, context.session)
    for path in paths:
        try:
            if context.dry_run:
                recorded(path)
            else:
                _agree(context, path)
                context.watch(make_again(context.session.engine, path))
        except PictureError as error:
            if len(paths) == 1:
                error.column = call.column
                raise
            if error.code == "no_recipe":
                context.note(error.message)
            else:
                context.fail(error)
        if context.stopped:
            break


def _agree(context: CommandContext, path: str) -> None:
    """Ask before executing a foreign recipe that needs much work or reads files elsewhere.

    A picture listed in the log beside it is not foreign. Raises PictureError without a recipe or consent.
    """
    request, _ = recorded(path)
    if Path(path).name in logs.names(expanded(path).parent, logs.TEXT):
        return
    asked = [*_much_work(context, request), *_files_elsewhere(context, request, path)]
    if asked and not context.ask(f"{path} {' and '.join(asked)}: make it anyway?"):
        raise PictureError(
            f"{path} {' and '.join(asked)}, so it was not made again",
            code="not_agreed",
            hint="!fetch shows its line; to make it anyway, start the program with --yes",
        )


def _much_work(context: CommandContext, request: Request) -> Iterator[str]:
    """Describe size or steps far above the model's usual ones."""
    try:
        spec = context.session.models.find(request.model)
    except ModelError:
        spec = ModelSpec(name=request.model, weights="")
    width, height = request.finished_size
    steps = spec.steps or int(by_name()["steps"].default)
    if width * height > MUCH * spec.width * spec.height or request.steps > MUCH * steps:
        yield f"asks for {width}×{height} pixels and {request.steps} steps"


def _files_elsewhere(context: CommandContext, request: Request, path: str) -> Iterator[str]:
    """Describe files that it reads outside the working folder, the output folder and its own folder."""
    outdir = in_force("outdir", context.session.defaults)
    places = [Path(os.path.abspath(expanded(place))) for place in (".", outdir, expanded(path).parent)]  # noqa: PTH100
    at: Request | None = request
    while at is not None:
        for name in at.pictures:
            file = Path(os.path.abspath(expanded(name)))  # noqa: PTH100
            if not any(file.is_relative_to(place) for place in places):
                yield f"opens {file}"
        at = at.before


def make_again(engine: Engine, path: str) -> Generator[EngineEvent | Verdict, None, None]:
    """Make the picture at `path` again, yielding the engine's events and finally the Verdict.

    Raises PictureError if the file has no recipe, and the exceptions of `engine`.
    """
    request, facts = recorded(path)
    kept = read_pixels(path)
    for event in engine.generate(request):
        yield event
        if isinstance(event, Finished):
            yield compare(path, kept, event.image, _changes(facts, event.facts))


def recorded(path: str) -> tuple[Request, RunInfo | None]:
    """The recipe in the picture at `path`. Raises PictureError."""
    recipe = metadata.read(path)
    if recipe is None or recipe.request is None:
        raise PictureError(
            f"{path}: this file has no recipe",
            code="no_recipe",
            hint="only pictures made by this program can be verified",
        )
    return recipe.request, recipe.facts


def compare(path: str, kept: Pixels, made: Pixels, reasons: tuple[str, ...] = ()) -> Verdict:
    """Compare the picture at `path` with the one made again."""
    if (kept.width, kept.height) != (made.width, made.height):
        sizes = f"it was {kept.width}×{kept.height} and is now {made.width}×{made.height}"
        return Verdict(path, "different", 0.0, (sizes, *reasons))
    psnr = _psnr(kept, made)
    kind: Literal["same", "close", "different"] = "same" if psnr == inf else "close" if psnr >= CLOSE else "different"
    return Verdict(path, kind, psnr, reasons)


def _psnr(one: Pixels, other: Pixels) -> float:
    """10 log₁₀(255² / mean squared error)."""
    from PIL import ImageChops, ImageStat

    statistics = ImageStat.Stat(ImageChops.difference(as_image(one), as_image(other)))
    error = sum(statistics.sum2) / (3 * one.width * one.height)
    return inf if error == 0 else 10 * log10(255**2 / error)


def _changes(then: RunInfo | None, now: RunInfo) -> tuple[str, ...]:
    if then is None:
        return ()
    changes = [
        f"{name} was {before}, is {after}"
        for name, before, after in (
            ("the device", then.device, now.device),
            ("the precision", then.dtype, now.dtype),
            ("the number of threads (--threads)", then.threads or now.threads, now.threads),
            *((f"{name}", then.versions.get(name, "unknown"), found) for name, found in now.versions.items()),
        )
        if before != after
    ]
    names = {
        "init_image": "init picture",
        "mask_image": "mask",
        "strength_map": "strength map",
        "text_mask": "model for -tm",
    }
    changes += [
        f"the {names.get(name, name)} has changed"
        for name, digest in then.hashes.items()
        if digest != now.hashes.get(name)
    ]
    return tuple(changes)
