"""`-U`: a line in, a larger picture out."""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from invoke.commands.verify import make_again
from invoke.errors import EngineError, InvokeError, ModelError
from invoke.events import Finished, Postprocessing, Saved, Started, Step
from invoke.language.render import render
from invoke.outputs import metadata
from tests import tiny_upscalers
from tests.line_contexts import PICTURES, plan
from tests.program import invoke
from tests.studio import Studio, read_pixels

FIRE = "a fire -W 64 -H 64 -S 3"


@pytest.fixture
def large(tiny_model: Path, tmp_path: Path, upscalers: Path) -> Iterator[Studio]:
    """A studio that can enlarge."""
    studio = Studio(tiny_model, tmp_path / "outputs", models_file=upscalers)
    with closing(studio.session.engine):
        yield studio


# what is planned


@pytest.mark.parametrize(
    ("line", "summary"),
    [
        ("a cat -U 2", "upscale  256×256 → 512×512 (upscaler-x2), 20 steps"),
        ("a cat -U 4 0.5", "upscale  256×256 → 1024×1024 (upscaler-x4), 20 steps"),
        ("a cat -U 8", "upscale  256×256 → 2048×2048 (upscaler-x2, then upscaler-x4), 40 steps"),
        ("a cat -U 3 0", "upscale  256×256 → 768×768 (plain scaling)"),
        ("a cat -U 1.5 --upscaler real-esrgan-x4", "upscale  256×256 → 384×384 (real-esrgan-x4)"),
        (
            f"a cat -I {PICTURES / 'tree-and-river-sketch.png'} -c top 7 -U 2",
            "upscale  512×391 → 1024×782 (upscaler-x2), 20 steps",
        ),
    ],
)
def test_the_plan_shows_the_enlarged_size_and_steps(line: str, summary: str) -> None:
    assert plan(line).summary[-1] == summary


@pytest.mark.parametrize(
    ("line", "sentence", "column"),
    [
        ("a cat -U 3", "-U 3: the factor must be 2, 4 or 8", 9),
        ("a cat -U 3 --upscaler upscaler-x4", "-U 3: upscaler-x4 has a fixed factor", 9),
        ("a cat -U 16 0 -W 1024", "the picture would be 16384×4096: the limit is 64 million pixels", 9),
        ("a cat -U 2 --upscaler x4-upscaler", "no upscaler is called 'x4-upscaler', did you mean 'upscaler-x4'?", 22),
        ("a cat -U 2 --upscaler sd-1.5", "sd-1.5: this is a whole model; use it with -m", 22),
    ],
)
def test_impossible_upscaling_is_refused_when_planned(line: str, sentence: str, column: int) -> None:
    with pytest.raises(InvokeError) as caught:
        plan(line)
    assert sentence in caught.value.message
    assert caught.value.column == column


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("a cat --upscaler real-esrgan-x4", "--upscaler has no effect without -U"),
        ("a cat -U 2 0 --upscaler real-esrgan-x4", "--upscaler has no effect at strength 0"),
        ("a cat -U 1", "-U has no effect at a factor of 1"),
        (
            "a cat -U 2 0 --upscale_guidance 3",
            "--upscale_guidance has no effect without a diffusion model that upscales (-U)",
        ),
        ("a cat -save_orig", "-save_orig has no effect without -U or -G"),
    ],
)
def test_upscaling_switches_without_effect_are_noted(line: str, note: str) -> None:
    planned = plan(line)
    assert note in planned.notes
    assert planned.picture(0).request.upscaler is None


def test_upscaling_strength_defaults_to_three_quarters() -> None:
    assert plan("a cat -U 2").picture(0).request == plan("a cat -U 2 0.75 -S 1000").picture(0).request


@pytest.mark.parametrize(
    ("line", "steps"),
    [
        ("a cat", 0),
        ("a cat -U 2 -s 8", 8),
        ("a cat -U 2 -s 90", 20),
        ("a cat -U 4 -s 90", 90),
        ("a cat -U 8 -s 30", 50),
        ("a cat -U 4 -s 30 --upscaler upscaler-x2", 40),
        ("a cat -U 16 -W 64 -H 64 -s 30 --upscaler upscaler-x4", 60),
        ("a cat -U 4 --upscaler real-esrgan-x4", 0),
        ("a cat -U 3 0", 0),
        (f"a cat -s 30 -I {PICTURES / 'fire-drawing.png'} -f 0 -U 2", 20),
    ],
)
def test_the_steps_of_upscalers_are_counted_separately(line: str, steps: int) -> None:
    planned = plan(line).picture(0)
    assert planned.upscale_steps == steps
    assert planned.steps_taken == sum(planned.passes)


