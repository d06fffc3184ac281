"""What a request has ControlNets follow: each of them loaded, and the picture for it opened or found."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from PIL import Image

from invoke.engine.controlnet_files import ControlNet, check_fits, read_controlnet
from invoke.engine.controls import Control
from invoke.engine.edges import canny
from invoke.engine.images import Prepared
from invoke.engine.networks import Networks
from invoke.errors import RequestError
from invoke.events import EngineEvent
from invoke.models import Kind
from invoke.pictures import open_picture
from invoke.request import AUTO, Request

KIND: Kind = "controlnet"
DETECTORS = {"canny": canny}
"""What AUTO and a name finds in the init picture: bytes, height × width."""


def load_controlnets(request: Request, networks: Networks) -> Iterator[EngineEvent]:
    """Have the ControlNets of `request` ready; yield `Loading Loaded` for each that was not.

    Raises ModelError, also where one does not fit the model.
    """
    for name, _, _ in request.controls:
        model = networks.model(request.model)
        found = yield from networks.ready(name, KIND, partial(read_controlnet, model=model))
        check_fits(name, found.network.config, model)


def controls_of(request: Request, networks: Networks, prepared: Prepared | None) -> tuple[Control, ...]:
    """The controls of `request`, in order; `prepared` is its init picture.

    Raises ModelError, PictureError or RequestError.
    """
    controls = []
    for name, image, scale in request.controls:
        controlnet = _controlnet(name, networks, request)
        picture, digest = (_found(image, prepared), "") if image.startswith(AUTO) else _opened(image)
        controls.append(Control(name, controlnet.network, controlnet.weights_hash, picture, digest, scale))
    return tuple(controls)


def _opened(path: str) -> tuple[Image.Image, str]:
    """The picture and its file's SHA-256. What is transparent is black: nothing to follow, whatever its colour."""
    picture = open_picture(path)
    if picture.alpha is None:
        return picture.image, picture.sha256
    black = Image.new("RGB", picture.image.size)
    return Image.composite(picture.image, black, picture.alpha), picture.sha256


def _found(image: str, prepared: Prepared | None) -> Image.Image:
    find = DETECTORS.get(image.removeprefix(AUTO))
    if find is None or prepared is None:
        raise RequestError(f"{image}: {'there is no such detector' if find is None else 'there is no init picture'}")
    picture = (prepared.filled * 255).round().to(torch.uint8)
    return Image.fromarray(find(np.asarray(picture))).convert("RGB")


def _controlnet(name: str, networks: Networks, request: Request) -> ControlNet:
    model = networks.model(request.model)
    found = networks.get(name, KIND, partial(read_controlnet, model=model))
    check_fits(name, found.network.config, model)
    return found
