"""Files become prepared pictures and holes; pictures become latents and back."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from invoke.engine.img2img.mask import fill
from invoke.errors import PictureError
from invoke.events import Heatmap
from invoke.images import LEAST_HOLE, Picture, open_picture, prepare
from invoke.images.heatmap import kept
from invoke.request import Mode, Request
from invoke.text import render_number

if TYPE_CHECKING:
    from PIL import Image


FAINT = 0.7
"""Of what is more transparent than this, no colour is left that could be told from the erased one."""

Segment = Callable[[Picture, str], Heatmap]
"""How surely a picture shows what a text names."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The picture to start from, at the size of the result."""

    original: torch.Tensor
    """Bytes, height × width × 3: what `strength` 0 returns and what opaque pixels stay."""
    encode_source: torch.Tensor
    """0..1, height × width × 3: what is encoded."""
    repaint_mask: torch.Tensor | None = None
    """0 = keep … 1 = repaint, height × width; None: the whole picture is repainted."""
    paste_base: torch.Tensor | None = None
    """Like `original`, but with erased colours replaced: what the result is pasted on."""
    painted: float = 1.0
    """Share of the pixels that are not wholly kept."""
    notes: tuple[str, ...] = ()
    hashes: dict[str, str] = field(default_factory=dict)
    latents: torch.Tensor | None = None
    """Of `filled`, where they are known without encoding it."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, in pixels."""
        height, width = self.original.shape[:2]
        return width, height

    def starting_from(self, latents: torch.Tensor, note: str) -> "Prepared":
        """The same, whose latents are known already."""
        return replace(self, latents=latents, notes=(*self.notes, note))


def prepare_init(request: Request, picture: Picture, segment: Segment) -> Prepared:
    """What `request` starts from: its init picture and hole, both at the size of the result.

    Raises PictureError, and what `segment` raises, which is asked where the hole is said in words.
    """
    hashes, notes = {"init_image": picture.sha256}, list[str]()
    size = request.width, request.height
    original = _bytes(prepare(picture.image, *size, picture.alpha))
    keep = _keep(request, picture, segment, hashes)
    if keep is None:
        return Prepared(original, original.float() / 255, hashes=hashes)
    repaint_mask = 1 - _bytes(prepare(keep, *size)).float() / 255
    own = not hashes.keys() & {"mask_image", "text_mask"}
    if not repaint_mask.any():
        left = f"of what is to be repainted, nothing is left at {request.width}×{request.height}"
        if own:
            note = f"{picture.path}: {left}, so all of it is redrawn"
            return Prepared(original, original.float() / 255, notes=(note,), hashes=hashes)
        raise PictureError(f"{picture.path}: {left}", hint="another -W and -H, or --fit, may cut off less of it")
    erased = own and _is_erased(picture, keep)
    infill = "blur" if erased and request.infill == "keep" else request.infill
    if erased and 0 < request.strength < 1:
        notes.append(
            "the colours under the transparent part are erased (one flat colour): "
            + ("they are filled in from its rim" if infill == "blur" else f"filled with --infill {infill}")
        )
    covered = torch.where(repaint_mask > FAINT, 1.0, repaint_mask) if erased else repaint_mask
    filled = fill(original.float() / 255, covered, infill, request.seed)
    base = original
    if erased:  # the ramp at the hole's rim must not blend into the flat colour
        base = torch.where(repaint_mask[..., None] > 0, (filled * 255).round().to(torch.uint8), original)
    share = float((repaint_mask > 0).float().mean())
    return Prepared(original, filled, repaint_mask, base, share, tuple(notes), hashes)


def _keep(request: Request, picture: Picture, segment: Segment, hashes: dict[str, str]) -> "Image.Image | None":
    """Mode L, the size of `picture`: 255 = keep. None when nothing is cut out."""
    if request.mask_image is not None:
        mask = open_picture(request.mask_image)
        hashes["mask_image"] = mask.sha256
        keep = _fitted(mask, picture)
        if keep.getextrema() == ((0, 0) if request.invert_mask else (255, 255)):
            raise PictureError(
                f"{request.mask_image}: this mask keeps everything: nothing would be repainted",
                hint="black or transparent parts are repainted; --invert_mask swaps the two",
            )
    elif picture.alpha is not None and _open(picture.alpha) >= LEAST_HOLE:
        keep = picture.alpha
        if request.invert_mask and not keep.getextrema()[1]:
            raise PictureError(
                f"{picture.path}: all of it is transparent, so that with --invert_mask nothing would be repainted",
                hint="--no-invert_mask repaints all of it",
            )
    elif request.text_mask is not None:
        keep = _named(*request.text_mask, picture, segment, hashes)
    else:
        return None
    return keep.point([255 - level for level in range(256)]) if request.invert_mask else keep


def _named(text: str, threshold: float, picture: Picture, segment: Segment, hashes: dict[str, str]) -> "Image.Image":
    """Black where `picture` shows what `text` names."""
    heat = segment(picture, text)
    hashes["text_mask"] = heat.weights
    keep = kept(heat, picture.image.size, threshold)
    found = _open(keep)
    if LEAST_HOLE <= found <= 1 - LEAST_HOLE:
        return keep
    levels = np.frombuffer(heat.data, np.float32)
    few = found < LEAST_HOLE
    most, lower = (levels.max(), "lower") if few else (levels.min(), "higher")
    raise PictureError(
        f"-tm '{text}' {render_number(threshold)} selects {'nothing' if few else 'everything'} in {picture.path}",
        code=f"text_selects_{'nothing' if few else 'everything'}",
        hint=f"the {'surest' if few else 'least sure'} place there has {most:.2g}: "
        f"type a {lower} threshold, or other words",
    )


def _fitted(mask: Picture, picture: Picture) -> "Image.Image":
    """`mask` at the size of `picture`, mode L."""
    if mask.image.size == picture.image.size:
        return mask.as_mask
    if abs(mask.width * picture.height - mask.height * picture.width) > max(mask.width, mask.height):
        raise PictureError(
            f"{mask.path}: this mask is {mask.width}×{mask.height}, "
            f"but {picture.path} is {picture.width}×{picture.height}: their shapes differ",
            hint="a mask covers the whole picture, upright, in any size of the same shape",
        )
    return mask.as_mask.resize(picture.image.size)


def _open(keep: "Image.Image") -> float:
    """Share of the pixels that are not wholly kept."""
    return 1 - keep.histogram()[255] / (keep.width * keep.height)


def _is_erased(picture: Picture, keep: "Image.Image") -> bool:
    """Whether one flat colour lies under all that is wholly cut out."""
    hidden = np.asarray(picture.image)[np.asarray(keep) == 0]
    return len(hidden) > 0 and bool((hidden == hidden[0]).all())


def _bytes(image: "Image.Image") -> torch.Tensor:
    return torch.from_numpy(np.array(image))


def mode_of(prepared: Prepared | None) -> Mode:
    if prepared is None:
        return "txt2img"
    return "img2img" if prepared.repaint_mask is None else "inpaint"
