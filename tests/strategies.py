"""Requests, prompts and lines for laws."""

from dataclasses import replace

from hypothesis import strategies as st

from invoke.images import first_pass_size
from invoke.language.resolve.postprocess import count
from invoke.language.switches import INFILLS
from invoke.models import read_registry
from invoke.models.upscaling import LARGEST
from invoke.request import FIDELITY, IMAGE_GUIDANCE, LARGEST_SEED, Request
from invoke.samplers import SAMPLERS
from tests.line_contexts import PICTURES

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
        "000001.5.png: ",
        "-5",
        "\t",
    ]
)
prompts = st.lists(st.one_of(_fragments, st.text(_letters, max_size=6)), max_size=8).map("".join)
"""Any text that fits on a line, with much special syntax."""

unit = st.floats(0, 1).map(lambda number: number + 0.0)
seeds = st.integers(0, LARGEST_SEED)
_sides = st.integers(4, 64).map(lambda number: 16 * number)
MODELS = read_registry()
PICTURE = str(PICTURES / "photo-with-hole.png")
OPAQUE = str(PICTURES / "tree-and-river-sketch.png")
"""Both 512 × 384; the first is partly transparent."""
MASK = str(PICTURES / "mask.png")


def _controls(*pictures: str) -> st.SearchStrategy[tuple[tuple[str, str, float], ...]]:
    """Up to three controls, each with one of `pictures`."""
    scales = st.floats(0, 2).map(lambda number: number + 0.0)
    one = st.tuples(st.sampled_from(["canny", "depth"]), st.sampled_from(pictures), scales)
    windows = st.sampled_from([(), ((0.0, 0.6),), ((0.25, 1.0),)])
    one = st.tuples(one, windows).map(lambda parts: (*parts[0], *parts[1]))
    return st.lists(one, max_size=3).map(tuple)


def _references(*pictures: str) -> st.SearchStrategy[tuple[tuple[str, str, float], ...]]:
    """Up to two IP-Adapters, each with one of `pictures`."""
    scales = st.floats(0, 2).map(lambda number: number + 0.0)
    one = st.tuples(st.sampled_from(["ip-adapter", "ip-adapter-plus"]), st.sampled_from(pictures), scales)
    return st.lists(one, max_size=2).map(tuple)


_making = {
    "prompt": prompts,
    "negative_prompt": prompts,
    "model": st.sampled_from(["pocket", "sd-1.5"]),
    "width": _sides,
    "height": _sides,
    "steps": st.integers(1, 1000),
    "guidance_scale": st.floats(0, 100).map(lambda number: number + 0.0),
    "guidance_interval": st.sampled_from([None, (0.0, 0.5), (0.25, 1.0)]),
    "guidance_rescale": st.none() | unit,
    "image_guidance_scale": st.just(IMAGE_GUIDANCE),
    "more_images": st.just(()),
    "clip_skip": st.integers(0, 2),
    "freeu": st.booleans(),
    "pag_scale": st.sampled_from([0.0, 3.0]),
    "batch_size": st.integers(1, 64),
    "reuse": st.integers(1, 20),
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
    "refiner": st.sampled_from([None, ("sd-1.5", 0.8), ("pocket", 0.25)]),
    "init_color": st.sampled_from([None, PICTURE]),
    "embiggen": st.none(),
    "embiggen_tiles": st.just(()),
    "facetool_strength": st.just(0.0) | unit,
    "facetool": st.sampled_from(["gfpgan", "someone/faces/gfpgan.safetensors"]),
    "codeformer_fidelity": unit,
    "upscale": st.sampled_from([None, (2.0, 0.75), (4.0, 1.0), (8.0, 0.5), (3.0, 0.0)]),
    "upscaler": st.sampled_from([None, "real-esrgan-x4"]),
    "upscale_guidance": st.sampled_from([None, 0.0, 9.0]),
}


def _fitting(request: Request) -> Request:
    """The ControlNets and IP-Adapters of the hub are too large for the built-in model."""
    return replace(request, controls=(), ip_adapters=()) if request.model == "pocket" else request


