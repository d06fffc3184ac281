"""SWITCHES: the one table. Parser, help, completion, the saved line, metadata and the README are functions of it.

To add a switch, add a row; if it makes the picture, `field` names the field of `Request` that it fills.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from invoke.language.types import (
    Axes,
    Choice,
    Control,
    Flag,
    Integer,
    Interval,
    ModelName,
    Number,
    Numbers,
    OldDirection,
    Path,
    Reference,
    Refiner,
    SamplerName,
    Seed,
    Sides,
    SwitchType,
    Template,
    Text,
    TextMask,
    Variations,
)
from invoke.request import FIDELITY, GUIDANCE_SCALE, IMAGE_GUIDANCE
from invoke.samplers import SAMPLERS

Group = Literal["picture", "init picture", "inpainting", "variations", "detail", "finish", "output", "old"]
Needs = Literal["", "-I", "hole"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """One row."""

    name: str
    """The long name, with underscores."""
    short: tuple[str, ...] = ()
    synonyms: tuple[str, ...] = ()
    """Other long names."""
    type: SwitchType
    default: Any = None
    """What a line gets that does not say; None: the model's, or nothing."""
    help: str
    group: Group
    field: str = ""
    """The field of `Request` that it fills."""
    needs: Needs = ""
    """Without this it has no effect, and that is said: `-I`, or a `hole` to inpaint."""
    launch: bool = True
    """Whether it makes sense as a default for every line."""
    repeats: bool = False
    """Given several times, its values add up; others: the last one wins."""
    pending: str = ""
    """What this version cannot do yet; the switch is refused with it."""
    obsolete: str = ""
    """Why it has become unnecessary; accepted without effect, and that is said."""

    @property
    def spelling(self) -> str:
        """How it is shown to people: `-f/--strength`."""
        return "/".join([*(f"-{name}" for name in self.short), f"--{self.name}"])

    @property
    def is_flag(self) -> bool:
        return isinstance(self.type, Flag)

    def occurrences(self, value: Any) -> tuple[Any, ...]:
        """What was typed for `value`, one by one."""
        return value if self.repeats else (value,)


INFILLS = {
    "keep": "the colours that the file has there",
    "blur": "the colours of the rim, blurred inward",
    "noise": "random colours",
    "solid": "the mean colour of the rest",
}
_AMOUNT = Number(0, 1)

