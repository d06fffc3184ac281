"""The benchmarks: their arithmetic, saved results, and that each kind of scenario runs."""

import json
import re
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import __main__ as program
from benchmarks import gpu
from benchmarks.alternating import Cost, Side, in_turns, ratios
from benchmarks.bench import Bench, LeftOutError, Scenario
from benchmarks.in_process import InProcess
from benchmarks.jobs import Job
from benchmarks.profile import PARTS, profiled
from benchmarks.random_checkpoints import SHAPES, checkpoint, decoder_flops, unet_flops
from benchmarks.results import Results, Row, goals, latest, read, tables
from benchmarks.stock import Stock
from benchmarks.stub_networks import counted, stubbed
from invoke.language.parse import Draft, parse

MACHINE = {"when": "2026-01-02T03:04", "commit": "abc", "versions": {"torch": "2"}}
SECONDS = st.floats(0.001, 1000)


@given(st.lists(SECONDS, min_size=1), st.floats(0.1, 10))
def test_equal_ratios_in_all_turns_give_that_ratio(seconds: list[float], factor: float) -> None:
    """Even if the turns differ, as long as both sides have the same conditions."""
    ours = [Cost(wall, 0) for wall in seconds]
    theirs = [Cost(factor * wall, 0) for wall in seconds]
    found = ratios(ours, theirs)
    assert (found.median, found.least, found.most) == pytest.approx((factor,) * 3)


@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=1))
def test_the_median_ratio_lies_between_least_and_most(pairs: list[tuple[float, float]]) -> None:
    found = ratios(*([Cost(wall, 0) for wall in side] for side in zip(*pairs, strict=True)))
    assert found.least <= found.median <= found.most


def test_sides_alternate_and_warm_up_runs_are_not_counted() -> None:
    done: list[tuple[str, int]] = []
    sides = {name: Side(lambda turn, name=name: done.append((name, turn))) for name in ("ours", "theirs")}  # type: ignore[misc]
    costs = in_turns(sides, turns=2)
    assert done == [("theirs", 0), ("ours", 0), ("ours", 1), ("theirs", 1), ("theirs", 2), ("ours", 2)]
    assert [len(cost) for cost in costs.values()] == [2, 2]


def test_at_least_one_turn_runs_after_the_deadline() -> None:
    assert len(in_turns({"ours": Side(lambda turn: None)}, turns=5, until=0)["ours"]) == 1


def _row(**changes: object) -> Row:
    costs = {"ours_costs": (Cost(1, 1), Cost(2, 2)), "peer_costs": (Cost(3, 3), Cost(4, 4))}
    return Row(**({"what": "a | picture", "peer": "diffusers", "goal": 2.0, "facts": {"same": True}} | costs | changes))  # type: ignore[arg-type]


def test_saved_results_are_read_back(tmp_path: Path) -> None:
    results = Results("quick", MACHINE, [_row(), _row(peer="", peer_costs=())], {"four": "why not"})
    kept = results.write(tmp_path)
    assert read(kept) == latest("quick", tmp_path) == results
    assert json.loads(kept.read_text(encoding="utf-8"))["rows"][0]["ratio"] == {"median": 2.5, "least": 2, "most": 3}


def test_the_latest_result_is_shown(tmp_path: Path) -> None:
    assert "make bench" in goals(tmp_path) == tables(tmp_path)
    for day, what in (("2026-01-02", "old"), ("2026-02-01", "new")):
        Results("cpu", MACHINE | {"when": day}, [_row(what=what), _row(what="without a goal", goal=None)]).write(
            tmp_path
        )
    assert "| new | invoke | diffusers | **2.50** (2.00 … 3.00, goal 2) |" in goals(tmp_path)
    assert "old" not in goals(tmp_path) + tables(tmp_path)
    assert "without a goal" not in goals(tmp_path)
    assert "without a goal" in tables(tmp_path)
    assert {line.count("|") for line in tables(tmp_path).splitlines() if line.startswith("|")} == {7}


def test_the_later_of_the_quick_and_full_run_is_shown(tmp_path: Path) -> None:
    for day, kind in (("2026-01-02", "cpu"), ("2026-02-01", "quick"), ("2026-01-01", "quick")):
        Results(kind, MACHINE | {"when": day}, [_row(what=f"{kind} {day}")]).write(tmp_path)
    assert "quick 2026-02-01" in tables(tmp_path)
    assert "cpu" not in tables(tmp_path)
    Results("cpu", MACHINE | {"when": "2026-02-01"}, [_row(what="both")]).write(tmp_path)
    assert "both" in tables(tmp_path)


def test_the_benchmark_shapes_have_the_operations_of_real_models() -> None:
    assert unet_flops("sd15", width=512, height=512) == pytest.approx(0.803e12, rel=0.01)
    assert decoder_flops("sd15", width=512, height=512) == pytest.approx(2.51e12, rel=0.01)
    assert unet_flops("sdxl", width=1024, height=1024) == pytest.approx(6.76e12, rel=0.01)


