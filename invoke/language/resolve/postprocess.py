"""`-U`, `-G` and `-embiggen`: plans the postprocessing of a picture."""

from collections.abc import Iterator, Mapping
from typing import Any

from invoke.errors import ModelError, RequestError
from invoke.images.geometry import overlap_of, tiles
from invoke.language.parse import Draft
from invoke.language.resolve.line_context import ErrorColumn
from invoke.language.switches import by_name, in_force
from invoke.models import ModelSpec, Registry
from invoke.models.upscaling import LARGEST, UPSCALE_STRENGTH, check_factor, is_diffusion
from invoke.request import Request


def finish(draft: Draft, settings: Mapping[str, Any], models: Registry) -> dict[str, Any]:
    """The fields of a Request for postprocessing; values without effect become their defaults.

    Raises RequestError or ModelError with the column.
    """
    return {**_enlarged(draft, settings, models), **_faces(draft, settings, models)}


def _enlarged(draft: Draft, settings: Mapping[str, Any], models: Registry) -> dict[str, Any]:
    """Factor and strength, the named model, and the guidance of diffusion upscalers."""
    found: dict[str, Any] = dict.fromkeys(("upscale", "upscaler", "upscale_guidance"))
    typed = in_force("upscale", settings)
    if typed is None or typed[0] == 1:
        return found
    factor, strength = (*typed, UPSCALE_STRENGTH)[:2]
    found["upscale"] = factor, strength
    if strength == 0:
        return found
    named = in_force("upscaler", settings)
    with ErrorColumn(draft, "upscaler"):
        spec = models.find(named, "upscaler") if named else None
    with ErrorColumn(draft, "upscale"):
        check_factor(factor, spec)
    guidance = in_force("upscale_guidance", settings)
    if (spec is None or is_diffusion(spec)) and guidance != in_force("cfg_scale", settings):
        found["upscale_guidance"] = guidance
    return found | {"upscaler": spec.name if spec else None}


def _faces(draft: Draft, settings: Mapping[str, Any], models: Registry) -> dict[str, Any]:
    if not in_force("facetool_strength", settings):
        return {name: by_name()[name].default for name in ("facetool", "codeformer_fidelity")}
    with ErrorColumn(draft, "facetool" if "facetool" in draft.columns else "facetool_strength"):
        return {"facetool": _facetool(settings, models)}


def _facetool(settings: Mapping[str, Any], models: Registry) -> str:
    """The model that repairs faces: the named one, else the first on the list."""
    listed = (spec.name for spec in models if spec.kind == "face")
    named = in_force("facetool", settings) or next(listed, None)
    if named is not None:
        return models.find(named, "face").name
    raise ModelError(
        "the list has no model for faces",
        code="not_listed",
        hint="download GFPGANv1.4.pth from github.com/TencentARC/GFPGAN/releases, then: !optimize_model GFPGANv1.4.pth",
    )


EMBIGGEN_STRENGTH = 0.4
"""Default strength of tiles: with more, each tile becomes a picture of its own."""
OVERLAP = 0.25


def settle_embiggen(settings: dict[str, Any], columns: Mapping[str, int]) -> Iterator[str]:
    """Fill the gaps of the `-embiggen` switches in `settings`, and yield notes for the user.

    Raises RequestError for switches that cannot be combined with tiles.
    """
    for name in ("init_mask", "text_mask", "outcrop", "strength_map"):
        if settings.get(name):
            raise RequestError(
                f"{by_name()[name].spelling} and -embiggen cannot be combined: tiles are redrawn as a whole",
                column=columns.get(name),
                hint="use a chain of two parts, with |> between them",
            )
    typed: tuple[float, ...] = settings["embiggen"]
    factor, share, overlap = (*typed, *(0.0, OVERLAP)[len(typed) - 1 :])
    if share:
        yield "the strength of -embiggen has no effect: it scales plainly; … -U 2 |> … -embiggen 1 uses a model first"
    settings["embiggen"] = (factor, 0.0, overlap)
    settings["strength"] = settings.get("embiggen_strength", settings.get("strength", EMBIGGEN_STRENGTH))


def count(request: Request, spec: ModelSpec) -> int:
    """How many tiles there are; `embiggen_tiles` limits which are drawn."""
    assert request.embiggen is not None
    width, height = request.size
    side = min(spec.width, spec.height)
    return len(tiles(height, width, side=side, overlap=overlap_of(request.embiggen[2], side)))


def drawn_by_embiggen(request: Request, spec: ModelSpec) -> int:
    """How many tiles are redrawn."""
    return len(set(request.embiggen_tiles)) or count(request, spec)


def check_embiggen(request: Request, spec: ModelSpec, columns: Mapping[str, int]) -> None:
    """Raise RequestError if the result is too large or a tile does not exist."""
    width, height = request.size
    if width * height > LARGEST:
        raise RequestError(
            f"-embiggen: the picture would be {width}×{height}: the limit is {LARGEST // 10**6} million pixels",
            code="too_large",
            column=columns.get("embiggen"),
            hint="use a smaller factor",
        )
    tiles = count(request, spec)
    beyond = [tile for tile in request.embiggen_tiles if tile > tiles]
    if beyond:
        raise RequestError(
            f"-embiggen_tiles: there is no tile {beyond[0]}; {width}×{height} has {tiles}",
            code="no_such_tile",
            column=columns.get("embiggen_tiles"),
            hint=f"tiles are counted row by row, 1 to {tiles}",
        )


def embiggen_summary(request: Request, spec: ModelSpec) -> Iterator[str]:
    """`embiggen  512×384 → 1024×768 in 6 tiles of 512×512`."""
    if request.embiggen is not None:
        tiles, side = count(request, spec), min(spec.width, spec.height)
        width, height = request.size
        which = f", of which {drawn_by_embiggen(request, spec)} are redrawn" if request.embiggen_tiles else ""
        yield (
            f"embiggen  {request.width}×{request.height} → {width}×{height} "
            f"in {tiles} tile{'s' if tiles > 1 else ''} of {min(side, width)}×{min(side, height)}{which}"
        )
