"""Few-step models: the defaults of a plain line, and notes about unsuitable switches."""

import pytest

from invoke.models import read_registry
from tests.line_contexts import plan

NAMES = [
    spec.name
    for spec in read_registry()
    if (spec.kind, spec.guidance_scale) == ("model", 1) and spec.family in {"sd", "sdxl"}
]


def test_few_step_models_of_each_kind_are_listed() -> None:
    kinds = {name.rpartition("-")[2] for name in NAMES}
    assert kinds == {"lcm", "tcd", "hyper", "turbo", "lightning"}


@pytest.mark.parametrize("name", NAMES)
def test_a_plain_line_gets_4_steps_without_guidance(name: str) -> None:
    spec = read_registry().find(name)
    planned = plan(f"a cat -m {name}")
    request = planned.picture(0).request
    assert (request.steps, request.guidance_scale, request.scheduler) == (4, 1.0, spec.sampler)
    assert planned.picture(0).steps_taken == 4
    assert not planned.notes
    assert not spec.lora or read_registry().find(spec.lora, "lora").family == spec.family


@pytest.mark.parametrize(
    ("switches", "note"),
    [
        ("-s 30", "sdxl-lightning is made for 4 steps; more do not improve the picture: type -s 4"),
        ("-s 1", "sdxl-lightning is made for 4 steps; fewer leave the picture unfinished: type -s 4"),
        (
            "-C 7.5",
            "sdxl-lightning needs no guidance: -C 7.5 burns out the colours and takes twice as long: type -C 1",
        ),
    ],
)
def test_more_steps_or_guidance_get_a_note(switches: str, note: str) -> None:
    assert note in plan(f"a cat -m sdxl-lightning {switches}").notes
    assert note not in plan(f"a cat -m sdxl {switches}").notes
