"""How OpenMP's threads wait for each other: they spin briefly, then sleep.

A network runs hundreds of parallel loops whose threads start and end together. If threads sleep in between
(`OMP_WAIT_POLICY=PASSIVE`), they wake too late for the short loops of a small network, which then takes up to twice as
long. If they spin for milliseconds, libgomp's default, they take the CPU from each other as soon as another program
computes. A bounded spin (libgomp's `GOMP_SPINCOUNT`) avoids both; `python -m benchmarks waiting` measures it.
"""

import os
from collections.abc import Mapping

from invoke.processes import ENVIRONMENT

SPINS = 10_000
"""Iterations of an empty loop: a fraction of a millisecond."""
_OWN = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def set_environment(environment: Mapping[str, str]) -> None:
    """Replace this process's environment with `environment` plus the variables that an engine needs."""
    own = dict(environment) | ENVIRONMENT
    os.environ.clear()
    os.environ.update(own | dict(waiting_variables(own)))


def waiting_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables to set before torch is loaded; none if `environment` already configures how threads wait."""
    if any(name in environment for name in _OWN):
        return {}
    return {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": str(SPINS)}
