"""The context of lines in tests: the shipped models and a face model, test pictures, increasing seeds."""

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from invoke.language.parse import parse
from invoke.language.plan import Plan
from invoke.language.resolve import resolve
from invoke.language.resolve.line_context import LineContext
from invoke.models import ModelSpec, Registry, read_registry

PICTURES = Path(__file__).parent.parent / "test-pictures"
FACES = ModelSpec(name="gfpgan", weights="models/GFPGANv1.4.safetensors", kind="face")
"""Users bring their own."""


def a_context(
    *,
    defaults: Mapping[str, Any] | None = None,
    newest: Sequence[tuple[str, int]] = (),
    model: str = "pocket",
    wildcards: Sequence[Path] = (),
) -> LineContext:
    """Random seeds are 1000, 1001, …"""
    seeds = count(1000)
    return LineContext(
        models=Registry({spec.name: spec for spec in (*read_registry(), FACES)}),
        model=model,
        defaults=defaults or {},
        newest=newest,
        draw_seed=lambda: next(seeds),
        wildcards=wildcards,
    )


def plan(line: str, context: LineContext | None = None) -> Plan:
    """The line's plan, in `context` or a fresh one."""
    return resolve(parse(line), context or a_context())
