"""A batch on Ray actors with fake engines: `python -m tests.workers.ray_program worker|node|frozen OUTDIR [LINES]`.

A program of its own: Ray reads its environment once a process. Prints one JSON object.
"""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import psutil

from invoke.language.launch_options import LOCAL_RAY
from invoke.workers.messages import Message, Up
from invoke.workers.ray_cluster import RayActors
from tests.batches import Batches
from tests.workers.lanes import SETUP

ENGINE = "tests.workers.lanes:slow_fake"
LINES = int(sys.argv[3]) if len(sys.argv) > 3 else 20


class Meddling:
    """Lanes that run an action after a number of messages."""

    def __init__(self, lanes: RayActors, at: dict[int, Callable[[], object]]) -> None:
        self.lanes, self.at = lanes, at
        self.came = 0
        self.pids: dict[int, int] = {}
        self.last, self.longest = monotonic(), 0.0

    def __len__(self) -> int:
        return len(self.lanes)

    def wait(self, timeout: float) -> tuple[int, Message] | None:
        found = self.lanes.wait(timeout)
        if found is not None:
            self.came += 1
            now = monotonic()
            self.longest, self.last = max(self.longest, now - self.last) if self.came > 5 else 0.0, now
            if isinstance(found[1], Up):
                self.pids[found[0]] = found[1].hello.pid
            self.at.pop(self.came, bool)()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.lanes, name)


def worker(batches: Batches) -> dict[str, object]:
    """Kill a worker, twice in case it was idle; check the listening ports."""
    listening: set[str] = set()

    def kill() -> None:
        with suppress(ProcessLookupError):
            os.kill(next(iter(lanes.pids.values())), 9)

    def kill_and_look() -> None:
        kill()
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                places = [place for place in process.net_connections() if place.status == psutil.CONN_LISTEN]
                listening.update(place.laddr.ip for place in places)

    lanes = Meddling(RayActors(LOCAL_RAY, SETUP, 2, engine=ENGINE), {12: kill_and_look, 20: kill})
    folder = str(lanes.lanes._cluster.folder)
    return run(batches, lanes) | {"listening": sorted(listening), "left": Path(folder).exists()}


def node(batches: Batches) -> dict[str, object]:
    """Lose a node and let another join; then connect with a wrong token."""
    with several_nodes() as (cluster, nodes):
        meddle = {
            LINES * 4 // 5: lambda: cluster.remove_node(nodes[0], allow_graceful=False),
            LINES * 3 // 2: lambda: cluster.add_node(num_cpus=1),
        }
        found = run(batches, Meddling(RayActors(cluster.address, SETUP, 2, engine=ENGINE), meddle))
        return found | {"stranger": stranger(cluster.address)}


def frozen(batches: Batches) -> dict[str, object]:
    """A node stops responding in the middle of its work, as if its cable were pulled."""
    with several_nodes() as (cluster, nodes):
        raylet = psutil.Process(nodes[0].all_processes["raylet"][0].process.pid)
        stopped = [raylet]

        def freeze() -> None:
            stopped.extend(raylet.children(recursive=True))
            for process in stopped:
                process.suspend()

        try:
            return run(batches, Meddling(RayActors(cluster.address, SETUP, 2, engine=ENGINE), {LINES: freeze}))
        finally:
            for process in stopped:
                with suppress(psutil.Error):
                    process.resume()


@contextmanager
def several_nodes() -> Iterator[tuple[Any, list[Any]]]:
    """A cluster with two working nodes on this machine."""
    os.environ |= {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        yield cluster, [cluster.add_node(num_cpus=1) for _ in range(2)]
    finally:
        cluster.shutdown()


def stranger(address: str) -> list[str]:
    """The error for a client with another token."""
    environment = os.environ | {"RAY_AUTH_TOKEN": secrets.token_hex(32)}
    command = [sys.executable, "-m", "invoke", "--ray", address]
    done = subprocess.run(command, input=b"a fire\n", stderr=subprocess.PIPE, env=environment, check=False)
    return [str(done.returncode), *done.stderr.decode().splitlines()]


def run(batches: Batches, lanes: Meddling) -> dict[str, object]:
    lines = [f"picture {k} -S {k} -n 2" for k in range(LINES)]
    result = batches.run(lines, lanes=lanes, as_json=True)  # type: ignore[arg-type]
    prompts = batches.prompts() == {f"picture {k}": 2 for k in range(LINES)}
    return {
        "status": result.status,
        "made": len(batches.pictures),
        "whole": prompts,
        "retried": result.events[-1]["retried"],
        "gap": round(lanes.longest, 1),
        "up": len([event for event in result.of_type("worker") if event["state"] == "up"]),
    }


if __name__ == "__main__":
    out = sys.stdout  # Ray prints to what stands there
    scenario, outdir = sys.argv[1:3]
    result = {"worker": worker, "node": node, "frozen": frozen}[scenario](Batches(Path(outdir)))
    print(json.dumps(result), file=out)
