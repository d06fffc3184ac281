"""A world to read lines against: the shipped models, test pictures, seeds that count up."""

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from invoke.command.parse import parse
from invoke.command.plan import Plan
from invoke.command.resolve import resolve
from invoke.command.world import World
from invoke.models import read_registry

PICTURES = Path(__file__).parent.parent / "test-pictures"


def a_world(
    *,
    defaults: Mapping[str, Any] | None = None,
    newest: Sequence[tuple[str, int]] = (),
    model: str = "pocket",
) -> World:
    """Seeds that nobody chose are 1000, 1001, …"""
    seeds = count(1000)
    return World(
        models=read_registry(),
        model=model,
        defaults=defaults or {},
        newest=newest,
        draw_seed=lambda: next(seeds),
    )


def plan(line: str, world: World | None = None) -> Plan:
    """The line's plan, in `world` or a fresh one."""
    return resolve(parse(line), world or a_world())
