"""Pairs of switches: any two, at the ends of their ranges, give a plan or an error.

The drawn ones obey the laws of every line.

The table of pairs is made of SWITCHES: a new row takes part by itself.
"""

import os
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from invoke.errors import InvokeError
from invoke.language.parse import Draft, read
from invoke.language.plan import Plan
from invoke.language.render import render, render_switch
from invoke.language.resolve import resolve
from invoke.language.switches import SWITCHES, Switch
from invoke.language.types import Integer, Number
from tests.engine.making import disc, save, scene, with_alpha
from tests.line_contexts import a_context
from tests.strategies import MASK, OPAQUE, PICTURE
from tests.studio import Studio

ROWS = [row for row in SWITCHES if not row.obsolete and row.name != "prompt"]
OTHER = {
    "Seed": ("0", "4294967295", "-1"),
    "SamplerName": ("ddim", "k_euler_a", "k_heun"),
    "ModelName": ("pocket", "sd-1.5", "sdxl"),
    "Text": ("night", "''"),
    "Path": (OPAQUE, PICTURE),
    "TextMask": ("flame", "flame 0", "flame 1"),
    "Sides": ("top 1", "left 64 bottom 65"),
    "Variations": ("5:0", "5:1", "5:0.3,6:0.4"),
    "Refiner": ("pocket:0", "pocket:1"),
    "Control": (f"canny {OPAQUE} 0", f"canny {OPAQUE} 2 0:0.5"),
    "Reference": (f"{OPAQUE} 0", f"{OPAQUE} 2"),
    "Interval": ("0:1", "0.25:0.5"),
    "Axes": ("x", "y", "x,y"),
    "Template": ("{prompt}-{seed}", "cat"),
}
"""Values for types without bounds."""
OWN = {
    "init_mask": (MASK,),
    "sweep": ("steps=1,1000", "strength=0,1"),
    "outdir": ("elsewhere",),
    "iterations": ("1", "3"),
    "upscaler": ("esrgan", "real-esrgan-x4"),
    "facetool": ("gfpgan",),
    "init_img": (OPAQUE, PICTURE, "-1"),
}
"""Values for single switches, where those of their type make no sense."""


def values(row: Switch) -> list[str]:
    """The values of a switch at the ends of its range, as typed; "" for a flag."""
    if row.is_flag:
        return [""]
    if row.name in OWN:
        return [*OWN[row.name]]
    if isinstance(row.type, Integer | Number):
        return [str(row.type.low), str(row.type.high or 10**6)]
    if bounds := getattr(row.type, "bounds", None):
        first, *others = bounds
        return [f"{first.low:g}", " ".join([f"{first.high or 3:g}", *(f"{one.high or 1:g}" for one in others)])]
    if type(row.type).__name__ == "Choice":
        return [*row.type.suggest()]
    return [*OTHER[type(row.type).__name__]]


def words(row: Switch, value: str) -> str:
    return f"--{row.name} {value}".strip()


def context() -> Any:
    return a_context(newest=[(OPAQUE, 5), (PICTURE, 6)])


def planned(line: str) -> Plan | InvokeError:
    """The plan of a line, or the error that refuses it."""
    try:
        draft = read(line)
        assert isinstance(draft, Draft)
        plan = resolve(draft, context())
        plan.picture(plan.count - 1)
    except InvokeError as error:
        return error
    return plan


def lines(draw: Random) -> Iterator[str]:
    """Every pair once, each at a random one of its ends, over no picture, a picture, or one with a hole."""
    for first, second in combinations(ROWS, 2):
        picture = draw.choice(["", f"-I {OPAQUE}", f"-I {PICTURE}"])
        if "init_img" in {first.name, second.name}:
            picture = ""
        yield " ".join(
            filter(None, ["a fire", picture, *(words(row, draw.choice(values(row))) for row in (first, second))])
        )


def test_every_switch_has_test_values() -> None:
    for row in ROWS:
        for value in values(row):
            draft = read(f"a fire {words(row, value)}")
            assert isinstance(draft, Draft)
            assert row.name in draft.switches, (row.name, value)


def complaint(line: str) -> str:
    """What is wrong with how a line is planned or refused: a saved line must plan the same picture again."""
    plan = planned(line)
    if isinstance(plan, InvokeError):
        is_good = plan.message and "\n" not in plan.message and 0 <= (plan.column or 0) <= len(line)
        return "" if is_good else f"{line}: {plan.column}: {plan.message}"
    for index in {0, plan.count - 1}:
        request = plan.picture(index).request
        again = planned(render(request))
        if isinstance(again, InvokeError):
            return f"{line}: saved as {render(request)}, which is refused: {again.message}"
        if again.picture(again.count - 1).request != request:
            return f"{line}: saved as {render(request)}, which is another picture"
    return ""


