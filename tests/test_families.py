"""Models of several families, named in a file of one's own, as the program draws with them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from invoke.models import DEFAULT_MODEL
from tests import tiny_kandinsky, tiny_transformers
from tests.program import Outcome, invoke
from tests.studio import Studio, read_pixels

SIZE = {"width": 64, "height": 64, "multiple": 16}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that names a Kandinsky, a Stable Diffusion 3 and a Flux."""
    folder = tmp_path_factory.mktemp("models")
    tiny_transformers.sd3().save_pretrained(folder / "sd3")
    tiny_transformers.flux().save_pretrained(folder / "flux")
    decoder = tiny_kandinsky.save(folder / "kandinsky")
    rows: Mapping[str, Mapping[str, Any]] = {
        "tiny-sd3": {"weights": str(folder / "sd3"), "family": "auto", "sampler": "k_euler"},
        "tiny-flux": {"weights": str(folder / "flux"), "family": "auto", "sampler": "k_euler"},
        "tiny-kandinsky": {"weights": str(decoder), "prior": str(folder / "kandinsky-prior"), "family": "kandinsky"},
    }
    file = folder / "models.yaml"
    file.write_text(yaml.safe_dump({name: {**row, **SIZE} for name, row in rows.items()}), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def holed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture with a transparent square."""
    rows, columns = np.mgrid[0:64, 0:64]
    alpha = np.where((rows > 20) & (rows < 50) & (columns > 30) & (columns < 61), 0, 255)
    path = tmp_path_factory.mktemp("pictures") / "holed.png"
    Image.fromarray(np.stack([rows * 4, columns * 3, rows + columns, alpha], axis=-1).astype(np.uint8)).save(path)
    return path


def test_a_batch_draws_with_several_families(models: Path, holed: Path, tmp_path: Path) -> None:
    lines = f"""
        a fire -m tiny-kandinsky
        a fire -m tiny-sd3 -I {holed} -f 0.75 -s 10
        a fire -m tiny-flux --perlin 0.1
        a fire -m tiny-flux -I {holed} -f 0
        a fire -m tiny-sd3 |> a fire -m tiny-kandinsky -f 0.5 |> a fire -m tiny-flux -f 0.5
        a fire -m tiny-kandinsky -I {holed}
    """
    done = _invoke(models, tmp_path, "--json", stdin=lines)
    assert done.status == 1
    assert [(event["line"], event["message"]) for event in done.of_type("error")] == [
        (4, "--perlin: not supported by tiny-flux")
    ]
    made = [event["path"] for event in done.of_type("image")]
    assert len(made) == 7
    with Image.open(holed) as picture:
        original = np.asarray(picture)
    opaque = original[..., 3] == 255
    for path in (made[1], made[2], made[6]):
        assert np.array_equal(read_pixels(path)[opaque], original[..., :3][opaque])
    plan = {event["line"]: event["images"][0] for event in done.of_type("plan") if event["images"]}
    steps = {event["line"]: event["of"] for event in done.of_type("step")}
    assert plan[3]["steps_taken"] == steps[3] == 7


def test_a_picture_does_not_depend_on_earlier_lines(models: Path, tmp_path: Path) -> None:
    sd3, flux, kandinsky = (models.parent / name for name in ("sd3", "flux", "kandinsky-decoder"))
    alone = Studio(sd3, tmp_path / "alone", {"width": 64, "height": 64}).make("a fire -S 7")
    studio = Studio(sd3, tmp_path / "after", {"width": 64, "height": 64})
    for line in (f"a cat -m {flux}", "a fire -S 8 -n 2", f"a cat -m {kandinsky}"):
        studio.make(line)
    assert np.array_equal(studio.make("a fire -S 7").pixels, alone.pixels)


@pytest.mark.parametrize("name", ["sd3", "flux", "kandinsky-decoder"])
def test_the_family_of_a_folder_is_recognised(name: str, models: Path, tmp_path: Path) -> None:
    studio = Studio(models.parent / name, tmp_path / "outputs", {"width": 64, "height": 64})
    made = studio.make("a fire -S 7 -s 3")
    again = studio.make(made.line)
    assert np.array_equal(made.pixels, again.pixels)
    assert made.calls == 3


def _invoke(models: Path, outdir: Path, *arguments: str, stdin: str = "") -> Outcome:
    common = ("--config", models, "-m", DEFAULT_MODEL, "-s", "4", "-W", "64", "-H", "64", "-o", outdir, "--offline")
    return invoke(*common, *arguments, stdin=stdin)
