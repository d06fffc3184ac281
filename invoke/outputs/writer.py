"""The one who saves: pictures with how they were made, their steps, the sheets and the logs."""

import errno
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from heapq import nlargest
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from invoke.errors import OutputError
from invoke.events import Detected, Finished, Masked, Pixels, Saved, Sheet, Step
from invoke.language.plan import Output
from invoke.outputs import atomic, filenames, iptc, logs, metadata, png, sheets
from invoke.outputs.metadata import NO_TEMPLATE, Template
from invoke.outputs.numbering import Numbers
from invoke.outputs.sheets import enlarged
from invoke.paths import expanded, is_there
from invoke.request import Request

if TYPE_CHECKING:
    from PIL import Image


INTERMEDIATES = "intermediates"
_COMPRESSION = 6
_REMEMBERED = 256
_SWEPT = 8
_FULL = {errno.ENOSPC, errno.EDQUOT}
_MUTE = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_FOLDER = {errno.EEXIST, errno.ENOTDIR}


class Writer:
    """Saves into one folder, which other processes may use as well."""

    def __init__(self, outdir: str) -> None:
        self.folder = expanded(outdir)
        self._numbers = Numbers(self.folder)
        self._scanned = False

    def check(self) -> None:
        """Make the folder and see that pictures can be written there, before one is made for nothing.

        Raises OutputError.
        """
        with sentences(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            probe = self.folder / atomic.aside_name("probe")
            os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
            probe.unlink()

    def begin(self, number: int | None = None) -> "LineFiles":
        """Go on with the line that has claimed `number`, or claim one for a new line. Raises OutputError."""
        with sentences(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            if not self._scanned:
                self._numbers.scan()
                self._sweep_steps()
                self._scanned = True
            return LineFiles(self.folder, self._numbers.claim() if number is None else number)

    def _sweep_steps(self) -> None:
        """A process that was killed was at one of the highest numbers."""
        steps = self.folder / INTERMEDIATES
        names = os.listdir(steps) if steps.is_dir() else []  # noqa: PTH208
        for name in nlargest(_SWEPT, (name for name in names if name[:1].isdigit())):
            with suppress(NotADirectoryError):
                atomic.remove_stale(steps / name, os.listdir(steps / name))  # noqa: PTH208


class LineFiles:
    """The files of one line. Every `save_…` raises OutputError and returns what was saved."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder = folder
        self.number = number
        self._stems: OrderedDict[Request, str] = OrderedDict()
        self._saved: dict[Request, str] = {}
        self._lock = RLock()

    def save_image(self, finished: Finished, line: str, output: Output, template: Template = NO_TEMPLATE) -> Saved:
        """A picture, made by `line`, with its recipe and what its texts were drawn from; and a row in both logs."""
        request = finished.request
        own = self._stem(request)
        path = self._save_picture(self._name(request, output), finished, line, output, template)
        with self._lock:
            self._saved[request] = own
        return Saved(path, "image", line, request, finished.facts)

    def save_original(
        self, request: Request, drawn: Finished, line: str, output: Output, template: Template = NO_TEMPLATE
    ) -> Saved:
        """The picture of `request` as it was drawn, which `line` would make, beside what it is going to be."""
        path = self._save_picture(f"{self._name(request, output)}.orig", drawn, line, output, template)
        return Saved(path, "original", line, drawn.request, drawn.facts)

    def save_step(self, request: Request, step: Step, *, ai_label: bool = True) -> Saved:
        """The picture of one step, which it must have, under `intermediates/`, at the size of `request`."""
        assert step.image is not None
        name = f"{INTERMEDIATES}/{self._stem(request)}/step-{step.index:04}"
        data = png.encode(enlarged(step.image, request.size), _COMPRESSION, _label(ai_label))
        return Saved(self._save(name, ".png", data, durable=False), "step")

    def save_detected(self, request: Request, detected: Detected) -> Saved:
        """What a ControlNet follows that was found in the init picture, beside the steps. No model has made it."""
        name = f"{INTERMEDIATES}/{self._stem(request)}/control-{detected.number}"
        return Saved(self._save(name, ".png", png.encode(detected.image, _COMPRESSION, []), durable=False), "control")

    def save_strip(self, request: Request, frames: Sequence[tuple[Pixels, str]], *, ai_label: bool = True) -> Saved:
        """The steps that led to a picture side by side, each with its label."""
        pictures, labels = _apart(frames)
        pixels = sheets.strip([enlarged(picture, request.size) for picture in pictures], labels)
        return self._save_sheet(f"{self._last_stem(request)}.steps", pixels, "steps", ai_label)

    def save_gif(self, request: Request, frames: Sequence[Pixels]) -> Saved:
        """The steps that led to a picture as an animation."""
        data = sheets.gif([enlarged(frame, request.size) for frame in frames])
        return Saved(self._save(f"{self._last_stem(request)}.steps", ".gif", data), "gif")

    def save_grid(self, pictures: Sequence[tuple[Pixels, str]], *, ai_label: bool = True) -> Saved:
        """The line's pictures on one sheet, each with its label."""
        return self._save_sheet(f"{self.number:06}.grid", sheets.grid(*_apart(pictures)), "grid", ai_label)

    def save_sweep(self, pictures: Sequence[tuple[Pixels, str]], columns: int, *, ai_label: bool = True) -> Saved:
        """The pictures of a sweep on one sheet, `columns` to a row."""
        pixels = sheets.grid(*_apart(pictures), columns=columns)
        return self._save_sheet(f"{self.number:06}.sweep", pixels, "sweep", ai_label)

    def save_mask(self, kind: Masked, image: "Image.Image", source: str, text: str, line: str) -> Saved:
        """What `text` selects in the picture `source`, as `line` shows it; and a row in both logs."""
        name = filenames.mask_stem(self.number, source, text, kind)
        path = self._save(name, ".png", png.encode_image(image, [("Dream", line)]))
        logs.append(self.folder, path, line)
        return Saved(path, kind, line)

    def _save_picture(self, name: str, finished: Finished, line: str, output: Output, template: Template) -> str:
        texts = metadata.texts(finished, line, ai_label=output.ai_label, template=template)
        path = self._save(name, ".png", png.encode(finished.image, output.png_compression, texts))
        logs.append(self.folder, path, line)
        return path

    def _name(self, request: Request, output: Output) -> str:
        """What the picture of `request` is called, without its ending."""
        if output.fnformat == filenames.DEFAULT:
            return self._stem(request)
        return filenames.picture_stem(output.fnformat, self.number, request)

    def _save_sheet(self, name: str, pixels: Pixels, kind: Sheet, ai_label: bool) -> Saved:
        data = png.encode(pixels, _COMPRESSION, _label(ai_label))
        return Saved(self._save(name, ".png", data), kind)

    def _stem(self, request: Request) -> str:
        """The name of the picture that is being made from `request`: a new one where that one is saved."""
        with self._lock:
            known = self._stems.get(request)
            if known is not None and self._saved.get(request) != known:
                return known
            taken = set(self._stems.values())
            free = (name for name in filenames.alternatives(filenames.stem(self.number, request)))
            chosen = next(name for name in free if name not in taken and not self._exists(name))
            self._stems[request] = chosen
            self._stems.move_to_end(request)
            if len(self._stems) > _REMEMBERED:
                forgotten, _ = self._stems.popitem(last=False)
                self._saved.pop(forgotten, None)
            return chosen

    def _last_stem(self, request: Request) -> str:
        """The name of the newest picture made from `request`."""
        with self._lock:
            return self._stems.get(request) or self._stem(request)

    def _exists(self, name: str) -> bool:
        places = (self.folder / f"{name}.png", self.folder / INTERMEDIATES / name)
        return any(os.path.lexists(place) for place in places)

    def _save(self, name: str, ending: str, data: bytes, *, durable: bool = True) -> str:
        """Write under `name`, or the next free alternative; the path as the user would type it."""
        with sentences(self.folder):
            try:
                path = atomic.write(_free(self.folder, name, ending), data, durable=durable)
            except FileNotFoundError:  # the folder is new, or was deleted meanwhile
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                path = atomic.write(_free(self.folder, name, ending), data, durable=durable)
            return str(path)


def _free(folder: Path, name: str, ending: str) -> Iterator[Path]:
    return (folder / f"{free}{ending}" for free in filenames.alternatives(name))


def _apart(pairs: Iterable[tuple[Pixels, str]]) -> tuple[list[Pixels], list[str]]:
    listed = list(pairs)
    return [pixels for pixels, _ in listed], [text for _, text in listed]


def _label(wanted: bool) -> list[png.Text]:
    return [iptc.text(iptc.MADE)] if wanted else []


@contextmanager
def sentences(folder: Path) -> Iterator[None]:
    """What the system refuses, as a sentence with what to do."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise _refused(folder, error) from error


def refuse_file(outdir: str) -> None:
    """What can be known of an output folder without making it. Raises OutputError where it is something else."""
    folder = expanded(outdir)
    if is_there(folder) and not folder.is_dir():
        raise _no_folder(folder)


def _no_folder(folder: Path) -> OutputError:
    return OutputError(f"{folder}: this is no folder", code="output_unwritable", hint="choose another folder with -o")


def _refused(folder: Path, error: OSError | ValueError) -> OutputError:
    if not isinstance(error, OSError):
        return OutputError(f"{str(folder)!r}: no folder can have this name", code="output_unwritable")
    if error.errno in _FULL:
        return OutputError(f"{folder}: the disk is full", code="disk_full", hint="free some space, then run it again")
    if error.errno == errno.EFBIG:
        return OutputError(f"{folder}: the file would be larger than is allowed here", code="disk_full")
    if error.errno in _MUTE:
        return OutputError(
            f"{folder}: nothing may be written here",
            code="output_unwritable",
            hint="choose another folder with -o",
        )
    if error.errno in _NO_FOLDER:
        return _no_folder(folder)
    return OutputError(f"{folder}: cannot be written: {error.strerror or error}", code="output_failed")