_MAKING = (
    Switch(
        name="prompt",
        type=Text(),
        default="",
        field="prompt",
        group="picture",
        launch=False,
        help="the prompt, given explicitly; words that belong to no switch are the prompt otherwise",
    ),
    Switch(
        name="steps",
        short=("s",),
        synonyms=("num_inference_steps",),
        type=Integer(1, 1000),
        default=50,
        field="steps",
        group="picture",
        help="length of the denoising schedule",
    ),
    Switch(
        name="seed",
        short=("S",),
        type=Seed(),
        field="seed",
        group="picture",
        launch=False,
        help="of the noise; random if not given, -1 = the newest picture's; with -n: S, S+1, …",
    ),
    Switch(
        name="width",
        short=("W",),
        type=Integer(64, 8192),
        field="width",
        group="picture",
        help="pixels, rounded to the model's multiple; the model's or the init picture's if not given",
    ),
    Switch(
        name="height",
        short=("H",),
        type=Integer(64, 8192),
        field="height",
        group="picture",
        help="pixels, rounded to the model's multiple; the model's or the init picture's if not given",
    ),
    Switch(
        name="cfg_scale",
        short=("C",),
        synonyms=("guidance_scale",),
        type=Number(0),
        default=GUIDANCE_SCALE,
        field="guidance_scale",
        group="picture",
        help="how closely to follow the prompt; 1 or less turns guidance off, and its cost",
    ),
    Switch(
        name="sampler",
        short=("A", "sampler"),
        synonyms=("scheduler",),
        type=SamplerName({row.name: row.summary for row in SAMPLERS.values()}),
        field="scheduler",
        group="picture",
        help="how the noise is taken away; the model's own if not given",
    ),
    Switch(
        name="karras",
        type=Flag(),
        default=False,
        field="karras",
        group="picture",
        help="noise levels of Karras et al. (2022): more steps where the detail is",
    ),
    Switch(
        name="negative_prompt",
        type=Text(),
        default="",
        field="negative_prompt",
        group="picture",
        help="what to keep out of the picture; also [in brackets] inside the prompt",
    ),
    Switch(
        name="model",
        short=("m",),
        type=ModelName(),
        field="model",
        group="picture",
        help="a name of !models, a folder, a .safetensors file or a hub id",
    ),
    Switch(
        name="init_img",
        short=("I",),
        synonyms=("image",),
        type=Path(),
        field="init_image",
        group="init picture",
        launch=False,
        help="picture to start from; -1 = the newest made in this session, -2 the one before",
    ),
    Switch(
        name="more_img",
        type=Path(),
        default=(),
        field="more_images",
        group="init picture",
        needs="-I",
        launch=False,
        repeats=True,
        help="a further picture, for models that edit several by instruction; a second -I is the same",
    ),
    Switch(
        name="image_cfg",
        synonyms=("image_guidance_scale",),
        type=Number(0),
        default=IMAGE_GUIDANCE,
        field="image_guidance_scale",
        group="init picture",
        needs="-I",
        help="with InstructPix2Pix: how closely to keep the picture; below 1 turns guidance off, and its cost",
    ),
    Switch(
        name="strength",
        short=("f",),
        type=_AMOUNT,
        default=0.75,
        field="strength",
        group="init picture",
        needs="-I",
        help="how much of it to redraw: 0 keeps the original, 1 ignores it",
    ),
    Switch(
        name="strength_map",
        type=Path(),
        field="strength_map",
        group="init picture",
        needs="-I",
        launch=False,
        help="picture whose grey is the strength at each place, instead of -f: black keeps, white redraws as -f 1",
    ),
    Switch(
        name="fit",
        short=("T", "fit"),
        type=Flag(),
        default=False,
        group="init picture",
        needs="-I",
        help="shrink the init picture to fit inside -W × -H, keeping its shape; never enlarges",
    ),
    Switch(
        name="exact_steps",
        type=Flag(),
        default=False,
        group="init picture",
        needs="-I",
        help="lengthen the schedule so that the asked number of steps is really taken",
    ),
    Switch(
        name="init_mask",
        short=("M",),
        type=Path(),
        field="mask_image",
        group="inpainting",
        needs="-I",
        launch=False,
        help="mask picture: black or transparent = repaint; wins over the init picture's transparency",
    ),
    Switch(
        name="text_mask",
        short=("tm",),
        type=TextMask(),
        field="text_mask",
        group="inpainting",
        needs="-I",
        launch=False,
        help="repaint what the text names (CLIPSeg), 0.5 = how surely; -M and the picture's own transparency win",
    ),
    Switch(
        name="invert_mask",
        type=Flag(),
        default=False,
        field="invert_mask",
        group="inpainting",
        needs="hole",
        help="repaint what the mask keeps, and keep the rest",
    ),
    Switch(
        name="soft",
        type=Flag(),
        default=False,
        field="soft",
        group="inpainting",
        needs="-I",
        help="take the grey of -M for the strength at each place, instead of -f: black redraws as -f 1, white keeps",
    ),
    Switch(
        name="mask_blur",
        type=Integer(0, 256),
        default=8,
        field="mask_blur",
        group="inpainting",
        needs="hole",
        help="pixels of feathering, inside the hole only",
    ),
    Switch(
        name="inpaint_replace",
        short=("r",),
        type=_AMOUNT,
        default=0.0,
        field="inpaint_replace",
        group="inpainting",
        needs="hole",
        help="how much to forget what lies under the hole",
    ),
    Switch(
        name="infill",
        type=Choice(INFILLS),
        default="keep",
        field="infill",
        group="inpainting",
        needs="hole",
        help="what lies under the hole before it is encoded",
    ),
    Switch(
        name="outcrop",
        short=("c",),
        type=Sides(),
        default=(),
        field="outcrop",
        group="inpainting",
        needs="-I",
        launch=False,
        help="extend the canvas by pixels at its sides and paint the new part; -f is 0.9 then if not given",
    ),
    Switch(
        name="iterations",
        short=("n",),
        type=Integer(1, 1_000_000),
        default=1,
        group="variations",
        help="pictures for this line",
    ),
    Switch(
        name="variation_amount",
        short=("v",),
        type=_AMOUNT,
        default=0.0,
        group="variations",
        help="vary the seed's noise by this much, differently in each of -n pictures",
    ),
    Switch(
        name="with_variations",
        short=("V",),
        type=Variations(),
        default=(),
        field="variations",
        group="variations",
        launch=False,
        help="combine variations: lean the noise towards each seed's, in this order",
    ),
    Switch(
        name="drift",
        type=Flag(),
        default=False,
        group="variations",
        needs="-I",
        help="with -v: start each picture from the one before",
    ),
    Switch(
        name="sweep",
        type=Text("switch=a,b,c"),
        group="variations",
        launch=False,
        repeats=True,
        help="one picture per value on the same seed, and a labelled sheet; two make a table; also over "
        "words: prompt=a,b, word:tree=tree,house, preset=oil,ink, lora:NAME=0.4,0.8",
    ),
    Switch(
        name="wild",
        type=Flag(),
        default=False,
        group="variations",
        help="draw {a|b}, {2$$a|b|c} and __file__ in the prompt by each picture's seed: !help wildcards",
    ),
)

