"""Metadata: what is written is read back."""

import json
import os
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from invoke.errors import CommandError, PictureError
from invoke.events import Finished, Pixels, RunInfo
from invoke.language.switches import by_field
from invoke.outputs import iptc, metadata, png
from invoke.prompts import read_prompt
from invoke.request import Request
from tests.outputs.makings import FACTS, PIXELS, REQUEST, finished
from tests.strategies import requests

words = st.text(max_size=12)
facts = st.builds(
    RunInfo,
    mode=st.sampled_from(["txt2img", "img2img", "inpaint"]),
    steps_taken=st.integers(0, 2000),
    painted=st.floats(0, 1),
    device=words,
    dtype=words,
    versions=st.dictionaries(words, words, max_size=3),
    hashes=st.dictionaries(words, words, max_size=3),
)


def file(folder: Path, made: Finished, line: str = "a cat", name: str = "a.png", **options: bool) -> Path:
    path = folder / name
    path.write_bytes(png.encode(made.image, 6, metadata.texts(made, line, **options)))
    return path


def with_text(folder: Path, keyword: str, text: str) -> Path:
    path = folder / "made.png"
    path.write_bytes(png.encode(PIXELS, 6, [(keyword, text)]))
    return path


def _can_be_drawn(request: Request) -> bool:
    """Planning refuses an invalid prompt, such as `.swap(` alone; no picture has one."""
    try:
        read_prompt(request.prompt, request.negative_prompt)
    except CommandError:
        return False
    return True


@settings(max_examples=150)
@given(requests, facts, st.one_of(st.none(), words))
def test_a_written_request_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, request_: Request, facts: RunInfo, prompt: str | None
) -> None:
    request = request_ if prompt is None else replace(request_, prompt=prompt)
    assume(_can_be_drawn(request))
    path = file(tmp_path_factory.getbasetemp(), Finished(request, PIXELS, facts))
    recipe = metadata.read(path)
    assert recipe is not None
    assert (recipe.request, recipe.facts) == (request, facts)


def test_a_path_that_is_not_utf_8_is_read_back(tmp_path: Path) -> None:
    made = finished(init_image=os.fsdecode(b"caf\xe9.png"), mask_image="日本.png")
    recipe = metadata.read(file(tmp_path, made, os.fsdecode(b"x -I caf\xe9.png")))
    assert recipe is not None
    assert recipe.request == made.request
    assert (recipe.line, recipe.left_out) == ("", ("its line, because it contains a name that cannot be typed",))


def test_a_long_prompt_is_read_back(tmp_path: Path) -> None:
    made = finished(prompt='日"' * 16_000, negative_prompt="\\" * 30_000)
    recipe = metadata.read(file(tmp_path, made))
    assert recipe is not None
    assert recipe.request == made.request


def test_the_same_picture_gives_the_same_file() -> None:
    slower = replace(FACTS, seconds=99.0)
    assert metadata.texts(finished(), "a cat") == metadata.texts(finished(slower), "a cat")


def test_pillow_reads_our_metadata(tmp_path: Path) -> None:
    made = finished(
        prompt="a cat, é",
        negative_prompt="blurry",
        karras=True,
        scheduler="k_dpmpp_2",
        init_image="x.png",
        strength=0.6,
    )
    with Image.open(file(tmp_path, made, "a cat, é -s50")) as image:
        image.load()
        assert isinstance(image, PngImagePlugin.PngImageFile)
        assert image.text["Dream"] == "a cat, é -s50"
        assert image.text["parameters"] == (
            "a cat, é\nNegative prompt: blurry\n"
            "Steps: 50, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 42, Size: 512x384, "
            "Model hash: ababababab, Model: pocket, Denoising strength: 0.6, Version: invoke-shell"
        )
        assert json.loads(image.text["invoke"])["request"]["scheduler"] == "k_dpmpp_2"


# the label

INPAINT = replace(FACTS, mode="inpaint", painted=0.3)
REDRAWN = replace(FACTS, mode="img2img")


