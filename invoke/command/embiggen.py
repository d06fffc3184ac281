"""`-embiggen`: what an enlarged picture's tiles are, as far as that can be said before anything is drawn."""

from collections.abc import Iterator, Mapping
from typing import Any

from invoke.errors import RequestError
from invoke.models import ModelSpec
from invoke.pictures.tiling import overlap_of, tiles
from invoke.request import Request
from invoke.switches import by_name
from invoke.upscaling import LARGEST

STRENGTH = 0.4
"""What tiles are redrawn with where nothing is said: at more, each becomes a picture of its own."""
OVERLAP = 0.25


def settle(given: dict[str, Any], columns: Mapping[str, int]) -> Iterator[str]:
    """Fill the gaps of the `-embiggen` family in `given`, and yield what is to be said about it.

    Raises RequestError for what goes with no tiles.
    """
    for name in ("init_mask", "text_mask", "outcrop"):
        if given.get(name):
            raise RequestError(
                f"{by_name()[name].spelling} and -embiggen cannot be combined: all of a tile is redrawn",
                column=columns.get(name),
                hint="make two parts of a chain of it, with |> between",
            )
    typed: tuple[float, ...] = given["embiggen"]
    factor, share, overlap = (*typed, *(0.0, OVERLAP)[len(typed) - 1 :])
    if share:
        yield "the strength of -embiggen has no effect, it enlarges plainly: … -U 2 |> … -embiggen 1 asks a model first"
    given["embiggen"] = (factor, 0.0, overlap)
    given["strength"] = given.get("embiggen_strength", given.get("strength", STRENGTH))


def count(request: Request, spec: ModelSpec) -> int:
    """How many tiles there are; how many of them are drawn is said by `embiggen_tiles`."""
    assert request.embiggen is not None
    width, height = request.size
    side = min(spec.width, spec.height)
    return len(tiles(height, width, side=side, overlap=overlap_of(request.embiggen[2], side)))


def drawn(request: Request, spec: ModelSpec) -> int:
    """How many tiles are redrawn."""
    return len(set(request.embiggen_tiles)) or count(request, spec)


def check(request: Request, spec: ModelSpec, columns: Mapping[str, int]) -> None:
    """Raises RequestError where the result is too large, or a tile does not exist."""
    width, height = request.size
    if width * height > LARGEST:
        raise RequestError(
            f"-embiggen: the picture would be {width}×{height}, the most are {LARGEST // 10**6} million pixels",
            code="too_large",
            column=columns.get("embiggen"),
            hint="a smaller factor",
        )
    there = count(request, spec)
    beyond = [tile for tile in request.embiggen_tiles if tile > there]
    if beyond:
        raise RequestError(
            f"-embiggen_tiles: there is no tile {beyond[0]}, {width}×{height} has {there}",
            code="no_such_tile",
            column=columns.get("embiggen_tiles"),
            hint=f"tiles are counted row by row, 1 to {there}",
        )


def story(request: Request, spec: ModelSpec) -> Iterator[str]:
    """`embiggen  512×384 → 1024×768 in 6 tiles of 512×512`."""
    if request.embiggen is not None:
        there, side = count(request, spec), min(spec.width, spec.height)
        width, height = request.size
        which = f", of which {drawn(request, spec)} are redrawn" if request.embiggen_tiles else ""
        yield (
            f"embiggen  {request.width}×{request.height} → {width}×{height} "
            f"in {there} tile{'s' if there > 1 else ''} of {min(side, width)}×{min(side, height)}{which}"
        )
