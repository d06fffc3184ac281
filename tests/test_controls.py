"""ControlNets end to end: a line in; the picture, its metadata and notes out."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from invoke.commands.verdict import Verdict
from invoke.commands.verify import make_again
from invoke.errors import ModelError
from invoke.events import Loading
from invoke.outputs import metadata
from tests.line_contexts import PICTURES
from tests.program import forked
from tests.studio import Studio, read_pixels

FIRE = f"-I {PICTURES / 'fire-drawing.png'} -W 64 -H 64"


@pytest.fixture(scope="session")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ControlNet for the tiny model."""
    from tests import tiny
    from tests.tiny_control import controlnet, save_controlnet

    return save_controlnet(tmp_path_factory.mktemp("control") / "net", controlnet(tiny.components()["unet"]))


@pytest.fixture
def edges(tmp_path: Path) -> Path:
    path = tmp_path / "edges.png"
    Image.linear_gradient("L").resize((64, 64)).save(path)
    return path


def test_a_saved_line_with_control_makes_the_same_picture(studio: Studio, net: Path, edges: Path) -> None:
    made = studio.make(f"a fire -W 64 -H 64 -S 1 --control {net} {edges} 0.5")
    assert f"--control {net} {edges} 0.5" in made.line
    assert np.array_equal(studio.make(made.line).pixels, made.pixels)
    assert not np.array_equal(studio.make("a fire -W 64 -H 64 -S 1").pixels, made.pixels)


def test_control_accepts_the_previous_picture(studio: Studio, net: Path) -> None:
    first = studio.make("a fire -W 64 -H 64")
    second = studio.make(f"a cat -W 64 -H 64 --control {net} -1")
    assert second.images[0].request is not None
    assert second.images[0].request.controls == ((str(net), first.path, 1.0),)


def test_control_is_saved_in_the_metadata_and_read_back(studio: Studio, net: Path, edges: Path) -> None:
    made = studio.make(f"a fire {FIRE} --control {net} {edges} --control {net} auto:canny 0.5")
    recipe = metadata.read(made.path)
    assert recipe is not None
    assert recipe.request == made.images[0].request
    assert recipe.facts is not None
    assert {"control picture", f"ControlNet {net}"} < set(recipe.facts.hashes)


def test_a_plan_in_json_lists_the_control_pictures() -> None:
    picture = str(PICTURES / "fire-drawing.png")
    done = forked("--dry-run", "--json", f"a fire -m sd-1.5 --control canny {picture} 0.5 --control depth {picture}")
    plan = done.of_type("plan")[0]
    assert plan["switches"]["control"] == [["canny", picture, 0.5], ["depth", picture, 1.0]]


def test_verify_reports_a_replaced_control_picture(studio: Studio, net: Path, edges: Path) -> None:
    made = studio.make(f"a fire -W 64 -H 64 --control {net} {edges}")
    assert _verdict(studio, made.path).kind == "same"
    Image.new("RGB", (64, 64)).save(edges)
    found = _verdict(studio, made.path)
    assert found.kind != "same"
    assert found.reasons == ("the control picture has changed",)


def test_detected_edges_are_saved_beside_the_steps(studio: Studio, net: Path) -> None:
    made = studio.make(f"a fire {FIRE} --control {net} auto:canny --save_intermediates 1")
    (kept,) = made.files("control")
    assert Path(kept).parent == Path(made.files("step")[0]).parent
    assert Path(kept).name == "control-1.png"
    assert set(np.unique(read_pixels(kept))) == {0, 255}
    assert np.array_equal(studio.make(made.line.replace("auto:canny", kept)).pixels, made.pixels)
    assert not studio.make(f"a fire {FIRE} --control {net} auto:canny --save_intermediates 0").files("control")


def test_embiggen_detects_edges_in_each_tile(studio: Studio, net: Path) -> None:
    line = f"a fire {FIRE} -embiggen 2 -S 1"
    made = studio.make(f"{line} --control {net} auto:canny")
    assert made.pixels.shape == (128, 128, 3)
    assert not np.array_equal(made.pixels, studio.make(line).pixels)


def test_a_controlnet_that_does_not_fit_leaves_the_model_unchanged(studio: Studio, edges: Path, tmp_path: Path) -> None:
    from tests import tiny
    from tests.tiny_control import controlnet, save_controlnet

    other = save_controlnet(tmp_path / "other", controlnet(tiny.components()["unet"], block_out_channels=(16, 48)))
    before = studio.make("a fire -W 64 -H 64 -S 1")
    with pytest.raises(ModelError, match="does not fit"):
        studio.make(f"a fire -W 64 -H 64 -S 1 --control {other} {edges}")
    after = studio.make("a fire -W 64 -H 64 -S 1")
    assert not any(isinstance(event, Loading) for event in after.events)
    assert np.array_equal(after.pixels, before.pixels)


def _verdict(studio: Studio, path: str) -> Verdict:
    last = list(make_again(studio.session.engine, path))[-1]
    assert isinstance(last, Verdict)
    return last
