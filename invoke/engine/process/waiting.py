"""How OpenMP's threads wait for each other: they spin for a moment, then they sleep.

A network is hundreds of loops, shared out among threads, that all begin and end together. Asleep in between
(`OMP_WAIT_POLICY=PASSIVE`), they wake too late for the short loops of a small network, which takes up to twice as
long; spinning for milliseconds, as libgomp does by default, they take the processor from each other as soon as another
program computes. A bounded spin (libgomp's `GOMP_SPINCOUNT`) does neither; `python -m benchmarks waiting` measures it.
"""

import os
from collections.abc import Mapping

from invoke.processes import ENVIRONMENT

SPINS = 10_000
"""Turns of an empty loop, a fraction of a millisecond."""
_OWN = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def set_environment(environment: Mapping[str, str]) -> None:
    """Have this process, an engine's, the variables of `environment` and those that an engine needs besides."""
    own = dict(environment) | ENVIRONMENT
    os.environ.clear()
    os.environ.update(own | dict(waiting_variables(own)))


def waiting_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """What a process is to be given before it loads torch; nothing where `environment` already says how to wait."""
    if any(name in environment for name in _OWN):
        return {}
    return {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": str(SPINS)}