RUN = int(os.environ.get("PAIRS", "1"))
"""Which of the pairs are taken: the same in every run, so that a change is what makes one fail."""


def test_any_pair_of_switches_is_planned_or_refused() -> None:
    """Some of them, others with another `PAIRS`; `make torture` takes all."""
    draw = Random(RUN)
    for line in draw.sample([*lines(draw)], 150):
        assert complaint(line) == ""


@pytest.mark.parametrize("strength", ["0", "1", "0.001"])
@pytest.mark.parametrize("other", ["--exact_steps", "--hires_fix", "--embiggen 2", "-v 1", "-n 2 --sweep steps=1,1000"])
def test_strength_0_and_1_are_planned_with_any_switch(strength: str, other: str) -> None:
    """It once divided by zero."""
    assert complaint(f"a fire -I {OPAQUE} -f {strength} {other}") == ""


OWN_STRENGTH = {"embiggen", "outcrop"}
"""Switches that set their own strength if none is given."""


@pytest.mark.parametrize("row", [row for row in ROWS if row.default not in {None, "", ()}], ids=lambda row: row.name)
def test_a_switch_at_its_default_plans_like_no_switch(row: Switch) -> None:
    """Beside any other one, with a model that has no settings of its own."""
    draw = Random(row.name)
    off = f"--no-{row.name}" if row.default is False else " ".join(render_switch(row, row.default)) or f"--{row.name}"
    without = {row.name, "defaults", "sweep", "model"} | (OWN_STRENGTH if row.name == "strength" else set())
    for other in draw.sample([other for other in ROWS if other.name not in without], 25):
        line = f"a fire -I {PICTURE} -S 5 -m sd-1.5 {words(other, draw.choice(values(other)))}"
        plain, beside = planned(line), planned(f"{line} {off}")
        if isinstance(plain, Plan) and isinstance(beside, Plan):
            assert beside.picture(0).request == plain.picture(0).request, (line, off)
            assert beside.output == plain.output, (line, off)


# drawn


UNDRAWN = {
    *("ai_label", "batch_size", "codeformer_fidelity", "control", "defaults", "drift", "embiggen"),
    *("embiggen_strength", "embiggen_tiles", "exact_steps", "facetool", "facetool_strength", "fit", "fnformat"),
    *("gif", "grid", "height", "hires_fix", "init_img", "init_mask", "intermediates"),
    *("intermediates_decoder", "ip_adapter", "iterations", "log_tokenization", "model", "outcrop", "outdir"),
    *("png_compression", "refiner", "save_intermediates", "save_original", "seed", "steps", "strip"),
    *("sweep", "text_mask", "upscale", "upscale_guidance", "upscaler", "width", "wild"),
}
"""Drawn by other tests: sizes, files, and switches that need another model."""
DRAWN = [row for row in ROWS if row.name not in UNDRAWN]
RECOLOURING = {"init_color"}


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    return {
        "opaque": save(tmp_path / "opaque.png", scene()),
        "holed": with_alpha(tmp_path / "holed.png", scene(), np.where(disc(), 0, 255)),
    }


@pytest.mark.parametrize("turn", range(4))
def test_drawn_pairs_of_switches_keep_the_laws(turn: int, studio: Studio, pictures: dict[str, Path]) -> None:
    """The same alone and after others; the saved line gives it again; `-f 0`, `-f 1`, and what a mask keeps."""
    seed = 4 * RUN + turn
    draw = Random(seed)
    rows = draw.sample(DRAWN, 2)
    output = " ".join(words(row, draw.choice(values(row))) for row in rows)
    about = (seed, output)
    rest = "-S 3 -s 3 -W 64 -H 64"
    line = f"a fire {output} -I {pictures['holed']} {rest}"
    try:
        made = studio.make(line)
    except InvokeError as error:
        assert error.message, about
        return
    plain = studio.make(f"a fire {output} {rest}") if not any(row.needs for row in rows) else None
    assert np.array_equal(studio.make(made.line).pixels, made.pixels), about
    assert np.array_equal(studio.make(line).pixels, made.pixels), about
    names = {row.name for row in rows}
    if not names & RECOLOURING and "invert_mask" not in names:
        assert np.array_equal(made.pixels[~disc()], scene()[~disc()]), about
    untouched = studio.make(f"a fire {output} -I {pictures['opaque']} {rest} -f 0")
    if not names & RECOLOURING and "strength" not in names:
        assert np.array_equal(untouched.pixels, scene()), about
    if plain is not None and not names & {"strength", "variation_amount"}:  # a variation draws its seed
        whole = studio.make(f"a fire {output} -I {pictures['opaque']} {rest} -f 1")
        assert np.array_equal(whole.pixels, plain.pixels), about