@pytest.mark.parametrize(
    ("line", "drawing", "enlarging"),
    [
        ("a cat -U 2", 5.0, 9.0),
        ("a cat -U 4", 5.0, 9.0),
        ("a cat -C 3 -U 2", 3.0, 3.0),
        ("a cat -C 9 -U 2", 9.0, 9.0),
        ("a cat -C 3 -U 2 --upscale_guidance 0", 3.0, 0.0),
        ("a cat -U 2 --upscale_guidance 5", 5.0, 5.0),
        ("a cat -U 4 --upscaler real-esrgan-x4", 5.0, 5.0),
    ],
)
def test_upscalers_use_their_own_guidance_unless_one_is_typed(line: str, drawing: float, enlarging: float) -> None:
    request = plan(line).picture(0).request
    assert (request.guidance_scale, request.enlarging_guidance) == (drawing, enlarging)
    assert (request.upscale_guidance is None) == (drawing == enlarging)
    assert plan(render(request)).picture(0).request == request


def test_upscaling_factors_can_be_swept() -> None:
    assert [each.request.finished_size for each in plan("a cat --sweep upscale=2,4").pictures()] == [
        (512,) * 2,
        (1024,) * 2,
    ]


# what is made


@pytest.mark.parametrize(("switch", "side", "steps"), [("-U 2", 128, 4), ("-U 4", 256, 4), ("-U 8", 512, 8)])
def test_the_picture_has_the_planned_size(large: Studio, switch: str, side: int, steps: int) -> None:
    made = large.make(f"{FIRE} {switch}")
    assert made.pixels.shape == (side, side, 3)
    started = next(event for event in made.events if isinstance(event, Started))
    counted = [(event.index, event.total) for event in made.events if isinstance(event, Step)]
    assert counted == [(index, started.total) for index in range(4 + steps + 1)]
    assert started.total == 4 + steps


def test_the_guidance_of_the_upscaler_is_in_the_saved_line(large: Studio) -> None:
    made = large.make(f"{FIRE} -U 2 1")
    assert "-C 7.5" in made.line
    assert "--upscale_guidance 9" in made.line
    assert np.array_equal(large.make(made.line).pixels, made.pixels)
    assert np.array_equal(large.make(f"{FIRE} -U 2 1 -C 7.5 --upscale_guidance 9").pixels, made.pixels)
    weak = large.make(f"{FIRE} -U 2 1 -C 7.5").pixels
    assert not np.array_equal(weak, made.pixels)


def test_strength_mixes_the_upscaler_with_plain_scaling(large: Studio) -> None:
    drawn = large.make(FIRE).pixels
    plain = np.asarray(Image.fromarray(drawn).resize((128, 128), Image.Resampling.LANCZOS)).astype(float)
    full = large.make(f"{FIRE} -U 2 1").pixels.astype(float)
    assert np.array_equal(large.make(f"{FIRE} -U 2 0").pixels, plain)
    assert np.abs(large.make(f"{FIRE} -U 2 0.3").pixels - (plain + 0.3 * (full - plain))).max() <= 0.5


@pytest.mark.skipif(find_spec("spandrel") is None, reason="the extra [upscale] is not installed")
def test_a_model_in_a_single_file_takes_any_factor(large: Studio, tmp_path: Path) -> None:
    file = tiny_upscalers.save_esrgan(tmp_path / "tiny.safetensors")
    for factor, side in ((1.5, 96), (4, 256), (5, 320)):
        made = large.make(f"{FIRE} -U {factor} 1 --upscaler {file}")
        assert made.pixels.shape == (side, side, 3)
    assert not np.array_equal(made.pixels, large.make(f"{FIRE} -U 5 0").pixels)


