"""FAMILIES of models: the parts each is made of, and what of a request each one does not support."""

from collections.abc import Mapping

from invoke.models.editors import editor_of
from invoke.models.hub.cache import located
from invoke.models.spec import Family, ModelSpec
from invoke.request import IMAGE_GUIDANCE, Request

OFF: Mapping[str, object] = {
    "karras": False,
    "guidance_interval": None,
    "guidance_rescale": None,
    "clip_skip": 0,
    "batch_size": 1,
    "reuse": 1,
    "freeu": False,
    "pag_scale": 0.0,
    "variations": (),
    "perlin": 0.0,
    "threshold": 0.0,
    "h_symmetry_time_pct": None,
    "v_symmetry_time_pct": None,
    "seamless": False,
    "hires_fix": False,
    "refiner": None,
    "controls": (),
    "ip_adapters": (),
    "inpaint_replace": 0.0,
    "strength_map": None,
    "soft": False,
    "embiggen": None,
    "embiggen_tiles": (),
}
"""Fields of a Request that reach into noise, networks or steps, and their value when they are not used."""
REFUSED: Mapping[Family, frozenset[str]] = {
    "kandinsky": frozenset({"clip_skip", "refiner", "controls", "ip_adapters", "reuse", "freeu", "pag_scale"}),
    "auto": frozenset(OFF),  # another library's pipeline keeps all of these to itself
}
"""Family → the fields that its models do not support. Their prompts are read literally, too."""
NOT_EDITED = frozenset(
    {"refiner", "controls", "strength_map", "soft", "inpaint_replace", "embiggen", "embiggen_tiles", "pag_scale"}
)
"""The fields that no model supports while it edits a picture by instruction."""


FITTED: Mapping[Family, str] = {"sd": "Stable Diffusion 1 and 2", "sdxl": "Stable Diffusion XL"}
"""The families that ControlNets and IP-Adapters are made for."""


def unsupported(request: Request, spec: ModelSpec) -> tuple[str, ...]:
    """The fields of `request` that the model `spec` cannot follow, in the order of `OFF`."""
    if not is_known(spec) or (request.init_image is not None and request.strength == 0):
        return ()
    fields, editor = REFUSED.get(spec.family, frozenset()), editor_of(spec)
    if editor is not None and request.init_image is not None:
        fields |= NOT_EDITED
    found = [name for name, off in OFF.items() if name in fields and getattr(request, name) != off]
    if request.image_guidance_scale != IMAGE_GUIDANCE and not (editor and editor.has_image_guidance):
        found.append("image_guidance_scale")
    if spec.family == "auto" and request.scheduler != spec.sampler:
        found.append("scheduler")
    return tuple(found)


def reads_literally(spec: ModelSpec) -> bool:
    """Whether weights, blends, swaps and LoRAs mean nothing to the model."""
    return spec.family in REFUSED and is_known(spec)


def is_known(spec: ModelSpec) -> bool:
    """Whether the family is more than a guess: a hub id tells it once it is downloaded."""
    return spec.family != "auto" or spec.description != "hub id" or located(spec.weights) is not None


LIBRARIES = {
    "UNet2DConditionModel": "diffusers",
    "AutoencoderKL": "diffusers",
    "AutoencoderTiny": "diffusers",
    "VQModel": "diffusers",
    "PriorTransformer": "diffusers",
    "CLIPTextModel": "transformers",
    "CLIPTextModelWithProjection": "transformers",
    "CLIPVisionModelWithProjection": "transformers",
}
"""The networks that are known, and whose they are."""
TOKENIZERS = {"CLIPTokenizer"}
PARTS: Mapping[Family, Mapping[str, str]] = {
    "sdxl": {
        "unet": "UNet2DConditionModel",
        "vae": "AutoencoderKL",
        "text_encoder": "CLIPTextModel",
        "tokenizer": "CLIPTokenizer",
        "text_encoder_2": "CLIPTextModelWithProjection",
        "tokenizer_2": "CLIPTokenizer",
    },
    "sdxl-refiner": {
        "unet": "UNet2DConditionModel",
        "vae": "AutoencoderKL",
        "text_encoder_2": "CLIPTextModelWithProjection",
        "tokenizer_2": "CLIPTokenizer",
    },
    "sd": {
        "unet": "UNet2DConditionModel",
        "vae": "AutoencoderKL",
        "text_encoder": "CLIPTextModel",
        "tokenizer": "CLIPTokenizer",
    },
    "kandinsky": {"unet": "UNet2DConditionModel", "movq": "VQModel"},
}
"""What makes up a family: part → class. The first family that has all its parts is the one; no other part that
belongs to one of these may be there. Every other folder is of the family `auto`: diffusers' own pipeline serves it."""
INTERCHANGEABLE: Mapping[str, frozenset[str]] = {"AutoencoderKL": frozenset({"AutoencoderTiny"})}
"""Class → others that can stand in its place."""
PRIOR = {
    "prior": "PriorTransformer",
    "image_encoder": "CLIPVisionModelWithProjection",
    "text_encoder": "CLIPTextModelWithProjection",
    "tokenizer": "CLIPTokenizer",
}
"""Of Kandinsky, in a folder of its own; or beside the rest, where each name begins with `prior_`."""
_FOREIGN = {"prior", "transformer"}


def family_of(classes: Mapping[str, str]) -> Family:
    """The family of a folder whose `model_index.json` names these `classes`: part → class."""
    drawn_parts = {part for parts in PARTS.values() for part in parts} | _FOREIGN
    for family, parts in PARTS.items():
        fits = all(is_interchangeable(classes.get(part), kind) for part, kind in parts.items())
        if fits and not drawn_parts & classes.keys() - parts.keys():
            return family
    return "auto"


def is_interchangeable(found: str | None, kind: str) -> bool:
    """Whether a network of the class `found` can be what a family has as `kind`."""
    return found == kind or found in INTERCHANGEABLE.get(kind, ())
