"""Families of models: the parts that each consists of, and the fields of a request that each does not support."""

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
"""Fields of a Request that affect noise, networks or steps → their value when they are not used."""
REFUSED: Mapping[Family, frozenset[str]] = {
    "kandinsky": frozenset({"clip_skip", "refiner", "controls", "ip_adapters", "reuse", "freeu", "pag_scale"}),
    "auto": frozenset(OFF),  # diffusers' own pipelines control all of these
}
"""Family → fields that its models do not support. Their prompts are also read literally."""
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
    """Whether the model takes plain prompts, without weights, blends, swaps or LoRAs."""
    return spec.family in REFUSED and is_known(spec)


def is_known(spec: ModelSpec) -> bool:
    """Whether the family is certain. It is not for a hub id that has not been downloaded."""
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
"""Class of a known network → its library."""
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
"""The parts of each family: part → class. A folder belongs to the first family of which it has all parts and no foreign
ones. All other folders are of the family `auto` and run in diffusers' own pipelines."""
INTERCHANGEABLE: Mapping[str, frozenset[str]] = {"AutoencoderKL": frozenset({"AutoencoderTiny"})}
"""Class → other classes that can replace it."""
PRIOR = {
    "prior": "PriorTransformer",
    "image_encoder": "CLIPVisionModelWithProjection",
    "text_encoder": "CLIPTextModelWithProjection",
    "tokenizer": "CLIPTokenizer",
}
"""The parts of Kandinsky's prior, in its own folder, or in the model's with the prefix `prior_`."""
_FOREIGN = {"prior", "transformer"}


def family_of(classes: Mapping[str, str]) -> Family:
    """The family of a folder with these `classes` in its `model_index.json`: part → class."""
    drawn_parts = {part for parts in PARTS.values() for part in parts} | _FOREIGN
    for family, parts in PARTS.items():
        fits = all(is_interchangeable(classes.get(part), kind) for part, kind in parts.items())
        if fits and not drawn_parts & classes.keys() - parts.keys():
            return family
    return "auto"


def is_interchangeable(found: str | None, kind: str) -> bool:
    """Whether a network of the class `found` can serve as `kind`."""
    return found == kind or found in INTERCHANGEABLE.get(kind, ())
