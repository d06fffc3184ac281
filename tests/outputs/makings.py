"""A request, its facts and its picture, to be varied by tests."""

from dataclasses import replace
from typing import Any

from invoke.events import Finished, Pixels, RunInfo
from invoke.language.plan import Output
from invoke.outputs import filenames
from tests.making import a_request

REQUEST = a_request(width=512, height=384)
FACTS = RunInfo(
    mode="txt2img",
    steps_taken=50,
    painted=1.0,
    device="cpu",
    dtype="float32",
    versions={"torch": "2.13.0"},
    hashes={"model": "ab" * 32},
    seconds=1.5,
)
PIXELS = Pixels(8, 8, bytes(range(192)))
OUTPUT = Output(
    outdir="outputs",
    png_compression=6,
    fnformat=filenames.DEFAULT,
    grid=False,
    save_intermediates=0,
    intermediates="latents",
    intermediates_decoder="linear",
    strip=False,
    gif=False,
    ai_label=True,
)


def finished(facts: RunInfo = FACTS, **changes: Any) -> Finished:
    return Finished(replace(REQUEST, **changes), PIXELS, facts)
