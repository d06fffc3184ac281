"""ModelSpec: what is known of a model before it is loaded."""

from dataclasses import dataclass
from typing import Literal

from invoke.options import Offload, Quantize

DEFAULT_MODEL = "pocket"
INDEX = "model_index.json"
"""Where a folder in diffusers layout lists its parts."""

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
Family = Literal["sd", "sdxl", "sdxl-refiner", "kandinsky", "auto"]
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
"""What a ControlNet union can follow → its number there, as its makers count; the last two are in the larger one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One entry of the list of models, or what a folder, file or hub id turned out to hold."""

    name: str
    weights: str
    """A folder in diffusers layout, one `.safetensors` file, or a hub id."""
    kind: Kind = "model"
    family: Family = "sd"
    """`sd`: Stable Diffusion 1 and 2; `auto`: whatever diffusers' AutoPipeline knows. Of a ControlNet, LoRA,
    embedding or VAE: the family of the models that it fits."""
    description: str = ""
    width: int = 512
    height: int = 512
    min_side: int = 0
    """Shortest side at which it draws well, in pixels; 0: three quarters of its own shorter side."""
    max_side: int = 0
    """Longest such side; 0: one and a half times its own longer side, at no more than one and a half times its area."""
    multiple: int = 8
    """Sides must be multiples of this many pixels: the VAE's downsampling."""
    sampler: str = "k_lms"
    steps: int = 0
    """Of a line that does not say; 0: as for every model."""
    guidance_scale: float = 0.0
    """The same of `-C`."""
    pipeline: str = ""
    """The class of diffusers that draws with it, where that says what `-I` means (`editors.EDITORS`)."""
    prediction_type: str = ""
    """What its network predicts, where its files do not say: `epsilon` or `v_prediction`."""
    zero_snr: bool = False
    """Whether its schedule ends in pure noise (Lin et al. 2024), where its files do not say."""
    timestep_spacing: str = ""
    """How steps are spread over its schedule: `leading`, `trailing` or `linspace`; "": as its configs say."""
    cfg_rescale: float = 0.0
    """How much of guidance's gain in contrast is taken back, 0..1 (Lin et al. 2024, 3.4)."""
    quantize: Quantize | Literal[""] = ""
    """How the weights of its transformer and language models are kept: `int8`, `nf4` or `none`; "": as the launch
    says (`--quantize`)."""
    offload: Offload | Literal[""] = ""
    """Where its networks wait: `none`, `model`, `group` or `sequential`; "": as the launch says (`--offload`)."""
    gguf: str = ""
    """A `.gguf` file with the weights of its transformer, or a hub id with one; the rest is that of `weights`."""
    config: str = ""
    """For a single file: folder or hub id of the same architecture (tokenizer, configs)."""
    base: str = ""
    """For a single file: a model that supplies the parts that it lacks: a name, a folder or a file."""
    vae: str = ""
    """Another VAE instead of its own: a name of kind `vae`, a folder, file or hub id."""
    preview_vae: str = ""
    """A tiny VAE (TAESD) that shows the steps of a picture: a name of kind `vae`, a folder, file or hub id."""
    lora: str = ""
    """Of a model: a LoRA that it is always drawn with, at weight 1: a name of kind `lora`, a folder, file or hub id."""
    prior: str = ""
    """Kandinsky 2.2: folder or hub id of the prior, where the model's own folder has none."""
    mode: str = ""
    """Of a ControlNet union: the kind of picture that it follows under this name, one of `UNION_MODES`."""
    image_encoder: str = ""
    """IP-Adapter: what looks at its pictures: a name of kind `image-encoder`, a folder, file or hub id; "": the one
    that its file is made for, or a folder `image_encoder` beside it."""
    vocabulary: str = ""
    """`closed`: it knows the words of its tokenizer and no others, and those are named."""
    triggers: tuple[str, ...] = ()
    """Words that it was taught."""
    licence: str = ""
    megabytes: int = 0
    """What a download fetches, in millions of bytes; 0: not known."""
    stated: frozenset[str] = frozenset()
    """The fields that its entry states; the others are defaults, or come from its files."""

    @property
    def without(self) -> str:
        """The part of its folder that is not needed: another one takes its place; "": all are."""
        return "transformer" if self.gguf else ""

    def draws_well(self, width: int, height: int) -> bool:
        """Whether pictures of `width` × `height` are of a size that it was made for."""
        sides = self.sides
        roomy = self.max_side > 0 or width * height <= 1.5 * self.width * self.height
        return roomy and min(width, height) in sides and max(width, height) in sides

    @property
    def sides(self) -> range:
        """Pixels of a side at which it draws well."""
        least = self.min_side or 3 * min(self.width, self.height) // 4
        return range(least, (self.max_side or 3 * max(self.width, self.height) // 2) + 1)


def usual(spec: ModelSpec) -> dict[str, float]:
    """Long switch name → what a line of this model gets that does not say, where its entry says so."""
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
    "text-mask": ("a model for masks from words", "-tm"),
    "face": ("a model for faces", "-G"),
    "vae": ("a VAE", "the field vae of a model"),
    "image-encoder": ("an image encoder", "the field image_encoder of an IP-Adapter"),
    "safety": ("a safety checker", "--safety_checker at the start"),
}
"""Kind → what it is called, and where it is named."""
