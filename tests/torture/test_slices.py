"""A slice of every campaign, with another seed in each `make test`: a failure names the seed that repeats it."""

import os
import subprocess
import sys

import pytest

from tests.patience import PATIENCE
from tests.program import ROOT

CAMPAIGNS = (
    "calls",
    "kills",
    "engines",
    "power",
    "allocations",
    "signals",
    "mutants",
    "memory",
    "warm",
    "workers",
    "shards",
)
SEED = ("--seed", os.environ["TESTS_SEED"]) if "TESTS_SEED" in os.environ else ()


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_each_campaign_passes_a_slice(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.torture", name, "--slice", *SEED],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
