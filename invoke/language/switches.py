"""SWITCHES: the one table of switches. Parser, help, completion, saved line, metadata and README are generated from it.

To add a switch, add a row; if it affects the picture, `field` names the field of `Request` that it sets.
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
    """One row of SWITCHES."""

    name: str
    """The long name, with underscores."""
    short: tuple[str, ...] = ()
    synonyms: tuple[str, ...] = ()
    """Other long names."""
    type: SwitchType
    default: Any = None
    """The default; None: the model's, or none."""
    help: str
    group: Group
    field: str = ""
    """The field of `Request` that it sets."""
    needs: Needs = ""
    """What it needs to have an effect: `-I`, or a `hole` to inpaint. Without it, a note says so."""
    launch: bool = True
    """Whether it makes sense as a default for every line."""
    repeats: bool = False
    """Whether it can be given several times, accumulating values; for other switches the last one wins."""
    pending: str = ""
    """A feature that is not implemented yet; the switch is rejected with this text."""
    obsolete: str = ""
    """Why it has become unnecessary; the switch is accepted without effect, with a note."""

    @property
    def spelling(self) -> str:
        """The form shown to users: `-f/--strength`."""
        return "/".join([*(f"-{name}" for name in self.short), f"--{self.name}"])

    @property
    def is_flag(self) -> bool:
        return isinstance(self.type, Flag)

    def occurrences(self, value: Any) -> tuple[Any, ...]:
        """The typed values, one by one."""
        return value if self.repeats else (value,)


INFILLS = {
    "keep": "the colours in the file",
    "blur": "the colours around the hole, blurred inward",
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
        help="the prompt, given explicitly; normally everything that is not a switch is the prompt",
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
        help="seed of the noise; random if not given, -1 = the most recent picture's; with -n: S, S+1, …",
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
        help="how closely to follow the prompt; 1 or less turns guidance off and saves its cost",
    ),
    Switch(
        name="sampler",
        short=("A", "sampler"),
        synonyms=("scheduler",),
        type=SamplerName({row.name: row.summary for row in SAMPLERS.values()}),
        field="scheduler",
        group="picture",
        help="the denoising method; the model's default if not given",
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
        help="picture to start from; -1 = the most recent of this session, -2 the one before",
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
        help="with InstructPix2Pix: how closely to follow the picture; below 1 turns guidance off and saves its cost",
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
        help="picture whose brightness is the strength of each pixel, instead of -f: black = 0, white = 1",
    ),
    Switch(
        name="fit",
        short=("T", "fit"),
        type=Flag(),
        default=False,
        group="init picture",
        needs="-I",
        help="shrink the init picture to fit inside -W × -H, keeping its proportions; never enlarges",
    ),
    Switch(
        name="exact_steps",
        type=Flag(),
        default=False,
        group="init picture",
        needs="-I",
        help="lengthen the schedule so that -s steps are really taken at any strength",
    ),
    Switch(
        name="init_mask",
        short=("M",),
        type=Path(),
        field="mask_image",
        group="inpainting",
        needs="-I",
        launch=False,
        help="mask picture: black or transparent = repaint; takes precedence over the init picture's transparency",
    ),
    Switch(
        name="text_mask",
        short=("tm",),
        type=TextMask(),
        field="text_mask",
        group="inpainting",
        needs="-I",
        launch=False,
        help="repaint what the text names (CLIPSeg), with a threshold (0.5); -M and the picture's own transparency "
        "take precedence",
    ),
    Switch(
        name="invert_mask",
        type=Flag(),
        default=False,
        field="invert_mask",
        group="inpainting",
        needs="hole",
        help="invert the mask: repaint what it keeps",
    ),
    Switch(
        name="soft",
        type=Flag(),
        default=False,
        field="soft",
        group="inpainting",
        needs="-I",
        help="use the brightness of -M as the strength of each pixel, instead of -f: black = 1, white = 0",
    ),
    Switch(
        name="mask_blur",
        type=Integer(0, 256),
        default=8,
        field="mask_blur",
        group="inpainting",
        needs="hole",
        help="width of the feathered rim in pixels, inside the hole only",
    ),
    Switch(
        name="inpaint_replace",
        short=("r",),
        type=_AMOUNT,
        default=0.0,
        field="inpaint_replace",
        group="inpainting",
        needs="hole",
        help="how much of what lies under the hole to replace with noise",
    ),
    Switch(
        name="infill",
        type=Choice(INFILLS),
        default="keep",
        field="infill",
        group="inpainting",
        needs="hole",
        help="what to fill the hole with before it is encoded",
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
        help="extend the canvas by pixels at its sides and paint the new part; -f is then 0.9 if not given",
    ),
    Switch(
        name="iterations",
        short=("n",),
        type=Integer(1, 1_000_000),
        default=1,
        group="variations",
        help="number of pictures",
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
        help="combine variations: move the noise towards each seed's, in this order",
    ),
    Switch(
        name="drift",
        type=Flag(),
        default=False,
        group="variations",
        needs="-I",
        help="with -v: start each picture from the previous one",
    ),
    Switch(
        name="sweep",
        type=Text("switch=a,b,c"),
        group="variations",
        launch=False,
        repeats=True,
        help="one picture per value with the same seed, and a labelled sheet; two make a table; also over "
        "words: prompt=a,b, word:tree=tree,house, preset=oil,ink, lora:NAME=0.4,0.8",
    ),
    Switch(
        name="wild",
        type=Flag(),
        default=False,
        group="variations",
        help="draw {a|b}, {2$$a|b|c} and __file__ in the prompt with each picture's seed: !help wildcards",
    ),
)

