"""Prepares the init image and its mask, at the size of the result. `pipeline/latents.py` encodes them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it

from invoke.engine.img2img.erased import erased
from invoke.engine.img2img.mask import feather, fill, paste
from invoke.engine.img2img.seam import without_seam
from invoke.errors import PictureError
from invoke.events import Heatmap
from invoke.images import LEAST_HOLE, Picture, check_mask, open_picture, prepare
from invoke.images.heatmap import kept
from invoke.request import Mode, Request
from invoke.text import render_number

if TYPE_CHECKING:
    from PIL import Image


FAINT = 0.7
"""Mask weight above which a covered pixel counts as fully masked: its own colour is no longer recognisable."""
SOFT = 4
"""Partly transparent pixels within this distance of an erased hole belong to its soft rim."""

Segment = Callable[[Picture, str], Heatmap]
"""Computes where a picture shows what a text names."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The init image and its mask, at the size of the result."""

    original: torch.Tensor
    """Bytes, height × width × 3: the result of `strength` 0, and of pixels outside the mask."""
    encode_source: torch.Tensor
    """0..1, height × width × 3: the picture that is encoded, filled in under the mask."""
    repaint_mask: torch.Tensor | None = None
    """0 = keep … 1 = repaint, height × width; None: the whole picture is repainted."""
    covered: torch.Tensor | None = None
    """Bool, height × width: where the content under the mask is ignored because it is filled in or fully redrawn."""
    painted: float = 1.0
    """Fraction of the picture that is repainted: the mean of `repaint_mask`."""
    notes: tuple[str, ...] = ()
    hashes: dict[str, str] = field(default_factory=dict)
    latents: torch.Tensor | None = None
    """The latents of `encode_source`, if they are available without encoding it."""
    strengths: torch.Tensor | None = None
    """Strength per pixel: bytes, height × width, 0 (unchanged) to 255 (all new); None: the same everywhere."""
    alpha: torch.Tensor | None = None
    """Opacity of `original`, bytes, height × width; None: opaque."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, in pixels."""
        height, width = self.original.shape[:2]
        return width, height

    @property
    def is_plain(self) -> bool:
        """Whether the whole picture is redrawn with one strength."""
        return self.repaint_mask is None and self.strengths is None

    def pasted(self, painted: torch.Tensor, blur: int) -> torch.Tensor:
        """Restore the kept parts in `painted` (bytes, height × width × 3); `blur` is the width of the ramp in pixels.

        Where the content under the mask counts, the ramp blends it with `painted`. Where it is covered, there is
        nothing to blend with: `painted` is fitted to the rim instead (see `seam`).
        """
        if self.repaint_mask is None:
            return painted
        weight = feather(self.repaint_mask, blur)
        if self.covered is not None and self.covered.numpy().any():
            weight = torch.where(self.covered, self.repaint_mask, weight)
            painted = without_seam(painted, self.original, self.covered, self.repaint_mask == 0, blur)
        return paste(painted, self.original, weight)

    def starting_from(self, latents: torch.Tensor, note: str) -> "Prepared":
        """Copy with latents that are already available, and a note."""
        return replace(self, latents=latents, notes=(*self.notes, note))


def prepare_init(request: Request, picture: Picture, segment: Segment) -> Prepared:
    """Prepare the init image and mask of `request` at the size of the result.

    `segment` is called for text masks. Raises PictureError, and whatever `segment` raises.
    """
    hashes = {"init_image": picture.sha256}
    size = request.width, request.height
    picture = picture.reduced(*size)
    keep = _keep(request, picture, segment, hashes)
    is_own = not hashes.keys() & {"mask_image", "text_mask"}
    greys = _strengths(request, picture, keep, hashes)
    # scaling must not mix hidden colours across the rim, whether the file or the request hides them
    shown = keep if keep is not None and request.is_drawn and _covers_all(request) else picture.alpha
    original = _bytes(prepare(picture.image, *size, shown))
    alpha = _bytes(prepare(picture.alpha, *size)) if picture.alpha is not None else None
    strengths = _bytes(prepare(greys, *size)) if greys is not None and request.is_drawn else None
    repaint_mask = _repainted(None if keep is None or request.soft else _bytes(prepare(keep, *size)), strengths)
    if repaint_mask is None:
        return Prepared(original, original.float() / 255, hashes=hashes, alpha=alpha, strengths=strengths)
    if not repaint_mask.any():
        left = f"the part to repaint disappears at {request.width}×{request.height}"
        if is_own and strengths is None:
            note = f"{picture.path}: {left}, so the whole picture is redrawn"
            return Prepared(original, original.float() / 255, notes=(note,), hashes=hashes, alpha=alpha)
        raise PictureError(f"{picture.path}: {left}", hint="try another -W and -H, or --fit, to crop less of it")
    is_made_up = is_own and picture.transparency.is_made_up
    covered, notes = _covered(request, original, repaint_mask, is_own=is_own, is_made_up=is_made_up)
    # nearly hidden pixels have no recognisable colour of their own: they count as hidden
    repaint_mask = torch.where(covered & (repaint_mask > FAINT), 1.0, repaint_mask)
    _check_known(request, picture, covered & (repaint_mask == 1))
    filled = fill(original.float() / 255, torch.where(covered, repaint_mask, 0.0), request.infill, request.seed)
    painted = float(repaint_mask.mean())
    return Prepared(original, filled, repaint_mask, covered, painted, notes, hashes, strengths=strengths, alpha=alpha)


