"""Which fields of a request a model does not support, by its family and its kind."""

from collections.abc import Mapping

from invoke.models.editors import editor_of
from invoke.models.families import FAMILIES, OFF, Family
from invoke.models.hub.cache import located
from invoke.models.spec import ModelSpec
from invoke.request import IMAGE_GUIDANCE, Request

NOT_EDITED = frozenset(
    {"refiner", "controls", "strength_map", "soft", "inpaint_replace", "embiggen", "embiggen_tiles", "pag_scale"}
)
"""Fields that are not supported when editing by instruction."""
FITTED: Mapping[Family, str] = {"sd": "Stable Diffusion 1 and 2", "sdxl": "Stable Diffusion XL"}
"""Families for which there are ControlNets and IP-Adapters."""


def unsupported(request: Request, spec: ModelSpec) -> tuple[str, ...]:
    """The fields of `request` that the model `spec` does not support, in the order of `OFF`."""
    if not is_known(spec) or not request.is_drawn:
        return ()
    fields, editor = FAMILIES[spec.family].refused, editor_of(spec)
    if editor is not None and request.init_image is not None:
        fields |= NOT_EDITED
    found = [name for name, off in OFF.items() if name in fields and getattr(request, name) != off]
    if request.image_guidance_scale != IMAGE_GUIDANCE and not (editor and editor.has_image_guidance):
        found.append("image_guidance_scale")
    if spec.family == "auto" and request.scheduler != spec.sampler:
        found.append("scheduler")
    return tuple(found)


def reads_literally(spec: ModelSpec) -> bool:
    """Whether the model takes plain prompts, without weights, blends, swaps or LoRAs."""
    return bool(FAMILIES[spec.family].refused) and is_known(spec)


def is_known(spec: ModelSpec) -> bool:
    """Whether the family is certain. It is not for a hub id that has not been downloaded."""
    return spec.family != "auto" or spec.description != "hub id" or located(spec.weights) is not None