_REFINING = (
    Switch(
        name="refiner",
        type=Refiner(),
        field="refiner",
        group="detail",
        help="let another model draw the end of the schedule, from this fraction on (0.8 if not given)",
    ),
    Switch(
        name="control",
        type=Control(),
        default=(),
        field="controls",
        group="detail",
        launch=False,
        repeats=True,
        help="make a ControlNet follow a picture, with this scale, in this part of the steps (0:0.6); "
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
        help="adopt the style or subject of a picture, with this scale (IP-Adapter; the first of !models that fits, "
        "or the named one); repeatable",
    ),
    Switch(
        name="cfg_interval",
        type=Interval(),
        field="guidance_interval",
        group="detail",
        help="use guidance only in this part of the way from noise to picture, and save its cost elsewhere",
    ),
    Switch(
        name="cfg_rescale",
        synonyms=("guidance_rescale",),
        type=_AMOUNT,
        field="guidance_rescale",
        group="detail",
        help="undo this fraction of the contrast that guidance adds; the model's default if not given",
    ),
    Switch(
        name="clip_skip",
        type=Integer(0, 11),
        default=0,
        field="clip_skip",
        group="detail",
        help="skip the last N layers of the text encoder; A1111's Clip skip 2 is 1",
    ),
    Switch(
        name="reuse",
        type=Integer(1, 20),
        default=1,
        field="reuse",
        group="detail",
        help="compute the UNet's deep half only at every Nth step: about twice as fast at 3, details change a little",
    ),
    Switch(
        name="batch_size",
        type=Integer(1, 64),
        default=1,
        field="batch_size",
        group="detail",
        help="how many pictures of a line or batch to draw at once: faster, but not bit-identical",
    ),
    Switch(
        name="freeu",
        type=Flag(),
        default=False,
        field="freeu",
        group="detail",
        help="use FreeU, which gives clearer shapes and more contrast at no cost",
    ),
    Switch(
        name="pag",
        synonyms=("pag_scale",),
        type=Number(0),
        default=0.0,
        field="pag_scale",
        group="detail",
        help="perturbed-attention guidance of this strength (3 is usual): sounder shapes, but half as slow again",
    ),
    Switch(
        name="hires_fix",
        type=Flag(),
        default=False,
        field="hires_fix",
        group="detail",
        help="text-to-image at the model's native size first, then image-to-image with -f at full size",
    ),
    Switch(
        name="seamless",
        type=Flag(),
        default=False,
        field="seamless",
        group="detail",
        help="make a picture that tiles",
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
        help="redraw latent values beyond this limit, to avoid burnt-out colours at a high -C; 0 = off",
    ),
    Switch(
        name="perlin",
        type=_AMOUNT,
        default=0.0,
        field="perlin",
        group="detail",
        help="fraction of Perlin noise in the initial noise",
    ),
    Switch(
        name="h_symmetry_time_pct",
        type=_AMOUNT,
        field="h_symmetry_time_pct",
        group="detail",
        help="mirror left to right after this fraction of the steps",
    ),
    Switch(
        name="v_symmetry_time_pct",
        type=_AMOUNT,
        field="v_symmetry_time_pct",
        group="detail",
        help="mirror top to bottom after this fraction of the steps",
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
        help="enlarge the result; second number: the upscaler's share (0.75 if not given), the rest is plain scaling",
    ),
    Switch(
        name="upscaler",
        type=ModelName("upscaler"),
        field="upscaler",
        group="finish",
        help="the model for -U: a name of !models, a folder or a .safetensors file",
    ),
    Switch(
        name="upscale_guidance",
        type=Number(0),
        field="upscale_guidance",
        group="finish",
        help="how closely a diffusion upscaler follows the prompt; if not given, -C if typed, else 9",
    ),
    Switch(
        name="facetool_strength",
        short=("G",),
        synonyms=("gfpgan_strength",),
        type=_AMOUNT,
        default=0.0,
        field="facetool_strength",
        group="finish",
        help="repair faces; how much of the repaired faces to use",
    ),
    Switch(
        name="facetool",
        short=("ft",),
        type=ModelName("face"),
        field="facetool",
        group="finish",
        help="the model for -G: a name of !models or a .safetensors file; the first of !models if not given",
    ),
    Switch(
        name="codeformer_fidelity",
        short=("cf",),
        type=_AMOUNT,
        default=FIDELITY,
        field="codeformer_fidelity",
        group="finish",
        help="0 quality … 1 likeness; only for CodeFormer",
    ),
    Switch(
        name="embiggen",
        short=("embiggen",),
        type=Numbers("factor [0..1] [overlap]", (Number(1, 16), _AMOUNT, Number(0)), 3),
        field="embiggen",
        group="detail",
        needs="-I",
        launch=False,
        help="enlarge the init picture, then redraw it in tiles of the model's native size",
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
        help="how much to redraw each tile; if not given, -f if typed, else 0.4",
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
        help="also write a sheet of the line's pictures",
    ),
    Switch(
        name="save_intermediates",
        type=Integer(0, 1000),
        group="output",
        help="save every Nth step as a picture, 0 none; 1 in the shell and for a single line, 0 in a batch",
    ),
    Switch(
        name="intermediates",
        type=Choice({"latents": "as they are, with noise", "clean": "the picture that the model predicts from them"}),
        default="latents",
        group="output",
        help="what steps show: the latents as they are, with noise, or the clean picture predicted from them",
    ),
    Switch(
        name="intermediates_decoder",
        type=Choice({"linear": "a rough estimate, almost free", "vae": "exact, but as slow as a step or more"}),
        default="linear",
        group="output",
        help="how steps are decoded: linear, a rough estimate at no cost, or vae, exact and slow",
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
        help="show the tokens of the prompt with their weights, 75 per row",
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
        help="also save the picture before upscaling and face repair",
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
        help="--no-defaults: ignore launch and session defaults for this line",
    ),
)