_REFINING = (
    Switch(
        name="refiner",
        type=Refiner(),
        field="refiner",
        group="detail",
        help="let another model draw the end of the schedule, from this share of it on (0.8 if not given)",
    ),
    Switch(
        name="control",
        type=Control(),
        default=(),
        field="controls",
        group="detail",
        launch=False,
        repeats=True,
        help="have a ControlNet follow a picture, this strongly, in this part of the steps (0:0.6); "
        "auto:canny = the init picture's edges; repeatable",
    ),
    Switch(
        name="ip_adapter",
        type=Reference(),
        default=(),
        field="ip_adapters",
        group="detail",
        launch=False,
        repeats=True,
        help="adopt the style or subject of a picture, this strongly (IP-Adapter; the first of !models that fits, "
        "or the one that is named); repeatable",
    ),
    Switch(
        name="cfg_interval",
        type=Interval(),
        field="guidance_interval",
        group="detail",
        help="guide between these shares of the way from noise to picture only, and save its cost elsewhere",
    ),
    Switch(
        name="cfg_rescale",
        synonyms=("guidance_rescale",),
        type=_AMOUNT,
        field="guidance_rescale",
        group="detail",
        help="take back what guidance adds in contrast, by this share; the model's own if not given",
    ),
    Switch(
        name="clip_skip",
        type=Integer(0, 11),
        default=0,
        field="clip_skip",
        group="detail",
        help="read the prompt without the last N layers of the text encoder; A1111's Clip skip 2 is 1",
    ),
    Switch(
        name="reuse",
        type=Integer(1, 20),
        default=1,
        field="reuse",
        group="detail",
        help="compute the UNet's deep half at every Nth step only: about twice as fast at 3, details change a little",
    ),
    Switch(
        name="batch_size",
        type=Integer(1, 64),
        default=1,
        field="batch_size",
        group="detail",
        help="pictures of a line, or of a batch, that are drawn at once: sooner, but not the same to the last bit",
    ),
    Switch(
        name="freeu",
        type=Flag(),
        default=False,
        field="freeu",
        group="detail",
        help="clearer shapes and more contrast at no cost: FreeU's stronger deep features and weaker skips in the UNet",
    ),
    Switch(
        name="pag",
        synonyms=("pag_scale",),
        type=Number(0),
        default=0.0,
        field="pag_scale",
        group="detail",
        help="perturbed-attention guidance of this strength (3 is usual): sounder shapes, in half as much time again",
    ),
    Switch(
        name="hires_fix",
        type=Flag(),
        default=False,
        field="hires_fix",
        group="detail",
        help="text-to-image at the model's own size first, then image-to-image at -f at full size",
    ),
    Switch(
        name="seamless",
        type=Flag(),
        default=False,
        field="seamless",
        group="detail",
        help="a picture that tiles",
    ),
    Switch(
        name="seamless_axes",
        type=Axes(),
        default=("x", "y"),
        field="seamless_axes",
        group="detail",
        help="with --seamless: in which directions it tiles",
    ),
    Switch(
        name="threshold",
        type=Number(0),
        default=0.0,
        field="threshold",
        group="detail",
        help="redraw latent values beyond this limit, against burnt colours at a high -C; 0 is off",
    ),
    Switch(
        name="perlin",
        type=_AMOUNT,
        default=0.0,
        field="perlin",
        group="detail",
        help="share of Perlin noise in the starting noise",
    ),
    Switch(
        name="h_symmetry_time_pct",
        type=_AMOUNT,
        field="h_symmetry_time_pct",
        group="detail",
        help="mirror left to right after this share of the steps",
    ),
    Switch(
        name="v_symmetry_time_pct",
        type=_AMOUNT,
        field="v_symmetry_time_pct",
        group="detail",
        help="mirror top to bottom after this share of the steps",
    ),
    Switch(
        name="init_color",
        type=Path(),
        field="init_color",
        group="finish",
        launch=False,
        help="match the result's colours to this picture",
    ),
    Switch(
        name="upscale",
        short=("U",),
        type=Numbers("factor [0..1]", (Number(1, 16), _AMOUNT), 2),
        field="upscale",
        group="finish",
        launch=False,
        help="enlarge the result; 0.75 = how much of the upscaler's work to take, the rest is plain scaling",
    ),
    Switch(
        name="upscaler",
        type=ModelName("upscaler"),
        field="upscaler",
        group="finish",
        help="which model enlarges: a name of !models, a folder or a .safetensors file",
    ),
    Switch(
        name="upscale_guidance",
        type=Number(0),
        field="upscale_guidance",
        group="finish",
        help="how closely a diffusion model that enlarges follows the prompt; as -C where that is typed, else 9",
    ),
    Switch(
        name="facetool_strength",
        short=("G",),
        synonyms=("gfpgan_strength",),
        type=_AMOUNT,
        default=0.0,
        field="facetool_strength",
        group="finish",
        help="repair the faces that are found: how much of the repaired ones to take",
    ),
    Switch(
        name="facetool",
        short=("ft",),
        type=ModelName("face"),
        field="facetool",
        group="finish",
        help="which model repairs faces: a name of !models or a .safetensors file; the first of !models if not given",
    ),
    Switch(
        name="codeformer_fidelity",
        short=("cf",),
        type=_AMOUNT,
        default=FIDELITY,
        field="codeformer_fidelity",
        group="finish",
        help="0 quality … 1 likeness; for CodeFormer alone",
    ),
    Switch(
        name="embiggen",
        short=("embiggen",),
        type=Numbers("factor [0..1] [overlap]", (Number(1, 16), _AMOUNT, Number(0)), 3),
        field="embiggen",
        group="detail",
        needs="-I",
        launch=False,
        help="enlarge the init picture, then redraw it in tiles of the model's own size",
    ),
    Switch(
        name="embiggen_tiles",
        short=("embiggen_tiles",),
        type=Numbers("tile …", (Number(1),), 10_000, whole=True),
        default=(),
        field="embiggen_tiles",
        group="detail",
        needs="-I",
        launch=False,
        help="redraw only these tiles of the enlarged picture, counted from 1",
    ),
    Switch(
        name="embiggen_strength",
        short=("embiggen_strength",),
        type=_AMOUNT,
        group="detail",
        needs="-I",
        help="how much each tile is redrawn; -f if not given, else 0.4",
    ),
)

