"""The small ControlNet for the built-in model: pictures follow the given edges."""

from pathlib import Path

import pytest

from tests.studio import Studio, read_pixels
from training.edges import edges
from training.likeness import agreement
from training.scenes import Scene, draw

NET = Path(__file__).parent / "data" / "pocket-canny"


@pytest.mark.parametrize("subject", ["castle", "house"])
def test_pocket_follows_the_edges_of_a_control_picture(subject: str, tmp_path: Path) -> None:
    drawing = draw(Scene(subject, "hill", "day", "painting", seed=3), width=256, height=256)
    drawing.save(tmp_path / "drawing.png")
    studio = Studio(Path("pocket"), tmp_path / "outputs")
    line = f"a {subject} on a hill, painting -I {tmp_path / 'drawing.png'} -f 1 -s 8 -A k_dpmpp_2 -S 7 -C 5"
    followed = studio.make(f"{line} --control {NET} auto:canny --save_intermediates 99")
    asked = read_pixels(followed.files("control")[0])[..., 0] > 0
    without, with_it = (agreement(edges(pixels), asked) for pixels in (studio.make(line).pixels, followed.pixels))
    assert with_it > 1.5 * without
