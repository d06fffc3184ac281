"""Files become prepared pictures and holes; pictures become latents and back."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from invoke.engine import holes
from invoke.errors import PictureError
from invoke.events import Pixels
from invoke.pictures import Picture, open_mask, open_picture, prepare
from invoke.request import Request

if TYPE_CHECKING:
    from PIL import Image

LEAST_HOLE = 0.001
"""A smaller share of transparent pixels is an accident, no hole."""
FAINT = 0.75
"""Of what is more transparent than this, eight bits hold no colour that could be told from the erased one."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The picture to start from, at the size of the result."""

    original: torch.Tensor
    """Bytes, height × width × 3: what `strength` 0 returns and what opaque pixels stay."""
    filled: torch.Tensor
    """0..1, height × width × 3: what is encoded."""
    hole: torch.Tensor | None = None
    """0 = keep … 1 = repaint, height × width; None: the whole picture is repainted."""
    base: torch.Tensor | None = None
    """Like `original`, but with erased colours replaced: what the result is pasted on."""
    painted: float = 1.0
    """Share of the pixels that are not wholly kept."""
    notes: tuple[str, ...] = ()
    hashes: dict[str, str] = field(default_factory=dict)


def prepare_init(request: Request) -> Prepared:
    """What `request` starts from: its init image and hole, both at the size of the result.

    Raises PictureError.
    """
    assert request.init_image is not None
    picture = open_picture(request.init_image)
    hashes, notes = {"init_image": picture.sha256}, list(picture.notes)
    original = _bytes(prepare(picture.image, request.width, request.height))
    keep = _keep(request, picture, notes, hashes)
    hole = None
    if keep is not None:
        hole = 1 - _bytes(prepare(keep, request.width, request.height)).float() / 255
    if keep is None or hole is None or not hole.any():
        return Prepared(original, original.float() / 255, notes=tuple(notes), hashes=hashes)
    erased = request.mask_image is None and _is_erased(picture, keep)
    base = _without_erased(picture, keep, original, request) if erased else original
    infill = "blur" if erased and request.infill == "keep" else request.infill
    if erased and 0 < request.strength < 1:
        notes.append(
            "the colours under the transparent part are erased (one flat colour): "
            + ("they are filled in from its rim" if infill == "blur" else f"filled with --infill {infill}")
        )
    covered = torch.where(hole > FAINT, 1.0, hole) if erased else hole
    filled = holes.fill(base.float() / 255, covered, infill, request.seed)
    if erased:  # the ramp at the hole's rim must not blend into the flat colour
        base = torch.where(hole[..., None] > 0, (filled * 255).round().to(torch.uint8), original)
    share = float((hole > 0).float().mean())
    return Prepared(original, filled, hole, base, share, tuple(notes), hashes)


@torch.no_grad()
def encode(vae: Any, picture: torch.Tensor) -> torch.Tensor:
    """Latents (float32) of a picture (0..1, height × width × 3): the posterior's mode, so that no noise is drawn."""
    pixels = (2 * picture - 1).permute(2, 0, 1)[None].to(vae.device, vae.dtype)
    latents = vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor
    return latents.float()  # type: ignore[no-any-return]


@torch.no_grad()
def decode(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """The picture (-1..1, 1 × 3 × height × width, float32) of latents."""
    decoded = vae.decode((latents / vae.config.scaling_factor).to(vae.dtype), return_dict=False)[0]
    return decoded.float()  # type: ignore[no-any-return]


def to_bytes(decoded: torch.Tensor) -> torch.Tensor:
    """A decoded picture as bytes, height × width × 3, on the CPU."""
    levels = (decoded[0] * 0.5 + 0.5).clamp(0, 1) * 255
    return levels.round().to(torch.uint8).permute(1, 2, 0).cpu().contiguous()


def to_pixels(picture: torch.Tensor) -> Pixels:
    """Bytes, height × width × 3, as what leaves the engine."""
    height, width, _ = picture.shape
    return Pixels(width, height, picture.contiguous().numpy().tobytes())


def _keep(request: Request, picture: Picture, notes: list[str], hashes: dict[str, str]) -> "Image.Image | None":
    """Mode L, the size of `picture`: 255 = keep. None when nothing is cut out."""
    keep = picture.alpha
    if request.mask_image is not None:
        keep = _fitted_mask(request.mask_image, picture)
        hashes["mask_image"] = open_picture(request.mask_image).sha256
    if keep is None:
        return None
    if request.invert_mask:
        keep = keep.point([255 - level for level in range(256)])
    share = 1 - keep.histogram()[255] / (keep.width * keep.height)
    if share >= LEAST_HOLE:
        return keep
    if request.mask_image is not None:
        raise PictureError(
            f"{request.mask_image}: this mask keeps everything: nothing would be repainted",
            hint="black or transparent parts are repainted; --invert_mask swaps the two",
        )
    if share:
        notes.append(f"only {share:.3%} of {picture.path} is transparent: this is ignored")
    return None


def _fitted_mask(path: str, picture: Picture) -> "Image.Image":
    mask = open_mask(path)
    if mask.size == picture.image.size:
        return mask
    if abs(mask.width * picture.height - mask.height * picture.width) > max(mask.width, mask.height):
        raise PictureError(
            f"{path}: this mask is {mask.width}×{mask.height}, "
            f"but {picture.path} is {picture.width}×{picture.height}: their shapes differ",
            hint="a mask covers the whole picture, upright, in any size of the same shape",
        )
    return mask.resize(picture.image.size)


def _is_erased(picture: Picture, keep: "Image.Image") -> bool:
    """Whether one flat colour lies under all that is wholly cut out."""
    hidden = np.asarray(picture.image)[np.asarray(keep) == 0]
    return len(hidden) > 0 and bool((hidden == hidden[0]).all())


def _without_erased(picture: Picture, keep: "Image.Image", original: torch.Tensor, request: Request) -> torch.Tensor:
    # scaling mixes the erased colour into the rim; scaled with its weight, it can be divided out again
    from PIL import Image

    if picture.image.size == (request.width, request.height):
        return original
    weighted = Image.composite(picture.image, Image.new("RGB", picture.image.size), keep)
    scaled = _bytes(prepare(weighted, request.width, request.height)).float()
    weight = _bytes(prepare(keep, request.width, request.height)).float()[..., None] / 255
    rim = (weight > 0) & (weight < 1)
    return torch.where(rim, (scaled / weight.clamp_min(1 / 255)).clamp(0, 255).round(), original).to(torch.uint8)


def _bytes(image: "Image.Image") -> torch.Tensor:
    return torch.from_numpy(np.array(image))
