"""Which files are made of a picture's events, and of what they are made."""

from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from PIL import Image, ImageSequence

from invoke.events import Detected, Finished, Pixels, Postprocessing, Started, Step
from invoke.outputs import metadata
from invoke.workers.task import PictureEncoder, Task
from tests.making import a_request
from tests.outputs.makings import FACTS, OUTPUT

REQUEST = a_request(width=64, height=64, init_image="copies/ab.png")
LEVELS = [0, 60, 120, 180, 240]


def flat(level: int) -> Pixels:
    return Pixels(64, 64, bytes([level]) * (64 * 64 * 3))


def an_encoder(**output: Any) -> PictureEncoder:
    wanted = replace(OUTPUT, **output)
    return PictureEncoder(Task(REQUEST, wanted.previews, wanted, 4, paths={"copies/ab.png": "mine.png"}))


def encoded(encoder: PictureEncoder, *, levels: list[int] = LEVELS, total: int = 4, finished: int = 250) -> list[Any]:
    """The files of a picture of so many steps, each in its own grey."""
    events = [
        Started(REQUEST, "img2img", total, 1.0),
        *(Step(index, total, 1.0, flat(level)) for index, level in enumerate(levels)),
        Finished(REQUEST, flat(finished), FACTS),
    ]
    return [file for event in events for file in encoder.encode(event)]


def greys(gif: bytes) -> list[int]:
    with Image.open(BytesIO(gif)) as image:
        return [frame.convert("L").getpixel((5, 5)) for frame in ImageSequence.Iterator(image)]  # type: ignore[misc]


def test_the_last_frame_is_what_was_drawn() -> None:
    """Not the last preview, which is smaller; nor what it was enlarged to."""
    (image, gif) = encoded(an_encoder(gif=True))
    assert (image.kind, gif.kind) == ("image", "gif")
    assert greys(gif.data) == pytest.approx([0, 60, 120, 180, 250], abs=3)
    encoder = an_encoder(gif=True, save_original=True)
    events = [
        *(Step(index, 4, 1.0, flat(level)) for index, level in enumerate(LEVELS)),
        Postprocessing(Finished(REQUEST, flat(200), FACTS)),
        Finished(REQUEST, flat(90), FACTS),
    ]
    files = [file for event in events for file in encoder.encode(event)]
    assert [file.kind for file in files] == ["original", "image", "gif"]
    assert greys(files[2].data) == pytest.approx([0, 60, 120, 180, 200], abs=3)


def test_what_an_engine_that_died_has_sent_is_forgotten() -> None:
    encoder = an_encoder(gif=True)
    encoded(encoder, levels=[9, 9, 9])
    assert greys(encoded(encoder)[-1].data) == pytest.approx([0, 60, 120, 180, 250], abs=3)
    died = an_encoder(gif=True)
    [*died.encode(Postprocessing(Finished(REQUEST, flat(9), FACTS)))]
    assert greys(encoded(died)[-1].data)[-1] == pytest.approx(250, abs=3)


@pytest.mark.parametrize(
    ("output", "kinds"),
    [
        ({}, ["image"]),
        ({"strip": True}, ["image", "steps"]),
        ({"strip": True, "gif": True}, ["image", "steps", "gif"]),
        ({"save_intermediates": 3}, [0, 3, 4, "image"]),
        ({"save_intermediates": 3, "gif": True}, [0, 3, 4, "image", "gif"]),
    ],
)
def test_which_files_there_are(output: dict[str, Any], kinds: list[Any]) -> None:
    files = encoded(an_encoder(**output))
    assert [file.number if file.kind == "step" else file.kind for file in files] == kinds


def test_steps_of_postprocessing_are_not_steps_of_the_picture() -> None:
    """The last of `total` may be an upscaler's: the denoiser's own last one is kept."""
    files = encoded(an_encoder(save_intermediates=3), levels=[0, 1, 2, 3, 4, 5, 6, 7], total=7)
    assert [file.number for file in files if file.kind == "step"] == [0, 3, 4, 6]


@pytest.mark.parametrize(("save_intermediates", "kinds"), [(1, ["control"]), (0, [])])
def test_what_was_detected_is_saved_with_the_steps(save_intermediates: int, kinds: list[str]) -> None:
    encoder = an_encoder(save_intermediates=save_intermediates)
    assert [file.kind for file in encoder.encode(Detected(1, flat(7)))] == kinds


def test_the_recipe_names_files_as_the_user_does() -> None:
    (image,) = encoded(an_encoder())
    assert (image.request.init_image, " -I mine.png " in image.line) == ("mine.png", True)
    recipe = metadata._recipe(image.data)
    assert recipe is not None
    assert recipe.request == image.request
