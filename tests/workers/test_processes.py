"""Lanes that are processes of this machine; `python -m tests.torture workers` kills them at random."""

from pathlib import Path

import pytest

from invoke.cli import worker_choice
from invoke.cli.worker_choice import cards
from invoke.errors import ExitStatus
from invoke.language.launch import engine_options, read_arguments
from invoke.options import EngineOptions
from invoke.workers.messages import Gone
from invoke.workers.processes import Processes
from tests.patience import PATIENCE
from tests.program import forked, invoke
from tests.workers.lanes import SETUP
from tests.workers.test_pool import files


def test_a_worker_that_never_starts_is_given_up() -> None:
    lanes = Processes([SETUP], module="tests.workers.no_such_module")
    try:
        while not isinstance((found := lanes.wait(PATIENCE)), tuple) or not isinstance(found[1], Gone):
            assert found is not None
        assert "died 3 times before it was ready" in found[1].why
    finally:
        lanes.close()


@pytest.mark.slow
def test_workers_with_the_real_engine_make_the_same_pictures(tmp_path: Path) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text(
        "a fire -S 1 -n 3 -g\na boat -S 5 --strip\na house -S 7 |> at night -f .5 -S 8\n", encoding="utf-8"
    )
    words = ["-q", "-s", "2", "-W", "64", "-H", "64", "--threads", "1", "--from-file", lines]
    for more in ([], ["--workers", "2"]):
        assert invoke(*words, *more, "-o", tmp_path / f"out{len(more)}").status == ExitStatus.OK
    assert files(tmp_path / "out0") == files(tmp_path / "out2")


@pytest.mark.parametrize(
    ("offline", "sentence"), [("0", "yet\n  --yes downloads it"), ("1", "downloaded while offline")]
)
def test_a_missing_model_is_reported_before_workers_start(
    offline: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    done = forked("--workers", "2", "-m", "sd-1.5", stdin="a fire\n")
    assert done.status == ExitStatus.UNUSABLE
    assert sentence in done.stderr


@pytest.mark.parametrize(
    ("words", "threads"),
    [
        ("--workers 2", 3),
        ("--workers 12", 1),
        ("--workers 2 --threads 5", 5),
        ("--ray local", 1),
        ("--ray head:6379 --workers 2", 0),
    ],
)
def test_workers_divide_the_cores(words: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program's own engine, which verifies their pictures, uses as many threads."""
    monkeypatch.setattr(worker_choice, "cores", lambda: 6)
    launch = read_arguments([*words.split(), "--device", "cpu"])
    options = engine_options(launch)
    count = worker_choice.count_workers(launch, options, SETUP.models, "pocket")
    assert worker_choice.threads_of_each(launch, options, count) == threads


def test_workers_are_assigned_to_the_visible_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert cards(EngineOptions(), lambda: ["GPU-a", "GPU-b"]) == ["GPU-a", "GPU-b"]
    assert cards(EngineOptions(device="cpu"), lambda: ["GPU-a"]) == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")
    assert cards(EngineOptions()) == ["1", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert cards(EngineOptions()) == []
