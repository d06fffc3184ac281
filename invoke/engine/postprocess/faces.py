"""Face restoration (`-G`): finds each face, cuts it out aligned, restores it with a network, and blends it in.

Supports GFPGAN (Wang et al. 2021), RestoreFormer (Wang et al. 2022) and, if spandrel_extra_arches is installed,
CodeFormer (Zhou et al. 2022). Networks are called as in GFPGAN's own code, with pixels from −1 to 1. spandrel's own
call is not used because it passes 0..1 to GFPGAN and CodeFormer, which makes faces pale.
"""

from collections.abc import Generator
from dataclasses import dataclass
from functools import cache
from math import ceil, floor, hypot, sqrt
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from invoke.engine.components.devices import Placement
from invoke.engine.components.finite import check_finite
from invoke.engine.components.hashes import BackgroundHash
from invoke.engine.postprocess.face_detection import Eyes, Picture, check_detector, find_eyes
from invoke.engine.postprocess.spandrel_files import read_network
from invoke.errors import ModelError
from invoke.events import Note
from invoke.models import ModelSpec
from invoke.models.hub.locate import on_disk
from invoke.request import FIDELITY, Request

CODEFORMER = "CodeFormer"
"""spandrel's name of the architecture."""


@dataclass(frozen=True, eq=False)
class FaceTool:
    """A loaded face restoration network, in float32 because these networks overflow in half precision."""

    name: str
    place: Placement
    network: Any
    reads_fidelity: bool
    """Whether it uses `codeformer_fidelity`."""
    weights_hash: BackgroundHash

    def repair(self, picture: Picture, request: Request) -> Generator[Note, None, Picture | None]:
        """Repair the faces in `picture`; returns None if there are none. Yields a note with the number of faces."""
        if request.codeformer_fidelity != FIDELITY and not self.reads_fidelity:
            yield Note(f"-cf has no effect: {self.name} is not CodeFormer")
        faces = find_eyes(picture)
        if not faces:
            yield Note("no faces found: -G leaves the picture unchanged")
            return None
        yield Note("1 face found" if len(faces) == 1 else f"{len(faces)} faces found")
        repaired = picture
        for eyes in faces:
            matrix = alignment(eyes)
            face = self.restored(cut_out(picture, matrix), request.codeformer_fidelity)
            repaired = put_back(repaired, face, matrix, request.facetool_strength)
        return repaired

    @torch.no_grad()
    def restored(self, face: Picture, fidelity: float) -> Picture:
        """Restore a face that was cut out.

        GFPGAN uses the noise stored in its file, so that results are reproducible.
        """
        plane = torch.from_numpy(face).permute(2, 0, 1)[None].to(self.place.device).float() / 127.5 - 1
        made = self.network(plane, weight=fidelity, return_rgb=False, randomize_noise=False)[0]
        levels = (made[0].clamp(-1, 1) + 1) * 127.5
        restored: Picture = levels.round().to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
        return restored


def load_face_tool(spec: ModelSpec, place: Placement) -> FaceTool:
    """Load the face restoration network of `spec`. Raises ModelError."""
    check_detector(spec.name)
    descriptor = read_network(spec, extra="faces")
    if descriptor.purpose != "FaceSR":
        raise ModelError(f"{spec.name}: this network does not repair faces ({descriptor.architecture.name})")
    path = on_disk(spec.name, spec.weights)
    check_finite(spec.name, "network for faces", descriptor.model.named_parameters())
    network = descriptor.model.to(place.device, torch.float32)
    reads_fidelity = descriptor.architecture.id == CODEFORMER
    return FaceTool(spec.name, place, network, reads_fidelity, BackgroundHash(path.parent, (path,)))


SIDE = 512
"""Side of an aligned face, in pixels."""
TEMPLATE: Eyes = 192.98138 + 239.94708j, 318.90277 + 240.1936j
"""Eye positions in an aligned face: the first two points of facexlib's mean FFHQ face, on which GFPGAN, RestoreFormer
and CodeFormer were trained. (The others: nose 256.63416, 314.01935, corners of the mouth 201.26117, 371.41043
and 313.08905, 371.15118.)"""
EDGE = SIDE // 20
"""Border of an aligned face that is not used, in pixels; a ramp of the same width follows."""
SOFTNESS = 0.35
"""Blur before a face is shrunk, in pixels per pixel of the result: less causes aliasing, more loses detail."""
OUTSIDE = (132, 133, 135)
"""Colour beyond the picture's edge: facexlib's grey."""

Matrix = NDArray[np.float64]
"""2 × 3 affine matrix, from pixels of the picture to pixels of the aligned face."""


def alignment(eyes: Eyes) -> Matrix:
    """The similarity transform that maps `eyes` to those of the template."""
    turn = (TEMPLATE[1] - TEMPLATE[0]) / (eyes[1] - eyes[0])
    shift = TEMPLATE[0] - turn * eyes[0]
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def cut_out(picture: Picture, matrix: Matrix) -> Picture:
    """The aligned face, SIDE × SIDE × 3."""
    face: Picture = _warped(_smoothed(picture, _scale(matrix)), matrix, (SIDE, SIDE))
    return face


def put_back(picture: Picture, face: Picture, matrix: Matrix, strength: float) -> Picture:
    """Blend `face` into `picture` with `strength` (0..1). Pixels beyond its border are unchanged."""
    import cv2

    rows, columns = _place(matrix, *picture.shape[:2])
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ (columns.start, rows.start)
    back = cv2.invertAffineTransform(shifted)
    size = columns.stop - columns.start, rows.stop - rows.start
    smooth = _smoothed(face.astype(np.float32), 1 / _scale(matrix))
    share = strength * cv2.warpAffine(_mask(), back, size)[..., None]
    before = picture[rows, columns].astype(np.float32)
    mixed = before + share * (_warped(smooth, back, size) - before)
    result = picture.copy()
    result[rows, columns] = mixed.round().clip(0, 255).astype(np.uint8)
    return result


@cache
def _mask() -> NDArray[np.float32]:
    """The blending weight of each pixel of an aligned face."""
    import cv2

    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[EDGE:-EDGE, EDGE:-EDGE] = 1
    return cv2.GaussianBlur(mask, (2 * EDGE + 1, 2 * EDGE + 1), 0)  # type: ignore[return-value]


def _place(matrix: Matrix, height: int, width: int) -> tuple[slice, slice]:
    """The rows and columns of the picture that the aligned face covers."""
    import cv2

    corners = np.array([[0, 0, 1], [SIDE, 0, 1], [0, SIDE, 1], [SIDE, SIDE, 1]]) @ cv2.invertAffineTransform(matrix).T
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return (
        slice(max(0, floor(top)), min(height, ceil(bottom) + 1)),
        slice(max(0, floor(left)), min(width, ceil(right) + 1)),
    )


def _scale(matrix: Matrix) -> float:
    """Scale of the aligned face relative to the picture."""
    return hypot(matrix[0, 0], matrix[1, 0])


def _warped(pixels: Any, matrix: Any, size: tuple[int, int]) -> Any:
    import cv2

    return cv2.warpAffine(pixels, matrix, size, flags=cv2.INTER_CUBIC, borderValue=OUTSIDE)


def _smoothed(pixels: Any, scale: float) -> Any:
    """Blur `pixels` as needed to shrink them by `scale` without aliasing; unchanged if `scale` is 1 or more."""
    import cv2

    return pixels if scale >= 1 else cv2.GaussianBlur(pixels, (0, 0), SOFTNESS * sqrt(1 / scale**2 - 1))