def test_an_upscaler_folder_uses_parts_of_the_drawing_model(large: Studio, upscalers: Path, tmp_path: Path) -> None:
    lacking = tmp_path / "lacking"
    for part in ("unet", "scheduler"):
        shutil.copytree(upscalers.parent / "x2" / part, lacking / part)
    index = json.loads((upscalers.parent / "x2" / "model_index.json").read_text())
    kept = {name: entry for name, entry in index.items() if name[0] == "_" or name in {"unet", "scheduler"}}
    (lacking / "model_index.json").write_text(json.dumps(kept))
    whole = large.make(f"{FIRE} -U 2")
    assert np.array_equal(large.make(f"{FIRE} -U 2 --upscaler {lacking}").pixels, whole.pixels)
    start = f"a fire -S 3 -I {whole.path} -f 0"  # no model draws, but the upscaler needs one
    assert large.make(f"{start} -U 2 --upscaler {lacking}").pixels.shape == (256, 256, 3)


def test_latents_are_upscaled_without_decoding_between(large: Studio, tmp_path: Path) -> None:
    drawn = large.make(FIRE)
    from_latents = large.make(f"{FIRE} -U 2 1").pixels
    from_pixels = large.make(f"a fire -S 3 -I {drawn.path} -f 0 -U 2 1").pixels
    assert from_latents.shape == from_pixels.shape
    assert not np.array_equal(from_latents, from_pixels)  # the tiny model's VAE is the upscaler's own
    Image.new("RGB", (64, 64), "orange").save(tmp_path / "orange.png")
    recoloured = large.make(f"{FIRE} --init_color {tmp_path / 'orange.png'}")
    larger = large.make(f"{FIRE} --init_color {tmp_path / 'orange.png'} -U 2 1").pixels
    assert np.array_equal(larger, large.make(f"a fire -S 3 -I {recoloured.path} -f 0 -U 2 1").pixels)


def test_the_same_seed_upscales_to_the_same_bytes_and_another_to_others(large: Studio) -> None:
    first = large.make(f"{FIRE} -U 8").pixels
    large.make("a cat -U 2 -W 72 -H 64 -S 9")
    assert np.array_equal(large.make(f"{FIRE} -U 8").pixels, first)
    start = f"-I {PICTURES / 'fire-drawing.png'} -W 64 -H 64 -f 0 -U 2 1"
    assert not np.array_equal(large.make(f"a fire {start} -S 1").pixels, large.make(f"a fire {start} -S 2").pixels)


def test_an_enlarged_picture_is_reproduced_from_its_line_and_file(large: Studio) -> None:
    made = large.make(f"{FIRE} -U 4 0.6 -n 2")
    assert np.array_equal(large.make(made.line).pixels, made.pixels)
    recipe = metadata.read(made.path)
    assert recipe is not None
    assert recipe.line == made.line
    assert recipe.request is not None
    assert recipe.request.upscale == (4.0, 0.6)
    assert recipe.facts is not None
    assert "upscaler upscaler-x4" in recipe.facts.hashes
    assert [getattr(each, "kind", None) for each in make_again(large.session.engine, made.path)][-1] == "same"


def test_verify_reports_a_replaced_upscaler(large: Studio, upscalers: Path, tiny_model: Path, tmp_path: Path) -> None:
    made = large.make(f"{FIRE} -U 2")
    other = tiny_upscalers.save(tmp_path / "other", tiny_upscalers.latent_upscaler(seed=9))
    (tmp_path / "models.yaml").write_text(f"upscaler-x2: {{weights: {other}, kind: upscaler}}")
    changed = Studio(tiny_model, tmp_path / "o", models_file=tmp_path / "models.yaml")
    with closing(changed.session.engine) as engine:
        last: Any = list(make_again(engine, made.path))[-1]
    assert last.reasons == ("the upscaler upscaler-x2 has changed",)


# the picture as it was before


def test_save_original_keeps_the_picture_before_upscaling(large: Studio) -> None:
    made = large.make(f"{FIRE} -U 2 -save_orig")
    (original,) = made.files("original")
    assert (Path(made.path).name, Path(original).name) == ("000001.3.png", "000001.3.orig.png")
    assert np.array_equal(read_pixels(original), large.make(FIRE).pixels)
    assert [getattr(each, "kind", None) for each in make_again(large.session.engine, original)][-1] == "same"
    assert large.session.made[0].path == made.path
    assert large.make(f"{FIRE} -U 2").files("original") == []


