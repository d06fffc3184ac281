"""Every kind of line draws on a pretend accelerator that refuses CPU tensors.

It computes with the CPU's arithmetic, so its pictures are those of the CPU but for rounding: what goes to the wrong
device is refused, and what is left there would show. No card is needed. Each in a process of its own: torch itself is
changed. The lines are not drawn in a fork, which hangs if OpenVINO was used before it.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.engine.pretend_device import MixedDevicesError, register
from tests.patience import PATIENCE
from tests.torture import forks

ROUNDING = 2
"""Largest difference of a byte: attention is computed in another order than on the CPU."""


@pytest.mark.slow
def test_every_kind_of_line_draws_on_a_pretend_accelerator(tmp_path: Path) -> None:
    script = "import json, pathlib, sys; from tests.engine.pretend_lines import drawn; " + (
        "pathlib.Path(sys.argv[2]).write_text(json.dumps([*drawn(pathlib.Path(sys.argv[1]))]))"
    )
    result = tmp_path / "drawn.json"
    subprocess.run([sys.executable, "-c", script, str(tmp_path), str(result)], check=True, timeout=5 * PATIENCE)
    drawn = json.loads(result.read_text(encoding="utf-8"))
    assert len(drawn) > 40
    assert [row for row in drawn if "error" in row] == []
    assert [row for row in drawn if row["apart"] > ROUNDING] == []


def test_the_pretend_accelerator_refuses_cpu_tensors(tmp_path: Path) -> None:
    """Otherwise the test above could not fail."""

    def work() -> tuple[int, str]:
        device = register()
        there, here = torch.ones(2, 3).to(device), torch.ones(2, 3)
        assert there.device.type == torch.arange(3, device=device).device.type == "pretend"
        assert (there + there).cpu().tolist() == [[2, 2, 2], [2, 2, 2]]
        for mix in (lambda: there + here, lambda: torch.cat([there, here]), lambda: here.T @ there):
            with pytest.raises(MixedDevicesError):
                mix()
        return 0, "refused"

    ended = forks.run(work, tmp_path / "said")
    assert (ended.status, ended.said) == (0, "refused")