def _possible(request: Request) -> Request:
    """Two passes only where the first is smaller than the picture."""
    spec = MODELS.find(request.model)
    size = request.width, request.height
    first = first_pass_size(*size, own=spec.width * spec.height, multiple=spec.multiple)
    return request if request.hires_fix and first != size else replace(request, hires_fix=False, strength=0.75)


def _said_once(request: Request) -> Request:
    """A text mask only if there is no other mask."""
    said = request.mask_image is not None or request.init_image == PICTURE
    return replace(request, text_mask=None) if said else request


def _finished(request: Request) -> Request:
    """Upscaling models only where they are used, and never beyond the size that can be opened."""
    width, height = request.finished_size
    if request.facetool_strength == 0:
        request = replace(request, facetool=None, codeformer_fidelity=FIDELITY)
    if request.upscaler is not None or request.upscale_guidance == request.guidance_scale:
        request = replace(request, upscale_guidance=None)
    if request.upscale is None or width * height > LARGEST:
        return replace(request, upscale=None, upscaler=None, upscale_guidance=None)
    return request if request.upscale[1] else replace(request, upscaler=None, upscale_guidance=None)


_drawing = (
    st.builds(
        Request,
        **_making,
        controls=_controls(PICTURE, OPAQUE),
        ip_adapters=_references(PICTURE, OPAQUE),
        hires_fix=st.booleans(),
        init_image=st.none(),
        strength=unit,
        strength_map=st.none(),
        soft=st.just(False),
        mask_image=st.none(),
        text_mask=st.none(),
        invert_mask=st.just(False),
        mask_blur=st.just(8),
        inpaint_replace=st.just(0.0),
        infill=st.just("keep"),
        outcrop=st.just(()),
    )
    .map(_possible)
    .map(_fitting)
)
_redrawing = (
    st.builds(
        Request,
        **_making,
        controls=_controls(PICTURE, OPAQUE, "auto:canny"),
        ip_adapters=_references(PICTURE, OPAQUE),
        hires_fix=st.just(False),
        init_image=st.sampled_from([PICTURE, OPAQUE]),
        strength=unit,
        strength_map=st.none(),
        soft=st.just(False),
        mask_image=st.sampled_from([None, MASK]),
        text_mask=st.none() | st.tuples(prompts.filter(str.strip), unit),
        invert_mask=st.booleans(),
        mask_blur=st.integers(0, 256),
        inpaint_replace=unit,
        infill=st.sampled_from(sorted(INFILLS)),
        outcrop=st.sampled_from([(), ("top", 64), ("left", 7, "bottom", 130)]),
    )
    .map(_said_once)
    .map(_fitting)
)


def _tiled(parts: tuple[Request, tuple[float, float, float], tuple[int, ...]]) -> Request:
    request, embiggen, tiles = parts
    whole = {"mask_image": None, "text_mask": None, "outcrop": (), "invert_mask": False, "controls": ()}
    hole = {"mask_blur": 8, "inpaint_replace": 0.0, "infill": "keep"}
    tiled = replace(request, **whole, **hole, embiggen=embiggen)
    there = count(tiled, MODELS.find(request.model))
    return replace(tiled, embiggen_tiles=tuple(tile for tile in tiles if tile <= there))


_tiling = st.tuples(
    _redrawing,
    st.sampled_from([(2.0, 0.0, 0.25), (1.5, 0.0, 64.0)]),
    st.sampled_from([(), (1,), (2, 1)]),
).map(_tiled)
_alone = st.one_of(_drawing, _redrawing, _tiling).map(_finished)


def _chained(parts: tuple[Request, list[Request]]) -> Request:
    first, others = parts
    for other in others:
        first = replace(other, init_image=first, mask_image=None)
    return first


requests = st.one_of(_alone, st.tuples(_alone, st.lists(_redrawing.map(_finished), max_size=2)).map(_chained))
"""Every request that a line can ask for, chains among them."""

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
        "wild": st.booleans(),
        "iterations": st.integers(1, 9),
        "variation_amount": unit,
        "negative_prompt": prompts,
        "invert_mask": st.booleans(),
        "infill": st.sampled_from(sorted(INFILLS)),
    },
)
"""Defaults set at launch."""

lines = st.one_of(st.text(max_size=60), prompts)
"""Any text that may be typed or read from a file."""
