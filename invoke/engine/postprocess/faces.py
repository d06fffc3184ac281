"""Face restoration (`-G`): each face is found, cut out upright, redrawn by a restoration network, and blended in.

GFPGAN (Wang et al. 2021), RestoreFormer (Wang et al. 2022) and, where spandrel_extra_arches is installed, CodeFormer
(Zhou et al. 2022), called as GFPGAN's own code does it: pixels from −1 to 1 go in and come out. spandrel's own call
hands 0..1 to GFPGAN and CodeFormer, which makes faces pale, and is not used.
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
from invoke.engine.components.hashes import BackgroundHash
from invoke.engine.postprocess.face_detection import Eyes, Picture, check_detector, find_eyes
from invoke.engine.postprocess.spandrel_files import read_network
from invoke.errors import ModelError
from invoke.events import Note
from invoke.models import ModelSpec
from invoke.models.hub.locate import on_disk
from invoke.request import FIDELITY, Request

CODEFORMER = "CodeFormer"
"""What spandrel calls it."""


@dataclass(frozen=True, eq=False)
class FaceTool:
    """Loaded, in float32: half precision overflows in these networks."""

    name: str
    place: Placement
    network: Any
    reads_fidelity: bool
    """Whether `codeformer_fidelity` means anything to it."""
    weights_hash: BackgroundHash

    def repair(self, picture: Picture, request: Request) -> Generator[Note, None, Picture | None]:
        """`picture` with its faces repaired; None where none was found. Which it is, is said."""
        if request.codeformer_fidelity != FIDELITY and not self.reads_fidelity:
            yield Note(f"-cf has no effect: {self.name} is not CodeFormer")
        faces = find_eyes(picture)
        if not faces:
            yield Note("no face was found: -G leaves the picture as it was")
            return None
        yield Note("1 face was found" if len(faces) == 1 else f"{len(faces)} faces were found")
        repaired = picture
        for eyes in faces:
            matrix = alignment(eyes)
            face = self.restored(cut_out(picture, matrix), request.codeformer_fidelity)
            repaired = put_back(repaired, face, matrix, request.facetool_strength)
        return repaired

    @torch.no_grad()
    def restored(self, face: Picture, fidelity: float) -> Picture:
        """What the network makes of a face that was cut out.

        The noise within GFPGAN is the one that lies in its file, so that a picture is the same every time.
        """
        plane = torch.from_numpy(face).permute(2, 0, 1)[None].to(self.place.device).float() / 127.5 - 1
        made = self.network(plane, weight=fidelity, return_rgb=False, randomize_noise=False)[0]
        levels = (made[0].clamp(-1, 1) + 1) * 127.5
        restored: Picture = levels.round().to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
        return restored


def load_face_tool(spec: ModelSpec, place: Placement) -> FaceTool:
    """Raises ModelError."""
    check_detector(spec.name)
    descriptor = read_network(spec, extra="faces")
    if descriptor.purpose != "FaceSR":
        raise ModelError(f"{spec.name}: this network does not repair faces ({descriptor.architecture.name})")
    path = on_disk(spec.name, spec.weights)
    network = descriptor.model.to(place.device, torch.float32)
    reads_fidelity = descriptor.architecture.id == CODEFORMER
    return FaceTool(spec.name, place, network, reads_fidelity, BackgroundHash(path.parent, (path,)))


SIDE = 512
"""Pixels of a face that is cut out."""
TEMPLATE: Eyes = 192.98138 + 239.94708j, 318.90277 + 240.1936j
"""Where the eyes are in it: the first two points of facexlib's mean of FFHQ's faces, by which GFPGAN, RestoreFormer and
CodeFormer were trained. (The others: nose 256.63416, 314.01935, corners of the mouth 201.26117, 371.41043 and
313.08905, 371.15118.)"""
EDGE = SIDE // 20
"""Pixels at the rim of a cut-out that stay as they were; as many again fade in."""
SOFTNESS = 0.35
"""Pixels of blur before a face is shrunk, for each that goes into one: less glitters, more loses what was drawn."""
OUTSIDE = (132, 133, 135)
"""What is seen beyond the picture: facexlib's grey."""

Matrix = NDArray[np.float64]
"""2 × 3: from pixels of the picture to pixels of the cut-out."""


def alignment(eyes: Eyes) -> Matrix:
    """The turn, scale and shift that take `eyes` to those of the template."""
    turn = (TEMPLATE[1] - TEMPLATE[0]) / (eyes[1] - eyes[0])
    shift = TEMPLATE[0] - turn * eyes[0]
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def cut_out(picture: Picture, matrix: Matrix) -> Picture:
    """SIDE × SIDE × 3."""
    face: Picture = _warped(_smoothed(picture, _scale(matrix)), matrix, (SIDE, SIDE))
    return face


def put_back(picture: Picture, face: Picture, matrix: Matrix, strength: float) -> Picture:
    """`picture` with `face` in its place; `strength` is its share, 0..1. Pixels beyond its rim stay as they are."""
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
    """How much of each pixel of a cut-out goes back."""
    import cv2

    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[EDGE:-EDGE, EDGE:-EDGE] = 1
    return cv2.GaussianBlur(mask, (2 * EDGE + 1, 2 * EDGE + 1), 0)  # type: ignore[return-value]


def _place(matrix: Matrix, height: int, width: int) -> tuple[slice, slice]:
    """The rows and columns of the picture in which the cut-out lies."""
    import cv2

    corners = np.array([[0, 0, 1], [SIDE, 0, 1], [0, SIDE, 1], [SIDE, SIDE, 1]]) @ cv2.invertAffineTransform(matrix).T
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return (
        slice(max(0, floor(top)), min(height, ceil(bottom) + 1)),
        slice(max(0, floor(left)), min(width, ceil(right) + 1)),
    )


def _scale(matrix: Matrix) -> float:
    """Pixels of the cut-out for one of the picture."""
    return hypot(matrix[0, 0], matrix[1, 0])


def _warped(pixels: Any, matrix: Any, size: tuple[int, int]) -> Any:
    import cv2

    return cv2.warpAffine(pixels, matrix, size, flags=cv2.INTER_CUBIC, borderValue=OUTSIDE)


def _smoothed(pixels: Any, scale: float) -> Any:
    """`pixels`, as soft as they must be to be shrunk by `scale` point by point; as they are for 1 and more."""
    import cv2

    return pixels if scale >= 1 else cv2.GaussianBlur(pixels, (0, 0), SOFTNESS * sqrt(1 / scale**2 - 1))
