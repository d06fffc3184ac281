"""FAMILIES: the one table of families of models, and how the family of a folder or a file is recognised."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Family = Literal["sd", "sdxl", "sdxl-refiner", "kandinsky", "auto"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyRow:
    """A row of FAMILIES."""

    parts: Mapping[str, str]
    """The parts of its folders: part → class."""
    sampler: str
    """The default of `-A`."""
    side: int
    """Native side of its models, in pixels, if their files do not say."""
    comes_in_one_file: bool = False
    """Whether its models also come in single files."""
    refused: frozenset[str] = frozenset()
    """Fields of a request, out of OFF, that its models do not support. If there are any, prompts are read literally."""

    @property
    def vae(self) -> str:
        """The part that encodes pictures."""
        return next((part for part, kind in self.parts.items() if kind in AUTOENCODERS), "vae")

    @property
    def file_parts(self) -> tuple[str, ...]:
        """The networks that a single file must hold; none if there are no single files of this family."""
        return tuple(part for part, kind in self.parts.items() if self.comes_in_one_file and kind not in TOKENIZERS)


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
AUTOENCODERS = {"AutoencoderKL", "VQModel"}
FAMILIES: Mapping[Family, FamilyRow] = {
    "sdxl": FamilyRow(
        parts={
            "unet": "UNet2DConditionModel",
            "vae": "AutoencoderKL",
            "text_encoder": "CLIPTextModel",
            "tokenizer": "CLIPTokenizer",
            "text_encoder_2": "CLIPTextModelWithProjection",
            "tokenizer_2": "CLIPTokenizer",
        },
        sampler="k_euler",
        side=1024,
        comes_in_one_file=True,
    ),
    "sdxl-refiner": FamilyRow(
        parts={
            "unet": "UNet2DConditionModel",
            "vae": "AutoencoderKL",
            "text_encoder_2": "CLIPTextModelWithProjection",
            "tokenizer_2": "CLIPTokenizer",
        },
        sampler="k_euler",
        side=1024,
        comes_in_one_file=True,
    ),
    "sd": FamilyRow(
        parts={
            "unet": "UNet2DConditionModel",
            "vae": "AutoencoderKL",
            "text_encoder": "CLIPTextModel",
            "tokenizer": "CLIPTokenizer",
        },
        sampler="k_lms",
        side=512,
        comes_in_one_file=True,
    ),
    "kandinsky": FamilyRow(
        parts={"unet": "UNet2DConditionModel", "movq": "VQModel"},
        sampler="ddpm",
        side=512,
        refused=frozenset({"clip_skip", "refiner", "controls", "ip_adapters", "reuse", "freeu", "pag_scale"}),
    ),
    "auto": FamilyRow(
        parts={},  # any: diffusers reads them
        sampler="k_euler",
        side=1024,
        refused=frozenset(OFF),  # diffusers' own pipelines control all of these
    ),
}
"""A folder belongs to the first family of which it has all parts and no foreign ones; all others are of the last one,
`auto`, and run in diffusers' own pipelines."""
INTERCHANGEABLE: Mapping[str, frozenset[str]] = {
    "AutoencoderKL": frozenset({"AutoencoderTiny"}),
    "CLIPTextModel": frozenset({"CLIPTextModelWithProjection"}),  # its projection is not used
}
"""Class → other classes that can replace it."""
PRIOR = {
    "prior": "PriorTransformer",
    "image_encoder": "CLIPVisionModelWithProjection",
    "text_encoder": "CLIPTextModelWithProjection",
    "tokenizer": "CLIPTokenizer",
}
"""The parts of Kandinsky's prior, in its own folder, or in the model's with the prefix `prior_`."""
_FOREIGN = {"prior", "transformer"}


def family_of_folder(classes: Mapping[str, str]) -> Family:
    """The family of a folder with these `classes` in its `model_index.json`: part → class."""
    drawn_parts = {part for row in FAMILIES.values() for part in row.parts} | _FOREIGN
    for family, row in FAMILIES.items():
        fits = all(is_interchangeable(classes.get(part), kind) for part, kind in row.parts.items())
        if fits and not drawn_parts & classes.keys() - row.parts.keys():
            return family
    return "auto"


def family_of_file(names: Iterable[str], text_width: int) -> Family:
    """The family of a single file with a UNet: from the `names` of its tensors and the width of its text embeddings."""
    names = list(names)
    if any(name.startswith("conditioner.embedders.1.") for name in names):
        return "sdxl"
    if any(name.startswith("conditioner.embedders.0.model.") for name in names):
        return "sdxl-refiner"
    if not is_told_sizes(names):
        return "sd"
    return "sdxl-refiner" if text_width == 1280 else "sdxl"


def is_told_sizes(names: Iterable[str]) -> bool:
    """Whether a UNet or ControlNet with tensors of these `names` is also told the picture's size, as in XL."""
    return any(re.search(r"(^|\.)(label_emb\.0\.0|add_embedding\.linear_1)\.weight$", name) for name in names)


def is_interchangeable(found: str | None, kind: str) -> bool:
    """Whether a network of the class `found` can serve as `kind`."""
    return found == kind or found in INTERCHANGEABLE.get(kind, ())
