"""Architectures that spandrel supports: enlarged in tiles like the whole by spandrel, or refused."""

from importlib import util
from pathlib import Path

import numpy as np
import pytest
import torch

from invoke.engine.process.identify import Identify, identify
from invoke.errors import ModelError
from invoke.models.recognise import recognise_file
from tests import tiny_spandrel
from tests.engine.postprocess.conftest import Tool, enlarge, picture
from tests.tiny_spandrel import ARCHITECTURES, FAR_LOOKING

pytestmark = [
    pytest.mark.skipif(util.find_spec("spandrel") is None, reason="the extra [upscale] is not installed"),
    pytest.mark.usefixtures("no_network"),
]

SCALES = [(name, 4) for name in ARCHITECTURES if name != "RealCUGAN"] + [
    *(("Compact", scale) for scale in (2, 3)),
    *(("SPAN", scale) for scale in (2, 3)),
    ("SwinIR", 3),
    ("RealCUGAN", 2),
]


def whole(tool: object, pixels: np.ndarray) -> np.ndarray:
    """Spandrel's result for the whole picture."""
    plane = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        made = tool.descriptor(plane)[0]  # type: ignore[attr-defined]
    levels: np.ndarray = (made.clamp(0, 1).permute(1, 2, 0) * 255).round().numpy()
    return levels.astype(np.uint8)


@pytest.mark.parametrize(("name", "scale"), SCALES)
def test_each_architecture_enlarges_like_spandrel(
    name: str, scale: int, tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of odd sides, at once and in tiles; but for networks that look at all of a picture, which see a tile instead."""
    loaded = tool(tiny_spandrel.save(tmp_path / "x.safetensors", name, scale))
    assert loaded.factor == scale
    ours, steps = enlarge(loaded, picture(53, 37))
    assert (ours.shape, steps) == ((37 * scale, 53 * scale, 3), 1)
    assert np.array_equal(ours, whole(loaded, picture(53, 37)))
    assert ours.std() > 5
    if name not in FAR_LOOKING:
        monkeypatch.setattr("invoke.engine.postprocess.esrgan.SIDE", 128)
        ours, steps = enlarge(loaded, picture(145, 67))
        assert steps == 2
        assert np.abs(ours.astype(int) - whole(loaded, picture(145, 67))).max() <= 1


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_import_recognises_a_network_that_enlarges(name: str, tmp_path: Path) -> None:
    path = tiny_spandrel.save(tmp_path / "x.safetensors", name, 4)
    try:
        kind = recognise_file("x", path).kind
    except ModelError as error:
        assert error.code == "unknown_family"
        kind = identify(Identify("x", path)).kind
    assert kind == "upscaler"
    assert recognise_file("x", path, "upscaler").kind == "upscaler"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: tiny_spandrel.save(path, "SPAN", 1), "a SPAN network that cleans pictures and keeps their size"),
        (lambda path: tiny_spandrel.save(path, "SwinIR", 1), "a SwinIR network that cleans pictures and keeps"),
        (tiny_spandrel.save_grey, "has 1 input and 1 output channels"),
    ],
)
def test_a_network_that_does_not_enlarge_is_refused(make: object, sentence: str, tool: Tool, tmp_path: Path) -> None:
    path = make(tmp_path / "x.safetensors")  # type: ignore[operator]
    for use in (tool, lambda path: identify(Identify("x", path))):
        with pytest.raises(ModelError, match=sentence) as caught:
            use(path)
        assert "real-esrgan-x4" in caught.value.hint
