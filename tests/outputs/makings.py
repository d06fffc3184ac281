"""A request, its facts and its picture, to be varied by tests."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from invoke.events import Finished, Pixels, RunInfo, Saved, Step
from invoke.language.plan import Output
from invoke.outputs import filenames
from invoke.outputs.encoded import encode_gif, encode_image, encode_step, encode_strip
from invoke.outputs.writer import LineFiles, PictureNames
from invoke.request import Request
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


class PictureFiles:
    """Encodes and saves the files of pictures that are made one after the other, in one line."""

    def __init__(self, files: LineFiles) -> None:
        self.files = files
        self.names: dict[Request, PictureNames] = {}
        self.saved: set[Request] = set()

    def save_image(self, finished: Finished, line: str, output: Output) -> Saved:
        names = self._begin(finished.request, output)
        self.saved.add(finished.request)
        return self.files.save(names, encode_image("image", finished, line, output=output))

    def save_step(self, request: Request, step: Step, *, ai_label: bool = True) -> Saved:
        return self.files.save(self._begin(request), encode_step(step, request.size, ai_label=ai_label))

    def save_strip(self, request: Request, frames: Sequence[tuple[Pixels, str]], *, ai_label: bool = True) -> Saved:
        return self.files.save(self._names(request), encode_strip(frames, request.size, ai_label=ai_label))

    def save_gif(self, request: Request, frames: Sequence[Pixels]) -> Saved:
        return self.files.save(self._names(request), encode_gif(frames, request.size))

    def _begin(self, request: Request, output: Output = OUTPUT) -> PictureNames:
        """The names of the picture in work; new ones where it is saved."""
        if request in self.saved:
            self.saved.remove(request)
            del self.names[request]
        return self._names(request, output)

    def _names(self, request: Request, output: Output = OUTPUT) -> PictureNames:
        if request not in self.names:
            self.names[request] = self.files.claim(request, output)
        return self.names[request]
