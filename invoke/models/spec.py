"""ModelSpec: describes a model before it is loaded."""

from dataclasses import dataclass
from typing import Literal

from invoke.models.families import Family
from invoke.options import Offload, Quantize

DEFAULT_MODEL = "pocket"
INDEX = "model_index.json"
LARGEST_JSON = 10_000_000
"""Bytes of a config, an index or a tokenizer: the parser takes about thirty times as many."""
"""File in which a folder in diffusers layout lists its parts."""

Kind = Literal[
    "model",
    "controlnet",
    "detector",
    "ip-adapter",
    "lora",
    "embedding",
    "upscaler",
    "text-mask",
    "face",
    "vae",
    "image-encoder",
    "safety",
]
PREDICTIONS = ("epsilon", "v_prediction")
SPACINGS = ("leading", "trailing", "linspace")


UNION_MODES = {
    **dict.fromkeys(("openpose",), 0),
    **dict.fromkeys(("depth",), 1),
    **dict.fromkeys(("scribble", "hed", "pidi", "ted"), 2),
    **dict.fromkeys(("canny", "lineart", "anime_lineart", "mlsd"), 3),
    **dict.fromkeys(("normal",), 4),
    **dict.fromkeys(("segment",), 5),
    **dict.fromkeys(("tile",), 6),
    **dict.fromkeys(("repaint",), 7),
}
"""Mode of a union ControlNet → its number; only the larger model has the last two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """An entry of the list of models, or the result of recognising a folder, file or hub id."""

    name: str
    weights: str
    """A folder in diffusers layout, one `.safetensors` file, or a hub id."""
    kind: Kind = "model"
    family: Family = "sd"
    """`sd`: Stable Diffusion 1 and 2; `auto`: any other that diffusers' AutoPipeline supports. For a ControlNet, LoRA,
    embedding or VAE: the family of the models it works with."""
    description: str = ""
    width: int = 512
    height: int = 512
    min_side: int = 0
    """Shortest side at which it draws well, in pixels; 0: three quarters of its native shorter side."""
    max_side: int = 0
    """Longest such side; 0: 1.5 times its native longer side, and at most 1.5 times its native area."""
    multiple: int = 8
    """Sides must be multiples of this, in pixels."""
    sampler: str = "k_lms"
    steps: int = 0
    """Default for `-s`; 0: the general default."""
    guidance_scale: float = 0.0
    """Default for `-C`; 0: the general default."""
    pipeline: str = ""
    """diffusers' pipeline class, if it determines the meaning of `-I` (`editors.EDITORS`)."""
    prediction_type: str = ""
    """What its network predicts, if its files do not say: `epsilon` or `v_prediction`."""
    zero_snr: bool = False
    """Whether its schedule ends in pure noise (Lin et al. 2024), if its files do not say."""
    timestep_spacing: str = ""
    """diffusers' `timestep_spacing`: `leading`, `trailing` or `linspace`; "": as in its configs."""
    cfg_rescale: float = 0.0
    """Default for `--cfg_rescale`, 0..1 (Lin et al. 2024, 3.4)."""
    quantize: Quantize | Literal[""] = ""
    """Quantisation of its transformer and language models: `int8`, `nf4` or `none`; "": as `--quantize`."""
    offload: Offload | Literal[""] = ""
    """Where its networks wait: `none`, `model`, `group` or `sequential`; "": as the launch says (`--offload`)."""
    gguf: str = ""
    """A `.gguf` file with the weights of its transformer, or a hub id with one; the rest is that of `weights`."""
    config: str = ""
    """For a single file: folder or hub id with the same architecture, for tokenizer and configs."""
    base: str = ""
    """For a single file: a model that provides missing parts: a name, a folder or a file."""
    vae: str = ""
    """A VAE that replaces its own: a name of kind `vae`, a folder, file or hub id."""
    preview_vae: str = ""
    """A tiny VAE (TAESD) for previews: a name of kind `vae`, a folder, file or hub id."""
    lora: str = ""
    """A LoRA that is always applied, at weight 1: a name of kind `lora`, a folder, file or hub id."""
    prior: str = ""
    """Kandinsky 2.2: folder or hub id of the prior, if the model's own folder has none."""
    mode: str = ""
    """For a union ControlNet: the mode that this name stands for, one of `UNION_MODES`."""
    image_encoder: str = ""
    """For an IP-Adapter: its image encoder: a name of kind `image-encoder`, a folder, file or hub id; "": the one that
    its file is made for, or a folder `image_encoder` beside it."""
    vocabulary: str = ""
    """`closed`: it knows only the words of its tokenizer; others are reported."""
    triggers: tuple[str, ...] = ()
    """Trigger words."""
    licence: str = ""
    megabytes: int = 0
    """Size of the download in millions of bytes; 0: unknown."""
    stated: frozenset[str] = frozenset()
    """Fields that are set in its entry; the others are defaults, or come from its files."""

    @property
    def companions(self) -> tuple[tuple[str, Kind], ...]:
        """The other entries of which networks are loaded with it: name, kind. (Its LoRA is applied to each picture.)"""
        named: tuple[tuple[str, Kind], ...] = (
            (self.vae, "vae"),
            (self.base, "model"),
            (self.preview_vae, "vae"),
            (self.image_encoder, "image-encoder"),
        )
        return tuple((name, kind) for name, kind in named if name)

    @property
    def downloads(self) -> tuple[tuple[str, str], ...]:
        """What must be on this disk whole: a folder, file or hub id, and the part of it that is not needed."""
        return tuple(
            (name, part) for name, part in ((self.weights, self.without), (self.prior, ""), (self.gguf, "")) if name
        )

    @property
    def without(self) -> str:
        """The part of its folder that is not needed: another one takes its place; "": all are."""
        return "transformer" if self.gguf else ""

    def draws_well(self, width: int, height: int) -> bool:
        """Whether it is made for pictures of `width` × `height`."""
        sides = self.sides
        roomy = self.max_side > 0 or width * height <= 1.5 * self.width * self.height
        return roomy and min(width, height) in sides and max(width, height) in sides

    @property
    def sides(self) -> range:
        """The range of sides at which it draws well, in pixels."""
        least = self.min_side or 3 * min(self.width, self.height) // 4
        return range(least, (self.max_side or 3 * max(self.width, self.height) // 2) + 1)


def usual(spec: ModelSpec) -> dict[str, float]:
    """Long name of a switch → this model's default, if its entry sets one."""
    found = {"steps": spec.steps, "cfg_scale": spec.guidance_scale}
    return {name: value for name, value in found.items() if value}


BELONGS: dict[Kind, tuple[str, str]] = {
    "model": ("a whole model", "-m"),
    "controlnet": ("a ControlNet", "--control"),
    "detector": ("a detector", "--control NAME auto:depth"),
    "ip-adapter": ("an IP-Adapter", "--ip_adapter"),
    "lora": ("a LoRA", "withLora(name,weight) in the prompt"),
    "embedding": ("a textual inversion", "<trigger> in the prompt"),
    "upscaler": ("an upscaler", "-U"),
    "text-mask": ("a model for text masks", "-tm"),
    "face": ("a model for faces", "-G"),
    "vae": ("a VAE", "the field vae of a model"),
    "image-encoder": ("an image encoder", "the field image_encoder of an IP-Adapter"),
    "safety": ("a safety checker", "--safety_checker at the start"),
}
"""Kind → description, and where it is used."""
