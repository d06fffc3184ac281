"""Lanes on Ray actors: workers and nodes are killed and added, and ports are local."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from invoke.errors import CommandError, ExitStatus
from invoke.workers.ray_cluster import refuse_missing
from tests.patience import PATIENCE
from tests.program import ROOT, invoke

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra [ray] is not installed")
pytestmark = pytest.mark.ray


def report_of(scenario: str, folder: Path) -> dict[str, Any]:
    """The output of `ray_program`, which must contain nothing else."""
    command = [sys.executable, "-m", "tests.workers.ray_program", scenario, str(folder)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=2 * PATIENCE, check=True)
    (line,) = done.stdout.splitlines()
    answer: dict[str, Any] = json.loads(line)
    return answer


@needs_ray
def test_a_killed_ray_worker_loses_no_picture_and_ports_are_local(tmp_path: Path) -> None:
    found = report_of("worker", tmp_path / "out")
    assert found == found | {"status": 0, "whole": True, "left": False}
    assert found["listening"], "somebody is looked at"
    assert set(found["listening"]) <= {"127.0.0.1", "::ffff:127.0.0.1"}
    assert found["retried"] >= 1
    assert found["up"] >= 2, "both came up; the one that was killed may come back after the last picture"


@needs_ray
@pytest.mark.slow
def test_a_lost_node_is_replaced_by_one_that_joins(tmp_path: Path) -> None:
    found = report_of("node", tmp_path / "out")
    assert found == found | {"status": 0, "whole": True}
    status, refusal, _ = found["stranger"]
    assert status == "3"
    assert "it refused the connection (check RAY_AUTH_TOKEN)" in refusal


@needs_ray
def test_an_unreachable_cluster_is_one_error(tmp_path: Path) -> None:
    done = invoke("--ray", "127.0.0.1:1", "-o", tmp_path, stdin="a fire\n", is_preloaded=False)
    assert done.status == ExitStatus.UNUSABLE
    assert "--ray 127.0.0.1:1: there is no answer" in done.stderr
    assert "RAY_AUTH_TOKEN" in done.stderr


def test_without_the_ray_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CommandError, match="not installed") as caught:
        refuse_missing()
    assert caught.value.hint == "pip install 'invoke-shell[ray]'"
