"""Models in memory: they are loaded and evicted without leaving state."""

import gc
from dataclasses import replace
from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st

from invoke.engine.components.devices import choose_placement
from invoke.engine.components.lru_cache import LRUCache
from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.loading import model_pool
from invoke.engine.loading.load import load
from invoke.engine.loading.stamps import weights_stamp
from invoke.events import Loading
from invoke.language.switches import by_field
from invoke.language.types import ModelName, Refiner
from invoke.models import ModelSpec, Registry
from invoke.models.yaml_lists import PLACES
from invoke.options import EngineOptions
from tests import tiny
from tests.engine.making import disc, events, make, save, scene, with_alpha
from tests.making import ARequest
from tests.tiny_xl import xl_components, xl_index


def test_switching_among_five_models_keeps_memory_flat(a_request: ARequest, tmp_path: Path) -> None:
    folders = [
        tiny.save_folder(tmp_path / "one", tiny.components()),
        tiny.save_folder(tmp_path / "two", tiny.components(channels=9)),
        tiny.save_folder(tmp_path / "three", tiny.components(prediction_type="v_prediction")),
        tiny.save_folder(tmp_path / "four", xl_components(), xl_index()),
        tiny.save_folder(tmp_path / "five", xl_components(refiner=True), xl_index(refiner=True)),
    ]
    place = choose_placement(EngineOptions(device="cpu"))
    largest = max(model_pool.weight(load(_spec(folder), place)) for folder in folders)
    engine = DiffusionEngine(Registry({}), EngineOptions(max_memory=1.5 * largest / 10**9))
    before, held = _bytes_alive(), []
    for turn in range(15):
        events(engine, a_request(model=folders[turn % 5], steps=1, seed=turn % 5))
        if turn in (9, 14):
            held.append(_bytes_alive())
    assert held[0] == held[1]
    assert held[0] - before < 3 * largest


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.sampled_from(["get", "put", "look", "in"]), st.integers(0, 5)), min_size=8),
)
def test_a_cache_keeps_the_most_recently_used(size: int, done: list[tuple[str, int]]) -> None:
    """Compared with a list of keys in the order of their use."""
    cache, order, values = LRUCache[int](size), list[int](), dict[int, int]()
    for turn, (what, key) in enumerate(done):
        is_there = key in order
        if what == "in":
            assert (key in cache) == is_there
            continue
        if what == "put":
            cache.put(key, turn)
        elif what == "get":
            assert cache.get_or_compute(key, lambda turn=turn: turn) == (values[key] if is_there else turn)  # type: ignore[misc]
        elif is_there:
            assert cache[key] == values[key]
        else:
            continue
        if what == "put" or not is_there:
            values[key] = turn
        order = [*(other for other in order if other != key), key][-size:]
        assert [other for other in range(6) if other in cache] == sorted(order)
    cache.clear()
    assert not any(key in cache for key in range(6))


def test_one_model_serves_all_modes(a_request: ARequest, tmp_path: Path) -> None:
    engine = DiffusionEngine(Registry({}))
    holed = with_alpha(tmp_path / "holed.png", scene(), disc() * 255)
    plain = save(tmp_path / "plain.png", scene())
    output = [
        event
        for changes in ({}, {"init_image": plain}, {"init_image": holed})
        for event in events(engine, a_request(**changes))
    ]
    assert sum(isinstance(event, Loading) for event in output) == 1


def test_an_entry_keeps_its_size_after_another_for_the_same_files(a_request: ARequest, tmp_path: Path) -> None:
    small = replace(_spec(tiny.save_folder(tmp_path / "one", tiny.components())), name="small", width=64, height=64)
    models = Registry({"small": small, "large": replace(small, name="large", width=96, height=96)})
    request = a_request(model="large", width=128, height=128, hires_fix=True, strength=0.5, steps=2)
    alone = make(DiffusionEngine(models), request)
    engine = DiffusionEngine(models)
    make(engine, replace(request, model="small"))
    assert (make(engine, request) == alone).all()


def test_every_switch_that_names_a_model_is_watched_for_changes() -> None:
    """A new one is yielded by `_models_of` in loading/stamps.py, or pictures outlive the files they were made with."""
    rows = by_field().items()
    named = {name for name, row in rows if isinstance(row.type, ModelName | Refiner)}
    parts = {name for name, row in rows if any(isinstance(part, ModelName) for part in getattr(row.type, "parts", ()))}
    assert named | parts == {"model", "refiner", "controls", "ip_adapters", "upscaler", "facetool"}


def test_every_file_that_an_entry_names_is_watched_for_changes(tmp_path: Path) -> None:
    """But for its LoRA, which is one of the adapters of each picture."""
    named = {field: str(tmp_path / field) for field in PLACES}
    for path in named.values():
        Path(path).write_text("")
    spec = ModelSpec(name="any", **named)  # type: ignore[arg-type]
    own = {file for file, _ in weights_stamp(spec, Registry({}))}
    assert own | {name for name, _ in spec.companions} == {*named.values()} - {named["lora"]}


def _spec(folder: Path) -> ModelSpec:
    return ModelSpec(name=str(folder), weights=str(folder))


def _bytes_alive() -> int:
    gc.collect()
    return sum(each.nbytes for each in gc.get_objects() if isinstance(each, torch.nn.Parameter))