_SAVING = (
    Switch(
        name="outdir",
        short=("o",),
        type=Path("folder"),
        default="outputs",
        group="output",
        help="where to write",
    ),
    Switch(
        name="grid",
        short=("g",),
        type=Flag(),
        default=False,
        group="output",
        help="also write one sheet of the line's pictures",
    ),
    Switch(
        name="save_intermediates",
        type=Integer(0, 1000),
        group="output",
        help="keep every Nth step as a picture, 0 none; 1 in the shell and for a single line, 0 in a batch",
    ),
    Switch(
        name="intermediates",
        type=Choice({"latents": "as they are, noise and all", "clean": "the picture that the model expects of them"}),
        default="latents",
        group="output",
        help="what steps show: the latents as they are, noise and all, or the clean picture predicted from them",
    ),
    Switch(
        name="intermediates_decoder",
        type=Choice({"linear": "a rough estimate, almost free", "vae": "exact, but as slow as a step or more"}),
        default="linear",
        group="output",
        help="how steps become pictures: linear, a rough estimate at no cost, or vae, exact and slow",
    ),
    Switch(
        name="strip",
        type=Flag(),
        default=False,
        group="output",
        help="the steps side by side in one PNG",
    ),
    Switch(name="gif", type=Flag(), default=False, group="output", help="the steps as an animation"),
    Switch(
        name="log_tokenization",
        short=("t",),
        type=Flag(),
        default=False,
        group="output",
        help="show the tokens of the prompt with their weights, 75 in a row",
    ),
    Switch(
        name="png_compression",
        short=("z",),
        type=Integer(0, 9),
        default=6,
        group="output",
        help="0 fast and large … 9 slow and small; the pixels are the same",
    ),
    Switch(
        name="fnformat",
        type=Template(),
        default="{prefix}.{seed}.png",
        group="output",
        help="file name: {prefix} {seed} {prompt} {steps} {cfg_scale} {width} {height} …",
    ),
    Switch(
        name="save_original",
        short=("save_orig",),
        type=Flag(),
        default=False,
        group="output",
        help="also keep the picture from before upscaling and face repair",
    ),
    Switch(
        name="ai_label",
        type=Flag(),
        default=True,
        group="output",
        help="mark the file as AI-made (IPTC digital source type)",
    ),
    Switch(
        name="defaults",
        type=Flag(),
        default=True,
        group="output",
        launch=False,
        help="--no-defaults: this line gives everything that makes the picture; launch and session defaults stay out",
    ),
)

