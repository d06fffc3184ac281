"""One picture's task: everything needed to make its files, and the code that encodes them on the worker."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from invoke.events import Detected, EngineEvent, Finished, Kind, Pixels, Postprocessing, Previews, Started, Step
from invoke.language.plan import Output
from invoke.language.render import render
from invoke.outputs.encoded import EncodedFile, encode_detected, encode_gif, encode_image, encode_step, encode_strip
from invoke.outputs.metadata import Template
from invoke.request import Request
from invoke.workers.sent_files import with_paths


@dataclass(frozen=True, slots=True)
class Task:
    """One picture, and which files are made of it."""

    request: Request
    previews: Previews
    output: Output
    steps_taken: int
    """Number of calls of the denoiser that draw it, without postprocessing."""
    template: Template = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    """Path in `request` → the user's path, for files sent as copies."""


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """A picture with all its files, in order of arrival."""

    files: tuple[EncodedFile, ...]
    weights: Mapping[str, str] = field(default_factory=dict)
    """Network that drew it, as in `RunInfo.hashes` → SHA-256 of its weights."""


@dataclass
class PictureEncoder:
    """Makes a picture's files from its events."""

    task: Task
    _frames: list[tuple[Pixels, str]] = field(default_factory=list)
    _drawn: Finished | None = None

    def encode(self, event: EngineEvent) -> Iterator[EncodedFile]:
        """The files made from `event`."""
        output, size = self.task.output, self.task.request.size
        match event:
            case Started():  # a second time, after an engine died
                self._frames.clear()
                self._drawn = None
            case Detected() if output.save_intermediates:
                yield encode_detected(event)
            case Step(index, total, _, Pixels() as image) if self._is_kept(index, total):
                if output.save_intermediates:
                    yield encode_step(event, size, ai_label=output.ai_label)
                if output.strip or output.gif:
                    self._frames.append((image, f"{index}/{total}"))
            case Postprocessing(picture):
                self._drawn = picture
                if output.save_original:
                    yield self._image("original", picture)
            case Finished():
                yield self._image("image", event)
                yield from self._sheets((self._drawn or event).image)

    def _is_kept(self, index: int, total: int) -> bool:
        """Whether this step is saved, not only shown. The last of `total` may be those of postprocessing."""
        return self.task.previews.kept(index, min(total, self.task.steps_taken))

    def _image(self, kind: Kind, finished: Finished) -> EncodedFile:
        recorded = with_paths(finished.request, self.task.paths)
        output, template = self.task.output, self.task.template
        return encode_image(kind, finished, render(recorded), output=output, template=template, recorded=recorded)

    def _sheets(self, drawn: Pixels) -> Iterator[EncodedFile]:
        """The steps as a strip and as an animation, if requested; both end with the drawn picture."""
        if not self._frames:
            return
        output, size = self.task.output, self.task.request.size
        frames = [*self._frames[:-1], (drawn, self._frames[-1][1])]
        if output.strip:
            yield encode_strip(frames, size, ai_label=output.ai_label)
        if output.gif:
            yield encode_gif([image for image, _ in frames], size)
