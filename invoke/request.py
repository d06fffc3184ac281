"""Request: the complete specification of one picture."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor
from typing import Any, Literal

ControlValue = tuple[str, str, float] | tuple[str, str, float, tuple[float, float]]
"""ControlNet, path of its picture or AUTO and a detector, scale 0..2; and the fractions of the steps between which
it is active, if not all."""
Mode = Literal["txt2img", "img2img", "inpaint"]
Infill = Literal["keep", "blur", "noise", "solid"]

LARGEST_SEED = 2**32 - 1
GUIDANCE_SCALE = 7.5
"""Default of `guidance_scale`."""
IMAGE_GUIDANCE = 1.5
"""Default of `image_guidance_scale`."""
FIDELITY = 0.75
"""Default of `codeformer_fidelity`."""
PATHS = ("init_image", "mask_image", "strength_map", "init_color")
"""Fields that hold the path of one picture, or None."""
AUTO = "auto:"
"""Prefix of a control picture that a detector finds in the init picture: `auto:canny`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The complete specification of one picture, independent of what was drawn before.

    Made by `language.resolve`; it has no defaults, since those belong to the table of switches.
    Without `init_image`, the fields from `strength` on have their table defaults and no effect (except for
    `strength` with `hires_fix`).
    """

    prompt: str
    """As typed, with its weights and `[negative]` parts."""
    negative_prompt: str
    model: str
    """A registry name, folder, `.safetensors` file or hub id."""
    width: int
    """Pixels, a multiple of the model's."""
    height: int
    steps: int
    """Length of the denoising schedule (`num_inference_steps`), 1..1000."""
    guidance_scale: float
    """At most 1 turns classifier-free guidance off."""
    guidance_interval: tuple[float, float] | None
    """Fractions of the way from noise (0) to picture (1) between which guidance is on; None: always."""
    guidance_rescale: float | None
    """0..1: how far the guided prediction is rescaled to the unguided deviation; None: the model's default."""
    clip_skip: int
    """Number of last layers of the text encoders to skip, beyond those that the family never uses."""
    scheduler: str
    """A name of `samplers.SAMPLERS`."""
    karras: bool
    """Karras et al. (2022) sigmas."""
    seed: int
    """0..2³²−1, of a CPU generator."""
    variations: tuple[tuple[int, float], ...]
    """(seed, weight): slerp the noise towards each seed's noise in turn."""
    perlin: float
    """0..1: fraction of Perlin noise in the initial noise."""
    threshold: float
    """Latent values beyond ± this are redrawn; 0 is off."""
    h_symmetry_time_pct: float | None
    """0..1: mirror the left half to the right after this fraction of the steps."""
    v_symmetry_time_pct: float | None
    """0..1: the same, top to bottom."""
    seamless: bool
    """The picture tiles in the directions `seamless_axes`."""
    seamless_axes: tuple[str, ...]
    """`x`, `y` or both."""
    controls: tuple[ControlValue, ...]
    """(ControlNet, path of its picture or AUTO and a detector, scale 0..2)."""
    ip_adapters: tuple[tuple[str, str, float], ...]
    """(IP-Adapter, path of its picture, scale 0..2)."""
    freeu: bool
    """FreeU: amplify the UNet's backbone features, damp the low frequencies of its skips (Si et al. 2023)."""
    pag_scale: float
    """Perturbed-attention guidance (Ahn et al. 2024); 0 is off."""
    hires_fix: bool
    """Text-to-image at the model's own size first, then image-to-image at `strength` at full size."""
    refiner: tuple[str, float] | None
    """(model, fraction 0..1): from that fraction of the schedule on, this model denoises."""
    reuse: int
    """Compute the UNet's deep half only at every Nth call; 1: at each."""
    batch_size: int
    """Number of pictures per call of the denoiser; padded to a full batch."""
    init_color: str | None
    """Path of the picture to whose colours the result is matched."""

    init_image: "str | Request | None"
    """The picture to start from: its path, relative to the working folder; or, in a chain, how it is made."""
    strength: float
    """0 keeps the original, 1 ignores it; the largest value of a strength map."""
    strength_map: str | None
    """Path; its grey is the strength of each pixel: black 0, white 1."""
    soft: bool
    """The grey of `mask_image` is the strength of each pixel: black 1, white 0."""
    more_images: tuple[str, ...]
    """Paths of further pictures, for a model that edits several by instruction."""
    image_guidance_scale: float
    """How closely the edited picture is kept (InstructPix2Pix); below 1 turns guidance off."""
    mask_image: str | None
    """Path; black or transparent = repaint. It takes precedence over the init image's own transparency."""
    text_mask: tuple[str, float] | None
    """(text, threshold 0..1): repaint what the text names; used only without a mask image and transparency."""
    invert_mask: bool
    mask_blur: int
    """Pixels of feathering, inside the hole only."""
    inpaint_replace: float
    """0..1: fraction of the content under the mask to replace with noise."""
    infill: Infill
    outcrop: tuple[str | int, ...]
    """`("top", 64, "right", 128)`: pixels to add around the picture of `width` × `height`."""

    embiggen: tuple[float, float, float] | None
    """(factor 1..16, unused, overlap): enlarge the init picture, then redraw it in tiles of the model's size.
    An overlap below 1 is a share of a tile's side, else pixels."""
    embiggen_tiles: tuple[int, ...]
    """The tiles to redraw, counted from 1, row by row; empty: all."""

    facetool_strength: float
    """0..1: share of the repaired faces in the result; 0 repairs none."""
    facetool: str | None
    """The face model: a registry name, `.safetensors` file or hub id; None if no faces are repaired."""
    codeformer_fidelity: float
    """0 quality … 1 likeness; used only by CodeFormer."""
    upscale: tuple[float, float] | None
    """(factor 1..16, strength 0..1): enlarge the picture; the strength is the upscaler's share of the result."""
    upscaler: str | None
    """A registry name, folder, `.safetensors` file or hub id; None: the models of `upscaling.CHAINS`."""
    upscale_guidance: float | None
    """`guidance_scale` of the diffusion models that enlarge; None: that of the drawing, or none of them is used."""

    @property
    def before(self) -> "Request | None":
        """The previous part of a chain (`a |> b`)."""
        return self.init_image if isinstance(self.init_image, Request) else None

    @property
    def init_path(self) -> str | None:
        """The file to start from."""
        return self.init_image if isinstance(self.init_image, str) else None

    @property
    def pictures(self) -> tuple[str, ...]:
        """Paths of all pictures that it reads, except for those of the previous part."""
        found: list[str] = []

        def note(path: str) -> str:
            found.append(path)
            return path

        self.with_paths(note)
        return tuple(found)

    def with_paths(self, change: Callable[[str], str]) -> "Request":
        """The same with `change` applied to the paths of `pictures`."""
        changes: dict[str, Any] = {name: change(path) for name in PATHS if isinstance(path := getattr(self, name), str)}
        changes["controls"] = tuple(
            (model, path if path.startswith(AUTO) else change(path), *rest) for model, path, *rest in self.controls
        )
        changes["ip_adapters"] = tuple((model, change(path), scale) for model, path, scale in self.ip_adapters)
        changes["more_images"] = tuple(change(path) for path in self.more_images)
        return replace(self, **changes)

    @property
    def margins(self) -> tuple[int, int, int, int]:
        """Pixels that `outcrop` adds left, above, right and below."""
        added = {"left": 0, "top": 0, "right": 0, "bottom": 0}
        for side, pixels in zip(self.outcrop[::2], self.outcrop[1::2], strict=True):
            added[str(side)] += int(pixels)
        return added["left"], added["top"], added["right"], added["bottom"]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the drawn picture, in pixels."""
        left, top, right, bottom = self.margins
        factor = self.embiggen[0] if self.embiggen else 1
        return round(self.width * factor) + left + right, round(self.height * factor) + top + bottom

    @property
    def finished_size(self) -> tuple[int, int]:
        """Width and height of the result, in pixels."""
        width, height = self.size
        factor = self.upscale[0] if self.upscale else 1
        return round(width * factor), round(height * factor)

    @property
    def enlarging_guidance(self) -> float:
        """`guidance_scale` of the diffusion models that enlarge."""
        return self.guidance_scale if self.upscale_guidance is None else self.upscale_guidance

    @property
    def unfinished(self) -> "Request":
        """The same picture without postprocessing."""
        drawn_only = replace(self, upscale=None, upscaler=None, upscale_guidance=None)
        return replace(drawn_only, facetool_strength=0.0, facetool=None, codeformer_fidelity=FIDELITY)

    @property
    def is_graded(self) -> bool:
        """Whether each pixel has its own strength."""
        return self.strength_map is not None or self.soft

    @property
    def is_all_new(self) -> bool:
        """Whether the content under the redrawn area is ignored."""
        return self.strength == 1 and not self.is_graded

    @property
    def is_drawn(self) -> bool:
        """Whether a model draws it: `strength` 0 keeps the init image as it is."""
        return self.init_image is None or self.strength > 0

    @property
    def points(self) -> int:
        """Number of points of the schedule that its last pass runs, after applying the strength."""
        return steps_left(self.steps, self.strength) if self.uses_strength else self.steps

    @property
    def uses_strength(self) -> bool:
        """Whether `strength` has an effect."""
        return self.init_image is not None or self.hires_fix


def steps_left(steps: int, strength: float) -> int:
    """How many points of a schedule of `steps` a strength leaves: floor(steps × strength), exactly.

    The product is taken in decimal, as typed: 100 × 0.29 leaves 29, where binary floats give 28. At least 1
    when strength > 0, so a small strength still draws.
    """
    if strength == 0:
        return 0
    return max(1, floor(steps * Fraction(repr(strength))))


def steps_for(taken: int, strength: float) -> int:
    """The shortest schedule of which `strength` leaves exactly `taken` points (`--exact_steps`)."""
    return ceil(taken / Fraction(repr(strength)))
