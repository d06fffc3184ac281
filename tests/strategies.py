"""Requests, prompts and lines for laws."""

from dataclasses import replace

from hypothesis import strategies as st

from invoke.models import read_registry
from invoke.pictures import first_pass_size
from invoke.request import LARGEST_SEED, Request
from invoke.samplers import SAMPLERS
from invoke.switches import INFILLS
from tests.worlds import PICTURES

_letters = st.characters(exclude_categories=("Cc", "Cs"))
_fragments = st.sampled_from(
    [
        "-s",
        " -s10 ",
        "--fit",
        '"',
        "'",
        "\\",
        " ",
        "  ",
        "-",
        "--",
        "|",
        "#",
        "//",
        "!",
        "q",
        "=",
        "[a]",
        "-5",
        "\t",
    ]
)
prompts = st.lists(st.one_of(_fragments, st.text(_letters, max_size=6)), max_size=8).map("".join)
"""Any text that one line can hold, rich in what the language treats specially."""

unit = st.floats(0, 1).map(lambda number: number + 0.0)
seeds = st.integers(0, LARGEST_SEED)
_sides = st.integers(4, 64).map(lambda number: 16 * number)
MODELS = read_registry()
PICTURE = str(PICTURES / "photo-with-hole.png")
MASK = str(PICTURES / "mask.png")

_making = {
    "prompt": prompts,
    "negative_prompt": prompts,
    "model": st.sampled_from(["pocket", "sd-1.5"]),
    "width": _sides,
    "height": _sides,
    "steps": st.integers(1, 1000),
    "guidance_scale": st.floats(0, 100).map(lambda number: number + 0.0),
    "scheduler": st.sampled_from(sorted(SAMPLERS)),
    "karras": st.booleans(),
    "seed": seeds,
    "variations": st.lists(st.tuples(seeds, unit), max_size=3).map(tuple),
    "perlin": unit,
    "threshold": unit,
    "h_symmetry_time_pct": st.none() | unit,
    "v_symmetry_time_pct": st.none() | unit,
    "seamless": st.booleans(),
    "seamless_axes": st.sampled_from([("x",), ("y",), ("x", "y")]),
    "init_color": st.sampled_from([None, PICTURE]),
}


def _possible(request: Request) -> Request:
    """Two passes only where the first is smaller than the picture."""
    spec = MODELS.find(request.model)
    size = request.width, request.height
    first = first_pass_size(*size, own=spec.width * spec.height, multiple=spec.multiple)
    return request if request.hires_fix and first != size else replace(request, hires_fix=False, strength=0.75)


_drawing = st.builds(
    Request,
    **_making,
    hires_fix=st.booleans(),
    init_image=st.none(),
    strength=unit,
    mask_image=st.none(),
    invert_mask=st.just(False),
    mask_blur=st.just(8),
    inpaint_replace=st.just(0.0),
    infill=st.just("keep"),
    outcrop=st.just(()),
).map(_possible)
_redrawing = st.builds(
    Request,
    **_making,
    hires_fix=st.just(False),
    init_image=st.just(PICTURE),
    strength=unit,
    mask_image=st.sampled_from([None, MASK]),
    invert_mask=st.booleans(),
    mask_blur=st.integers(0, 256),
    inpaint_replace=unit,
    infill=st.sampled_from(sorted(INFILLS)),
    outcrop=st.sampled_from([(), ("top", 64), ("left", 7, "bottom", 130)]),
)
requests = st.one_of(_drawing, _redrawing)
"""Every request that a line can ask for."""

defaults = st.fixed_dictionaries(
    {},
    optional={
        "steps": st.integers(1, 1000),
        "strength": unit,
        "cfg_scale": st.floats(0, 30),
        "sampler": st.sampled_from(sorted(SAMPLERS)),
        "width": _sides,
        "height": _sides,
        "fit": st.booleans(),
        "karras": st.booleans(),
        "exact_steps": st.booleans(),
        "iterations": st.integers(1, 9),
        "variation_amount": unit,
        "negative_prompt": prompts,
        "invert_mask": st.booleans(),
        "infill": st.sampled_from(sorted(INFILLS)),
    },
)
"""What a launch may have set."""

lines = st.one_of(st.text(max_size=60), prompts)
"""Anything that may be typed or found in a file."""