@pytest.mark.parametrize("shape", ["tiny", "tiny-xl"])
def test_both_sides_make_the_same_picture_of_a_job(shape: str, tmp_path: Path) -> None:
    """Otherwise nothing that is compared would be comparable."""
    model = checkpoint(shape, tmp_path)
    job = Job(width=64, height=64, steps=3, seed=5, sampler=SHAPES[shape].sampler)
    ours = InProcess(model, tmp_path / "outputs", device="cpu", precision="float32").make(job.line())
    theirs = Stock(str(model), "float32", "cpu").make(job)
    assert ours == [theirs[0].tobytes()]
    assert len(np.unique(np.asarray(theirs[0]))) > 100, "a picture of nothing would be the same, too"


def test_a_job_is_a_line(tmp_path: Path) -> None:
    job = Job(width=320, height=192, steps=7, seed=9, init_image=f"{tmp_path}/a b.png", strength=0.3, model="x y")
    draft = parse(job.line("-n 2"))
    assert isinstance(draft, Draft)
    wanted = {"width": 320, "height": 192, "steps": 7, "seed": 9, "strength": 0.3, "model": "x y", "iterations": 2}
    assert wanted.items() <= dict(draft.switches).items()
    assert draft.switches["init_img"] == f"{tmp_path}/a b.png"


def test_a_stub_network_counts_its_calls(tmp_path: Path) -> None:
    model, job = checkpoint("tiny", tmp_path), Job(width=64, height=64, steps=2)
    with counted() as asked, stubbed():
        Stock(str(model), "float32", "cpu").make(job)
    assert asked["UNet calls"] == 1
    assert asked["VAE decodes"] == 1
    with counted() as asked:
        Stock(str(model), "float32", "cpu").make(job)
    assert asked["UNet calls"] == 2


def _failing(bench: Bench) -> list[Row]:
    raise ValueError("no")


def _absent(bench: Bench) -> list[Row]:
    raise LeftOutError("not here")


@pytest.mark.parametrize(("scenario", "why"), [(_failing, "failed: ValueError: no"), (_absent, "not here")])
def test_a_scenario_that_cannot_run_is_skipped_with_its_reason(scenario: Scenario, why: str, tmp_path: Path) -> None:
    results = Results("quick", MACHINE)
    program.measure("one", scenario, Bench(tmp_path, tmp_path), results)
    assert results.skipped == {"one": why}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["saved_calls", "another_seed"])
def test_each_scenario_runs(name: str, tmp_path: Path) -> None:
    results = Results("quick", MACHINE)
    bench = Bench(tmp_path / "models", tmp_path, turns=1, quick=True)
    try:
        program.measure(name, program.scenarios()[name], bench, results)
    finally:
        bench.let_go()
    assert results.skipped == {}
    for row in results.rows:
        assert name == "saved_calls" or row.ratio
        assert {key: value for key, value in row.facts.items() if key.endswith("ours")} in (
            {},
            {"text encodes, ours": 0, "VAE encodes, ours": 0},
        )


def test_the_profiled_parts_add_up_to_the_whole(tmp_path: Path) -> None:
    model, job = checkpoint("tiny", tmp_path), Job(width=64, height=64, steps=4)
    with closing(InProcess(model, tmp_path / "ours", device="cpu", precision="float32")) as ours:
        *parts, whole = profiled("tiny", job, ours, Stock(str(model), "float32", "cpu"), tmp_path, 2)
    assert len(parts) + 1 == len(PARTS)
    for side in ("ours_costs", "peer_costs"):
        summed = [
            sum(cost.wall for cost in costs) for costs in zip(*(getattr(row, side) for row in parts), strict=True)
        ]
        assert summed == pytest.approx([cost.wall for cost in getattr(whole, side)])
    words, init, denoiser, decoder, file, rest = parts
    assert [cost.wall for row in (words, init) for cost in row.ours_costs] == [0] * 4, "they are remembered"
    for row in (words, init, denoiser, decoder, file, rest):
        assert all(cost.wall > 0 for cost in row.peer_costs)


@pytest.mark.slow
def test_the_gpu_benchmark_runs_with_small_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = ["--results", str(tmp_path), "--folder", str(tmp_path / "models")]
    gpu.main(["--tiny", "--turns", "1", "--only", "one_picture", "exact", "profile", "batch", "file", *folders])
    results = latest("gpu-tiny", tmp_path)
    assert results is not None
    assert results.skipped == {}
    assert len(results.rows) == 9 + len(PARTS)
    same = [row.facts["pixels as stock"] for row in results.rows if "pixels as stock" in row.facts]
    assert same == [True] * 4
    assert re.search(r"\d+ s\)$", capsys.readouterr().out.strip())
