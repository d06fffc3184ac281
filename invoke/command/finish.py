"""What is done to a picture when it is drawn: faces repaired (`-G`), the whole enlarged (`-U`)."""

from collections.abc import Mapping
from typing import Any

from invoke.command.draft import Draft
from invoke.command.world import Blame
from invoke.errors import ModelError
from invoke.models import Registry
from invoke.switches import by_name, in_force
from invoke.upscaling import STRENGTH, check_factor


def finish(draft: Draft, given: Mapping[str, Any], models: Registry) -> dict[str, Any]:
    """The fields of a Request that are not simply what is said: what can mean nothing is as if it were not said.

    Raises RequestError or ModelError with the column.
    """
    upscale, upscaler = _enlarged(draft, given, models)
    return {"upscale": upscale, "upscaler": upscaler, **_faces(draft, given, models)}


def _enlarged(
    draft: Draft, given: Mapping[str, Any], models: Registry
) -> tuple[tuple[float, float] | None, str | None]:
    """Factor and strength, and the model that is named."""
    typed = in_force("upscale", given)
    if typed is None or typed[0] == 1:
        return None, None
    factor, strength = (*typed, STRENGTH)[:2]
    if strength == 0:
        return (factor, strength), None
    named = in_force("upscaler", given)
    with Blame(draft, "upscaler"):
        spec = models.find(named, "upscaler") if named else None
    with Blame(draft, "upscale"):
        check_factor(factor, spec)
    return (factor, strength), spec.name if spec else None


def _faces(draft: Draft, given: Mapping[str, Any], models: Registry) -> dict[str, Any]:
    if not in_force("facetool_strength", given):
        return {name: by_name()[name].default for name in ("facetool", "codeformer_fidelity")}
    with Blame(draft, "facetool" if "facetool" in draft.columns else "facetool_strength"):
        return {"facetool": _facetool(given, models)}


def _facetool(given: Mapping[str, Any], models: Registry) -> str:
    """The model that repairs faces: the one that is named, else the first of the list."""
    listed = (spec.name for spec in models if spec.kind == "face")
    named = in_force("facetool", given) or next(listed, None)
    if named is not None:
        return models.find(named, "face").name
    raise ModelError(
        "no model for faces is on the list",
        code="not_listed",
        hint="fetch GFPGANv1.4.pth from github.com/TencentARC/GFPGAN/releases, then: !optimize_model GFPGANv1.4.pth",
    )