@pytest.mark.parametrize(
    ("facts", "strength", "expected"),
    [
        (FACTS, 0.75, iptc.MADE),
        (FACTS, 0.0, iptc.MADE),
        (REDRAWN, 0.75, iptc.MADE),
        (INPAINT, 0.75, iptc.COMPOSITE),
        (REDRAWN, 0.0, None),
        (INPAINT, 0.0, None),
        (replace(REDRAWN, hashes={"upscaler x2": "ab"}), 0.0, iptc.COMPOSITE),
        (replace(REDRAWN, hashes={"face GFPGAN": "ab"}), 0.0, iptc.COMPOSITE),
        (replace(REDRAWN, hashes={"model": "ab"}), 0.0, None),
    ],
)
def test_the_ai_label_says_how_the_picture_was_made(facts: RunInfo, strength: float, expected: str | None) -> None:
    start = None if facts is FACTS else "x.png"
    made = finished(facts, init_image=start, strength=strength)
    found = dict(metadata.texts(made, "a cat")).get("XML:com.adobe.xmp", "")
    assert expected is None or f"/digitalsourcetype/{expected}<" in found
    assert bool(found) == bool(expected)
    assert "XML:com.adobe.xmp" not in dict(metadata.texts(made, "a cat", ai_label=False))


@pytest.mark.parametrize(("before", "label"), [(FACTS, iptc.MADE), (INPAINT, iptc.COMPOSITE)])
@pytest.mark.parametrize("more", [{}, {"upscaler x2": "ab"}])
def test_a_picture_that_is_only_saved_again_keeps_its_label(
    tmp_path: Path, before: RunInfo, label: str, more: dict[str, str]
) -> None:
    start = "x.png" if before is INPAINT else None
    first = file(tmp_path, finished(before, init_image=start, strength=0.5))
    digest = sha256(first.read_bytes()).hexdigest()
    facts = replace(REDRAWN, hashes={"init_image": digest} | more)
    found = dict(metadata.texts(finished(facts, init_image=str(first), strength=0.0), "a cat"))
    assert f"/digitalsourcetype/{label}<" in found["XML:com.adobe.xmp"]


def test_pillow_reads_the_ai_label() -> None:
    data = png.encode(Pixels(8, 8, bytes(192)), 6, metadata.texts(finished(), "a cat"))
    with Image.open(BytesIO(data)) as image:
        assert isinstance(image, PngImagePlugin.PngImageFile)
        assert "trainedAlgorithmicMedia" in image.text["XML:com.adobe.xmp"]
        assert image.getexif() is not None


# the parent


def child(path: Path, **changes: Any) -> Finished:
    """A picture made from the one at `path`."""
    digest = sha256(path.read_bytes()).hexdigest()
    facts = replace(REDRAWN, hashes={"init_image": digest})
    return finished(facts, init_image=str(path), **changes)


def generations(path: Path) -> list[int]:
    """The seeds of a picture and its ancestors."""
    recipe = metadata.read(path)
    seeds = []
    while recipe is not None:
        assert recipe.request is not None
        seeds.append(recipe.request.seed)
        recipe = recipe.parent
    return seeds


def test_the_recipe_of_the_init_picture_is_kept(tmp_path: Path) -> None:
    path = file(tmp_path, finished(seed=0), name="0.png")
    for seed in range(1, 12):
        path = file(tmp_path, child(path, seed=seed), name=f"{seed}.png")
    assert generations(tmp_path / "2.png") == [2, 1, 0]
    assert generations(path) == list(range(11, 11 - 1 - metadata.OLDEST_ANCESTOR, -1))


def test_a_long_ancestry_is_cut(tmp_path: Path) -> None:
    path = file(tmp_path, finished(seed=0, prompt="x" * 12_000), name="0.png")
    for seed in range(1, 6):
        path = file(tmp_path, child(path, seed=seed, prompt="x" * 12_000), name=f"{seed}.png")
    assert generations(path) == [5, 4, 3]


def test_a_parent_file_that_has_changed_is_not_recorded(tmp_path: Path) -> None:
    parent = file(tmp_path, finished(seed=1), name="parent.png")
    made = child(parent, seed=2)
    file(tmp_path, finished(seed=3), name="parent.png")
    assert generations(file(tmp_path, made)) == [2]
    parent.unlink()
    assert generations(file(tmp_path, replace(made, request=replace(made.request, seed=4)))) == [4]