_K = "the sampler and --karras set the noise levels"
_SEAM = "--mask_blur feathers the seam inward"
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
        obsolete="--infill fills the hole",
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
    """Long name or synonym → row."""
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
"""Long names of A1111, diffusers and the first scripts → ours, if they mean exactly the same."""

_ELSEWHERE = {
    **dict.fromkeys(
        ("b", "batch", "n_samples"), "-n is the number of pictures, --batch_size how many are drawn at once"
    ),
    **dict.fromkeys(("eta", "ddim_eta"), "-A ddim is deterministic, -A ddpm is not"),
    **dict.fromkeys(("plms", "klms", "dpm_solver", "dpm"), "type -A for the sampler: -A plms, -A k_lms, -A k_dpmpp_2"),
    **dict.fromkeys(("ckpt", "ckpt_path", "weights", "checkpoint"), "type -m for the model"),
    **dict.fromkeys(("restore_faces", "gfpgan", "codeformer"), "type -G 0.8 to repair faces"),
    **dict.fromkeys(("subseed", "variation_seed"), "type -V SEED:WEIGHT to combine variations"),
    **dict.fromkeys(("subseed_strength", "variants"), "type -v for the amount of a variation"),
    **dict.fromkeys(("ar", "aspect", "aspect_ratio", "size"), "type -W 512 -H 384 for the size"),
    **dict.fromkeys(("no", "un"), "type --negative_prompt, or [brackets] in the prompt, for what to keep out"),
    **dict.fromkeys(("skip_grid", "n_rows"), "a sheet is made only with -g"),
    **dict.fromkeys(("lora", "loras"), "a LoRA goes into the prompt: withLora(name, 0.8)"),
    **dict.fromkeys(("embedding", "hypernetwork"), "a textual inversion goes into the prompt: <trigger>"),
    **dict.fromkeys(("vae", "vae_path"), "the VAE belongs to the model: !edit_model NAME vae=FILE"),
    **dict.fromkeys(("scheduler_type", "schedule_type"), "type --karras for Karras' noise levels"),
    **dict.fromkeys(("fixed_code", "laion400m", "f16", "full_precision"), "only the first scripts needed it"),
}
"""Name, without dashes, of a switch of other programs → what to type instead."""


def by_other_name(name: str) -> Switch | None:
    """The row for a long name used by other programs."""
    ours = _OTHER_NAMES.get(name)
    return by_name()[ours] if ours else None


def answer_elsewhere(typed: str) -> str:
    """What to type instead of another program's switch, possibly with its value (`-b4`); "" if unknown."""
    name = typed.lstrip("-").replace("-", "_")
    return _ELSEWHERE.get(name) or (_ELSEWHERE.get(name.rstrip("0123456789.")) if len(name) < 6 else None) or ""


@cache
def by_short() -> Mapping[str, Switch]:
    """Short name, without its dash → row."""
    return {name: row for row in SWITCHES for name in row.short}


@cache
def by_field() -> Mapping[str, Switch]:
    """Field of `Request` → the row that sets it."""
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
    """Fields added to `Request` since 0.1.0 → their defaults.

    Metadata and digests written by older versions do not have them.
    """
    return {name: by_field()[name].default for name in LATER}


def in_force(name: str, given: Mapping[str, Any]) -> Any:
    """The value of a switch in `given` (long name → value), else the table's default. An explicit 0 counts as given."""
    return given[name] if name in given else by_name()[name].default