_K = "noise levels are chosen by the sampler and --karras"
_SEAM = "the seam is feathered inward by --mask_blur"
_RETIRED = (
    Switch(name="karras_max", type=Integer(0), group="old", help="retired", obsolete=_K),
    Switch(
        name="skip_normalize",
        short=("x",),
        type=Flag(),
        group="old",
        help="retired",
        obsolete="no_normalize in a .blend() keeps its weights as typed",
    ),
    Switch(name="seam_size", type=Integer(0), group="old", help="retired", obsolete=_SEAM),
    Switch(name="seam_blur", type=Integer(0), group="old", help="retired", obsolete=_SEAM),
    Switch(name="seam_strength", type=Number(0), group="old", help="retired", obsolete=_SEAM),
    Switch(name="seam_steps", type=Integer(0), group="old", help="retired", obsolete=_SEAM),
    Switch(
        name="tile_size",
        type=Integer(0),
        group="old",
        help="retired",
        obsolete="--infill says what fills a hole",
    ),
    Switch(
        name="force_outpaint",
        type=Flag(),
        group="old",
        help="retired",
        obsolete="-c extends the canvas by itself",
    ),
    Switch(
        name="use_mps_noise",
        type=Flag(),
        group="old",
        help="retired",
        obsolete="noise is the same on every device",
    ),
    Switch(
        name="individual",
        short=("i",),
        type=Flag(),
        group="old",
        help="retired",
        obsolete="single pictures are always kept; --no-grid turns the sheet off",
    ),
    Switch(
        name="out_direction",
        short=("D",),
        type=OldDirection(),
        group="old",
        launch=False,
        help="retired",
        obsolete="-c extends the canvas",
    ),
    Switch(
        name="new_prompt",
        type=Text(),
        group="old",
        launch=False,
        help="the prompt for !fix",
        obsolete="it belongs to !fix",
    ),
)

SWITCHES: tuple[Switch, ...] = _MAKING + _REFINING + _SAVING + _RETIRED


@cache
def by_name() -> Mapping[str, Switch]:
    """Every long name and synonym → its row."""
    return {name: row for row in SWITCHES for name in (row.name, *row.synonyms)}


