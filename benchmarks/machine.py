"""The machine on which a result was measured."""

import os
import platform
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from invoke.versions import version_of

LIBRARIES = ("torch", "diffusers", "transformers", "numpy", "pillow", "prompt_toolkit")
ROOT = Path(__file__).parent.parent


def describe(device: str = "", commit: str = "") -> dict[str, Any]:
    """When, which commit, on what, with what. Nothing that names the machine or its owner."""
    return {
        "when": datetime.now().astimezone().isoformat(timespec="minutes"),
        "commit": commit or _commit(),
        "device": device,
        "processor": _processor(),
        "bfloat16": f"bfloat16 by {bfloat16() or 'no instruction of its own'}",
        "cores": f"{os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GB",
        "threads": _threads(),
        "versions": {"Python": platform.python_version(), **_versions()},
    }


def _versions() -> dict[str, str]:
    return {name: found for name in LIBRARIES if (found := version_of(name))}


def _commit() -> str:
    """The commit of the measured tree; with `+` if there are uncommitted changes."""
    try:
        commit = _git("rev-parse", "--short=8", "HEAD")
        return commit + ("+" if _git("status", "--porcelain", "--", "invoke") else "")
    except (OSError, subprocess.CalledProcessError):
        return "commit unknown"


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ).stdout.strip()


def _threads() -> str:
    """How many threads compute, for all sides alike; each side's threads wait as it ships."""
    return f"{os.environ.get('OMP_NUM_THREADS', 'all')} threads, each side waiting as it ships"


def bfloat16() -> str:
    """The CPU's instructions for bfloat16, for matrices or vectors; "" if none."""
    kinds = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512"}
    return next((name for flag, name in kinds.items() if flag in _of_processor("flags").split()), "")


def _processor() -> str:
    return _of_processor("model name") or platform.processor() or platform.machine()


def _of_processor(key: str) -> str:
    """Linux's name of the first core; "" if unknown."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")