def test_the_original_is_saved_before_upscaling_begins(large: Studio) -> None:
    large.stop(f"{FIRE} -U 2 -save_orig", 6)
    assert [file.name for file in large.outdir.glob("*.png")] == ["000001.3.orig.png"]


def test_strips_show_the_steps_before_upscaling(large: Studio) -> None:
    made = large.make(f"{FIRE} -U 2 --strip")
    with Image.open(made.files("steps")[0]) as strip:
        assert strip.height < 128


def test_upscaling_does_not_change_the_saved_steps(large: Studio) -> None:
    plain = large.make(f"{FIRE} --save_intermediates 3")
    larger = large.make(f"{FIRE} --save_intermediates 3 -U 2")
    assert [Path(path).name for path in larger.files("step")] == [Path(path).name for path in plain.files("step")]


# failures


def test_a_missing_upscaler_is_refused_before_drawing(studio: Studio) -> None:
    running = studio.session.submit(f"{FIRE} -U 2")
    seen = []
    with pytest.raises(ModelError, match="upscaler-x2: this model is not on this disk"):
        seen.extend(running)
    assert not any(isinstance(event, Started) for event in seen)


def test_an_unsupported_factor_is_refused_before_drawing(large: Studio) -> None:
    with pytest.raises(InvokeError, match="-U 2: upscaler-x4 enlarges 4 times, or 16 times when used twice"):
        large.make(f"{FIRE} -U 2 --upscaler upscaler-x4")
    assert large.make(f"{FIRE} -U 4 --upscaler upscaler-x2").pixels.shape == (256, 256, 3)


def test_a_picture_is_kept_when_the_upscaler_fails(large: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = large.make(FIRE)

    def fail(*given: Any, **options: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("invoke.engine.postprocess.super_resolution.in_tiles", fail)
    saved = []
    with pytest.raises(EngineError, match="out of memory while the picture was enlarged to 256×256") as caught:
        saved.extend(event for event in large.session.submit(f"{FIRE} -U 4") if isinstance(event, Saved))
    assert caught.value.code == "out_of_memory"
    monkeypatch.undo()
    kept = large.session.made[-1].path
    assert np.array_equal(read_pixels(kept), plain.pixels)
    recipe = metadata.read(kept)
    assert recipe is not None
    assert recipe.line == plain.line


def test_upscaling_can_be_stopped_between_steps(large: Studio) -> None:
    whole = large.make(f"{FIRE} -U 2").pixels
    large.stop(f"{FIRE} -U 2", 6)
    assert len(large.session.made) == 1
    assert np.array_equal(large.make(f"{FIRE} -U 2").pixels, whole)


def test_the_picture_before_upscaling_is_an_event_of_its_own(large: Studio) -> None:
    events = list(large.session.engine.generate(large.session.plan(f"{FIRE} -U 2").picture(0).request))
    (drawn,) = (event.picture for event in events if isinstance(event, Postprocessing))
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert (drawn.image.width, finished.image.width) == (64, 128)
    assert drawn.request == large.session.plan(FIRE).picture(0).request


# in the program


def test_the_program_upscales_a_picture(tmp_path: Path, upscalers: Path) -> None:
    done = invoke(
        *("--config", upscalers, "-o", tmp_path, "--json", "--precision", "float32"),
        *("--device", "cpu", "-s", "2", "--from_file", "-"),
        stdin="a fire -W 64 -H 64 -U 2 -S 1\n",
    )
    (planned,), (image,) = done.of_type("plan"), done.of_type("image")
    assert (planned["images"][0]["steps_taken"], planned["images"][0]["upscale_steps"]) == (2, 2)
    assert planned["switches"]["upscale"] == [2.0]
    assert (planned["images"][0]["width"], planned["images"][0]["height"]) == (128, 128)
    assert image["recipe"]["upscale"] == [2.0, 0.75]
    assert done.of_type("step")[-1]["of"] == 4
    assert read_pixels(image["path"]).shape == (128, 128, 3)