_OTHER_NAMES = {
    **dict.fromkeys(("ddim_steps", "sampling_steps", "n_steps"), "steps"),
    **dict.fromkeys(("n_iter", "num_images_per_prompt", "num_images", "batch_count", "num_outputs"), "iterations"),
    **dict.fromkeys(("cfg", "scale", "guidance"), "cfg_scale"),
    **dict.fromkeys(("denoising_strength", "denoise", "prompt_strength", "image_strength"), "strength"),
    **dict.fromkeys(("sampler_name", "sampler_index", "sampling_method"), "sampler"),
    **dict.fromkeys(("init_image", "init_images", "initial_image"), "init_img"),
    **dict.fromkeys(("mask", "mask_image"), "init_mask"),
    **dict.fromkeys(("negative", "neg_prompt"), "negative_prompt"),
    **dict.fromkeys(("enable_hr", "hr", "hires"), "hires_fix"),
    "W": "width",
    "H": "height",
    "tiling": "seamless",
    "variation_strength": "variation_amount",
}
"""Long names of A1111, diffusers and the first scripts → ours, where they mean exactly the same."""

_ELSEWHERE = {
    **dict.fromkeys(("b", "batch", "n_samples"), "-n is how many pictures, --batch_size how many are drawn at once"),
    **dict.fromkeys(("eta", "ddim_eta"), "-A ddim is deterministic, -A ddpm is not"),
    **dict.fromkeys(("plms", "klms", "dpm_solver", "dpm"), "the sampler is -A: -A plms, -A k_lms, -A k_dpmpp_2"),
    **dict.fromkeys(("ckpt", "ckpt_path", "weights", "checkpoint"), "the model is -m"),
    **dict.fromkeys(("restore_faces", "gfpgan", "codeformer"), "faces are repaired by -G 0.8"),
    **dict.fromkeys(("subseed", "variation_seed"), "variations are combined by -V SEED:WEIGHT"),
    **dict.fromkeys(("subseed_strength", "variants"), "the amount of a variation is -v"),
    **dict.fromkeys(("ar", "aspect", "aspect_ratio", "size"), "the size is -W 512 -H 384"),
    **dict.fromkeys(("no", "un"), "what to keep out is --negative_prompt, or [in brackets] in the prompt"),
    **dict.fromkeys(("skip_grid", "n_rows"), "a sheet is made only with -g"),
    **dict.fromkeys(("lora", "loras"), "a LoRA stands in the prompt: withLora(name, 0.8)"),
    **dict.fromkeys(("embedding", "hypernetwork"), "a textual inversion stands in the prompt: <trigger>"),
    **dict.fromkeys(("vae", "vae_path"), "the VAE belongs to the model: !edit_model NAME vae=FILE"),
    **dict.fromkeys(("scheduler_type", "schedule_type"), "Karras' noise levels are --karras"),
    **dict.fromkeys(
        ("fixed_code", "laion400m", "f16", "full_precision"), "the first scripts needed it; here it has no use"
    ),
}
"""What to type instead of switches that other programs have and this one does not, by name without dashes."""


def by_other_name(name: str) -> Switch | None:
    """The row of a long name that other programs have for it."""
    ours = _OTHER_NAMES.get(name)
    return by_name()[ours] if ours else None


def answer_elsewhere(typed: str) -> str:
    """What to type instead of `typed`, a switch of another program, perhaps with its value (`-b4`); "" if unknown."""
    name = typed.lstrip("-").replace("-", "_")
    return _ELSEWHERE.get(name) or (_ELSEWHERE.get(name.rstrip("0123456789.")) if len(name) < 6 else None) or ""


@cache
def by_short() -> Mapping[str, Switch]:
    """Every short name, without its dash → its row."""
    return {name: row for row in SWITCHES for name in row.short}


@cache
def by_field() -> Mapping[str, Switch]:
    """Every field of `Request` → the row that fills it."""
    return {row.field: row for row in SWITCHES if row.field}


LATER = (
    "guidance_rescale",
    "clip_skip",
    "strength_map",
    "soft",
    "ip_adapters",
    "upscale_guidance",
    "more_images",
    "image_guidance_scale",
    "freeu",
    "pag_scale",
)


@cache
def later_fields() -> Mapping[str, Any]:
    """The fields that `Request` has got since 0.1.0 → what they were before: their table's default.

    What an older version has written, or made a digest of, does not say them.
    """
    return {name: by_field()[name].default for name in LATER}


def in_force(name: str, given: Mapping[str, Any]) -> Any:
    """What `given` (long name → value) says of a switch, else the table's default. An explicit 0 is an answer."""
    return given[name] if name in given else by_name()[name].default