def test_an_unchanged_original_keeps_its_label(tmp_path: Path) -> None:
    parent = file(tmp_path, finished(), name="parent.png")
    assert len(metadata.texts(child(parent, strength=0.0), "x")) == 4


# what is no recipe


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
def test_a_picture_without_metadata_has_no_recipe(tmp_path: Path, kind: str) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "x", kind)
    assert metadata.read(tmp_path / "x") is None


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="no such picture"):
        metadata.read(tmp_path / "x.png")


def recipe_with(fields: dict[str, Any] | None = None, /, **changes: Any) -> str:
    data = json.loads(dict(metadata.texts(finished(), "a cat"))["invoke"])
    data["request"] |= fields or {}
    return json.dumps(data | changes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (recipe_with({"steps": "rm -rf"}), "steps cannot be 'rm -rf'"),
        (recipe_with({"steps": 0}), "steps must be"),
        (recipe_with({"steps": True}), "steps cannot be True"),
        (recipe_with({"steps": 7.5}), "steps cannot be 7.5"),
        (recipe_with({"guidance_scale": float("inf")}), "guidance_scale cannot be inf"),
        (recipe_with({"guidance_scale": float("nan")}), "guidance_scale cannot be nan"),
        (recipe_with({"guidance_scale": 10**400}), "guidance_scale cannot be 1"),
        (recipe_with({"strength": 1.1}), "strength must be"),
        (recipe_with({"seed": -1}), "seed must be"),
        (recipe_with({"seed": 2**32}), "seed must be"),
        (recipe_with({"width": 10**9}), "width must be"),
        (recipe_with({"scheduler": "k_foo"}), "scheduler must be"),
        (recipe_with({"infill": "lava"}), "infill cannot be 'lava'"),
        (recipe_with({"karras": 1}), "karras cannot be 1"),
        (recipe_with({"prompt": None}), "prompt cannot be None"),
        (recipe_with({"init_image": ["x"]}), "init_image cannot be"),
        (recipe_with({"variations": [[1]]}), "variations cannot be"),
        (recipe_with({"variations": [[1, 2.0]]}), "variations must be"),
        (recipe_with({"prompt": ["x" * 10_000]}), "prompt cannot be"),
        (recipe_with(request=[]), "request must be an object"),
        (recipe_with(facts="x"), "facts must be an object"),
        (recipe_with(parent=7), "has no version"),
        (recipe_with(version="1"), "has no version"),
        ("[]", "has no version"),
        ("{", "is damaged"),
        ("[" * 200_000, "nested too deeply"),
        ("1" * 5000, "is damaged"),
    ],
)
def test_invalid_metadata_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PictureError) as caught:
        metadata.read(with_text(tmp_path, "invoke", text))
    assert said in caught.value.message
    assert caught.value.code == "bad_recipe"
    assert len(caught.value.message) < 300 + len(str(tmp_path))
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "text",
    [recipe_with(version=2), recipe_with({"hue": 3}), recipe_with(request={"prompt": "x"})],
)
def test_metadata_of_other_versions_gives_its_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.png"
    for line, read, left_out in (
        ("a cat -s 3 -m sdxl -I x.png --no-defaults", "a cat -s 3 -m sdxl -I x.png --no-defaults", ()),
        ("a cat --hue 3", "", ("its line, which this version cannot read: a cat --hue 3",)),
        ("a cat -o /etc", "", ("its line, because it has --outdir",)),
        ("!quit", "", ()),
    ):
        path.write_bytes(png.encode(PIXELS, 6, [("invoke", text), ("Dream", line)]))
        recipe = metadata.read(path)
        assert recipe is not None
        assert (recipe.request, recipe.line, recipe.left_out) == (None, read, left_out)


def test_every_request_field_is_checked_when_read() -> None:
    """A new field of Request needs a row, or it would not be checked when read."""
    assert by_field().keys() == set(REQUEST.__dataclass_fields__)
