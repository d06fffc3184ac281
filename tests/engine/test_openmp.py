"""How the engine's threads wait: the worker's settings before torch is loaded, which the user can override."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from invoke.engine.process.openmp import waiting_variables


def test_worker_threads_spin_briefly_then_sleep() -> None:
    found = waiting_variables({"HOME": "/"})
    assert found["OMP_WAIT_POLICY"] == "PASSIVE"
    assert 0 < int(found["GOMP_SPINCOUNT"]) < 300_000, "libgomp's own spins take the processor from others"


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"])
def test_omp_settings_of_the_user_are_kept(name: str) -> None:
    assert waiting_variables({name: ""}) == {}


@pytest.mark.skipif(sys.platform != "linux", reason="libgomp says what it has read on Linux")
@pytest.mark.parametrize(("given", "spins"), [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7")])
def test_libgomp_reads_the_settings_of_the_worker(given: dict[str, str], spins: str) -> None:
    """`OMP_DISPLAY_ENV` has libgomp print its settings when it is loaded; here alone, without the rest of torch."""
    (library,) = (Path(torch.__file__).parent / "lib").glob("libgomp*")
    program = (
        "import ctypes, os; from invoke.engine.process.openmp import waiting_variables\n"
        f"os.environ.update(waiting_variables(os.environ)); ctypes.CDLL({str(library)!r})"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=environment | given | {"OMP_DISPLAY_ENV": "verbose"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"GOMP_SPINCOUNT = '{spins}'" in ran.stderr
