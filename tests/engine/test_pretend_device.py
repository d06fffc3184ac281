"""A device without a device: every kind of line draws on an accelerator that refuses to meet tensors of the CPU.

It computes with the CPU's arithmetic, so its pictures are those of the CPU but for rounding: what goes to the wrong
device is refused, and what is left there would show. No card is needed.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROUNDING = 2
"""The most that a byte may differ: attention is computed in other steps than on the CPU."""


@pytest.mark.slow
def test_every_kind_of_line_draws_on_an_accelerator(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.engine.pretend_lines", tmp_path],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    drawn = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(drawn) > 40
    assert [row for row in drawn if "error" in row] == []
    assert [row for row in drawn if row["apart"] > ROUNDING] == []


def test_the_device_refuses_tensors_of_the_cpu() -> None:
    """Else the test above could not fail."""
    program = """
import torch
from tests.engine.pretend_device import MixedDevicesError, register
device = register()
there = torch.ones(2, 3).to(device)
assert there.device.type == "pretend" and torch.arange(3, device=device).device.type == "pretend"
assert (there + there).cpu().tolist() == [[2, 2, 2], [2, 2, 2]]
here = torch.ones(2, 3)
for mix in (lambda: there + here, lambda: torch.cat([there, here]), lambda: here.T @ there):
    try:
        mix()
    except MixedDevicesError:
        continue
    raise SystemExit("devices were mixed")
"""
    subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=True)
