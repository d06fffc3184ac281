"""Faces repaired (`-G`): each is found, cut out upright, drawn anew by a network made for that, and blended in.

GFPGAN (Wang et al. 2021), RestoreFormer (Wang et al. 2022) and, where spandrel_extra_arches is installed, CodeFormer
(Zhou et al. 2022), called as GFPGAN's own code does it: pixels from −1 to 1 go in and come out. spandrel's own call
hands 0..1 to GFPGAN and CodeFormer, which makes faces pale, and is not used.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import torch

from invoke.engine.devices import Place
from invoke.engine.finishing.faces_aligning import alignment, cut_out, put_back
from invoke.engine.finishing.faces_finding import Picture, check_detector, find_eyes
from invoke.engine.finishing.spandrel_models import read_network
from invoke.engine.hub import on_disk
from invoke.engine.weights import BackgroundHash
from invoke.errors import ModelError
from invoke.events import Noted
from invoke.models import ModelSpec
from invoke.request import FIDELITY, Request

CODEFORMER = "CodeFormer"
"""What spandrel calls it."""


@dataclass(frozen=True, eq=False)
class FaceTool:
    """Loaded, in float32: half precision overflows in these networks."""

    name: str
    place: Place
    network: Any
    reads_fidelity: bool
    """Whether `codeformer_fidelity` means anything to it."""
    weights_hash: BackgroundHash

    def repair(self, picture: Picture, request: Request) -> Generator[Noted, None, Picture | None]:
        """`picture` with its faces repaired; None where none was found. Which it is, is said."""
        if request.codeformer_fidelity != FIDELITY and not self.reads_fidelity:
            yield Noted(f"-cf has no effect: {self.name} is no CodeFormer")
        faces = find_eyes(picture)
        if not faces:
            yield Noted("no face was found: -G leaves the picture as it was")
            return None
        yield Noted("1 face was found" if len(faces) == 1 else f"{len(faces)} faces were found")
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


def load_face_tool(spec: ModelSpec, place: Place) -> FaceTool:
    """Raises ModelError."""
    check_detector(spec.name)
    descriptor = read_network(spec, extra="faces")
    if descriptor.purpose != "FaceSR":
        raise ModelError(f"{spec.name}: this network repairs no faces ({descriptor.architecture.name})")
    path = on_disk(spec.name, spec.weights)
    network = descriptor.model.to(place.device, torch.float32)
    reads_fidelity = descriptor.architecture.id == CODEFORMER
    return FaceTool(spec.name, place, network, reads_fidelity, BackgroundHash(path.parent, (path,)))
