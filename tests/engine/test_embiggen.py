"""`-embiggen`: an enlarged picture, redrawn in tiles without visible seams."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.events import Started, Step
from invoke.models import ModelSpec, Registry
from tests.engine.making import events, finished, make, pixels, save, scene, started
from tests.making import ARequest


@pytest.fixture
def engine(folder: Path) -> DiffusionEngine:
    spec = ModelSpec(name="tiny", weights=str(folder), width=64, height=64)
    return DiffusionEngine(Registry({"tiny": spec}))


@pytest.fixture
def init(tmp_path: Path) -> Path:
    return save(tmp_path / "init.png", scene(64, 48))


def _lanczos(path: Path, width: int, height: int) -> np.ndarray:
    return np.asarray(Image.open(path).resize((width, height), Image.Resampling.LANCZOS))


def _embiggened(init: Path, **changes: object) -> dict[str, object]:
    fields = {"model": "tiny", "init_image": init, "width": 64, "height": 48, "embiggen": (2.0, 0.0, 0.25)}
    return fields | {"strength": 0.5} | changes


def test_the_steps_of_all_tiles_are_counted_together(engine: DiffusionEngine, a_request: ARequest, init: Path) -> None:
    happened = events(engine, a_request(**_embiggened(init)))
    steps = [event.index for event in happened if isinstance(event, Step)]
    assert started(happened).total == 2 * 6  # 3 × 2 tiles, 4 steps at a half
    assert steps == list(range(2 * 6 + 1))
    assert sum(isinstance(event, Started) for event in happened) == 1
    done = finished(happened)
    assert (done.image.width, done.image.height, done.facts.steps_taken) == (128, 96, 12)


def test_strength_0_gives_the_plain_enlargement(engine: DiffusionEngine, a_request: ARequest, init: Path) -> None:
    assert np.array_equal(make(engine, a_request(**_embiggened(init, strength=0.0))), _lanczos(init, 128, 96))


def test_one_tile_equals_the_picture_of_an_ordinary_line(
    engine: DiffusionEngine, a_request: ARequest, init: Path
) -> None:
    plain = make(engine, a_request(model="tiny", init_image=init, width=64, height=48, strength=0.5))
    assert np.array_equal(make(engine, a_request(**_embiggened(init, embiggen=(1.0, 0.0, 0.25)))), plain)


def test_tiles_not_listed_are_unchanged(engine: DiffusionEngine, a_request: ARequest, init: Path) -> None:
    some = make(engine, a_request(**_embiggened(init, embiggen_tiles=(1, 4))))
    every = make(engine, a_request(**_embiggened(init)))
    plain = _lanczos(init, 128, 96)
    assert np.array_equal(some[:, 64:], plain[:, 64:]), "the first tile of each row is the left one"
    assert np.array_equal(some[:, :30], every[:, :30])
    assert not np.array_equal(some[:, :30], plain[:, :30])


def test_tiles_meet_without_a_seam(engine: DiffusionEngine, a_request: ARequest, tmp_path: Path) -> None:
    """In a flat picture, neighbouring columns differ no more where tiles meet than inside them."""
    init = save(tmp_path / "flat.png", np.full((48, 64, 3), 128, np.uint8))
    picture = make(engine, a_request(**_embiggened(init, embiggen=(3.0, 0.0, 0.5)))).astype(int)
    across = abs(np.diff(picture, axis=1)).mean(axis=(0, 2))
    starts = [32, 64, 96, 128]
    assert max(across[start - 1] for start in starts) <= across.max()
    assert across[[start - 1 for start in starts]].mean() < 1.5 * across.mean()


def test_an_odd_factor_gives_the_exact_size(engine: DiffusionEngine, a_request: ARequest, init: Path) -> None:
    happened = events(engine, a_request(**_embiggened(init, embiggen=(1.23, 0.0, 10.0))))
    assert pixels(happened).shape == (59, 79, 3)


def test_tiles_have_different_seeds_and_the_picture_is_reproducible(
    engine: DiffusionEngine, a_request: ARequest, init: Path
) -> None:
    one = make(engine, a_request(**_embiggened(init)))
    assert np.array_equal(make(engine, a_request(**_embiggened(init))), one)
    assert not np.array_equal(make(engine, a_request(**_embiggened(init, seed=43))), one)
