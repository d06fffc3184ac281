"""Optimisations that do not change pictures: each is turned off, and every bit stays the same.

Packed weights have `test_packing.py`, recorded calls also `test_recorded_calls.py`, PNG files
`tests/outputs/test_png.py`, half of a guided call `test_stock.py`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.process.remote import RemoteEngine
from invoke.engine.sampling import schedules
from invoke.events import Pixels, Previews
from invoke.models import Registry
from invoke.options import EngineOptions
from invoke.request import Request
from tests.engine.making import image_of
from tests.making import ARequest

_REQUESTS = st.lists(
    st.fixed_dictionaries(
        {
            "init_image": st.sampled_from(["none", "init", "shown"]),
            "strength": st.sampled_from([0.3, 0.75, 1.0]),
            "mask_image": st.sampled_from(["none", "shown"]),
            "guidance_scale": st.sampled_from([1.0, 7.5]),
            "scheduler": st.sampled_from(["ddim", "plms", "k_lms", "k_euler_a", "k_dpmpp_2", "unipc"]),
            "karras": st.booleans(),
            "steps": st.integers(3, 6),
            "seed": st.integers(0, 3),
            "prompt": st.sampled_from(["a fire", "a cat++ on a hill [night]"]),
            "width": st.sampled_from([64, 72]),
            "reuse": st.sampled_from([1, 2]),
        }
    ),
    min_size=2,
    max_size=4,
)


def _each_on_its_own(requests: Sequence[Request]) -> list[Pixels]:
    """Without caches: every picture loads its model and encodes its texts and pictures."""
    made = []
    for request in requests:
        schedules._prepared.cache_clear()
        schedules._prototype.cache_clear()
        engine = DiffusionEngine(Registry({}))
        made.append(image_of(engine, request))
        engine.close()
    return made


@pytest.fixture(scope="module")
def remote() -> Iterator[RemoteEngine]:
    engine = RemoteEngine(Registry({}))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def eager() -> Iterator[DiffusionEngine]:
    """An engine that records no calls."""
    engine = DiffusionEngine(Registry({}), EngineOptions(graphs=False))
    yield engine
    engine.close()


@pytest.mark.slow
@pytest.mark.usefixtures("preloaded_engines")
@settings(max_examples=6, phases=[Phase.generate])
@given(changes=_REQUESTS)
def test_each_optimisation_keeps_every_bit(  # noqa: PLR0917 - fixtures
    engine: DiffusionEngine,
    remote: RemoteEngine,
    eager: DiffusionEngine,
    a_request: ARequest,
    init: Path,
    shown: Path,
    changes: list[dict[str, Any]],
) -> None:
    paths = {"none": None, "init": str(init), "shown": str(shown)}
    requests = [_possible(a_request, paths, change) for change in changes]
    levers = {
        "all": [image_of(engine, request) for request in requests],
        "what is remembered": _each_on_its_own(requests),
        "a process of its own": [image_of(remote, request) for request in requests],
        "recorded calls": [image_of(eager, request) for request in requests],
        "nothing decoded in between": [
            image_of(engine, request, Previews(1, decoder="vae", of="clean")) for request in requests
        ],
    }
    for name, made in levers.items():
        assert made == levers["all"], name


def _possible(a_request: ARequest, paths: dict[str, str | None], change: dict[str, Any]) -> Request:
    """A mask only together with an init picture, and with its proportions."""
    init = paths[change["init_image"]]
    possible = {"init_image": init, "height": change["width"]}
    if init is None:
        possible |= {"mask_image": None, "strength": 0.75}
    else:
        possible |= {"mask_image": paths[change["mask_image"]]}
    return a_request(**change | possible)