def _strengths(
    request: Request, picture: Picture, keep: "Image.Image | None", hashes: dict[str, str]
) -> "Image.Image | None":
    """The strength map, mode L, at the size of `picture`; None if one strength applies everywhere."""
    if request.soft and keep is not None:
        return keep.point([255 - level for level in range(256)])
    if request.strength_map is None:
        return None
    found = open_picture(request.strength_map)
    hashes["strength_map"] = found.sha256
    return _fitted(found, found.as_map, picture, "strength map")


def _repainted(keep: torch.Tensor | None, strengths: torch.Tensor | None) -> torch.Tensor | None:
    """`Prepared.repaint_mask`: what `keep` (bytes) does not keep, and has a strength above 0. None: everything."""
    repaint_mask = None if keep is None else 1 - keep.float() / 255
    if strengths is None or bool(strengths.all()):
        return repaint_mask
    redrawn = (strengths > 0).float()
    return redrawn if repaint_mask is None else redrawn * repaint_mask


def _covers_all(request: Request) -> bool:
    """Whether all content under a mask is ignored."""
    return request.is_all_new or request.infill != "keep"


def _covered(
    request: Request, original: torch.Tensor, repaint_mask: torch.Tensor, *, is_own: bool, is_made_up: bool
) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Where the content under the mask is ignored (see `Prepared.covered`), and notes about it."""
    if not request.is_drawn:
        return torch.zeros_like(repaint_mask, dtype=torch.bool), ()
    found = torch.zeros_like(repaint_mask, dtype=torch.bool)
    if is_own and not request.invert_mask and not request.is_all_new:
        hole = repaint_mask > FAINT
        found = hole if is_made_up else torch.from_numpy(erased(original.numpy(), hole.numpy()))
    if _covers_all(request):
        covered = repaint_mask > 0
    else:  # include the soft rim of each erased hole
        rim = F.max_pool2d(found[None, None].float(), 2 * SOFT + 1, 1, SOFT)[0, 0] > 0
        covered = found | (rim & (repaint_mask > 0) & (repaint_mask <= FAINT))
    if not found.any():
        return covered, ()
    how = "filled in from its rim" if request.infill in {"keep", "blur"} else f"filled with --infill {request.infill}"
    what = (
        "this WebP has no colours under its transparent part"
        if is_made_up
        else "the transparent part was erased (one flat colour under it)"
    )
    return covered, (f"{what}: {how}",)


def _check_known(request: Request, picture: Picture, unknown: torch.Tensor) -> None:
    """Raise PictureError if a strength below 1 would start from a picture without any visible content."""
    if request.is_drawn and not request.is_all_new and float((~unknown).float().mean()) < LEAST_HOLE:
        raise PictureError(
            f"{picture.path}: nothing is left of this picture to start from: all of it is transparent or masked",
            code="nothing_known",
            hint="-f 1 paints all of it, like a line without -I",
        )


def _keep(request: Request, picture: Picture, segment: Segment, hashes: dict[str, str]) -> "Image.Image | None":
    """The mask as an image, mode L, at the size of `picture`: 255 = keep. None if nothing is masked."""
    if request.mask_image is not None:
        mask = open_picture(request.mask_image)
        hashes["mask_image"] = mask.sha256
        keep = _fitted(mask, mask.as_mask, picture, "mask")
        check_mask(request.mask_image, mask.mask_share, is_inverted=request.invert_mask)
    elif picture.alpha is not None and picture.transparency.has_hole:
        keep = picture.alpha
        if request.invert_mask and picture.transparency.share > 1 - LEAST_HOLE:
            raise PictureError(
                f"{picture.path}: all of it is transparent, so --invert_mask would repaint nothing",
                hint="--no-invert_mask repaints all of it",
            )
    elif request.text_mask is not None:
        keep = _named(*request.text_mask, picture, segment, hashes)
    else:
        return None
    return keep.point([255 - level for level in range(256)]) if request.invert_mask else keep


def _named(text: str, threshold: float, picture: Picture, segment: Segment, hashes: dict[str, str]) -> "Image.Image":
    """The text mask: black where `picture` shows what `text` names."""
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
        hint=f"its {'highest' if few else 'lowest'} score is {most:.2g}: type a {lower} threshold, or other words",
    )


def _fitted(mask: Picture, grey: "Image.Image", picture: Picture, what: str) -> "Image.Image":
    """Resize `grey`, mode L, made from `mask`, to the size of `picture`. `what` names it in errors."""
    if grey.size == picture.image.size:
        return grey
    if abs(mask.width * picture.height - mask.height * picture.width) > max(mask.width, mask.height):
        raise PictureError(
            f"{mask.path}: this {what} is {mask.width}×{mask.height}, "
            f"but {picture.path} is {picture.width}×{picture.height}: their shapes differ",
            hint=f"the {what} must have the picture's proportions (any size)",
        )
    return grey.resize(picture.image.size)


def _open(keep: "Image.Image") -> float:
    """Fraction of pixels that are repainted."""
    return 1 - keep.histogram()[255] / (keep.width * keep.height)


def _bytes(image: "Image.Image") -> torch.Tensor:
    return torch.from_numpy(np.array(image))


def mode_of(prepared: Prepared | None) -> Mode:
    if prepared is None:
        return "txt2img"
    return "img2img" if prepared.repaint_mask is None else "inpaint"
