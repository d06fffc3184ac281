"""The machine that a figure belongs to."""

import os
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path


def describe() -> str:
    """One line: date, processor, cores, versions."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "diffusers", "prompt_toolkit"))
    return f"{date.today()} · {_processor()} · {os.cpu_count()} cores · Python {platform.python_version()} · {versions}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
