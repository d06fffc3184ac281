"""The writer: saves pictures with metadata, steps, sheets and logs."""

import errno
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from heapq import nlargest
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from invoke import files
from invoke.errors import OutputError
from invoke.events import Masked, Pixels, Saved, Sheet
from invoke.language.plan import Output
from invoke.outputs import filenames, logs, metadata, png, sheets
from invoke.outputs.encoded import EncodedFile, encode_sheet
from invoke.outputs.numbering import Numbers
from invoke.paths import expanded, is_there
from invoke.request import Request

if TYPE_CHECKING:
    from PIL import Image


INTERMEDIATES = "intermediates"
_CLAIMED = 256
_SWEPT = 8
_FULL = {errno.ENOSPC, errno.EDQUOT}
_MUTE = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_FOLDER = {errno.EEXIST, errno.ENOTDIR}


class Writer:
    """Saves to one folder, which other processes may also use."""

    def __init__(self, outdir: str) -> None:
        self.folder = expanded(outdir)
        self._numbers = Numbers(self.folder)
        self._scanned = False
        self._claimed = Claimed()

    def check(self) -> None:
        """Create the folder and check that it is writable, before any picture is made.

        Raises OutputError.
        """
        with sentences(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            probe = self.folder / files.temporary_name("probe")
            os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
            probe.unlink()

    def begin(self, number: int | None = None) -> "LineFiles":
        """Continue the line with `number`, or claim a number for a new line. Raises OutputError."""
        with sentences(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            if not self._scanned:
                self._numbers.scan()
                self._sweep_steps()
                self._scanned = True
            return LineFiles(self.folder, self._numbers.claim() if number is None else number, self._claimed)

    def _sweep_steps(self) -> None:
        """Remove temporary files of killed processes, which are among the highest numbers."""
        steps = self.folder / INTERMEDIATES
        names = os.listdir(steps) if steps.is_dir() else []  # noqa: PTH208
        for name in nlargest(_SWEPT, (name for name in names if name[:1].isdigit())):
            with suppress(NotADirectoryError):
                files.remove_stale(steps / name, os.listdir(steps / name))  # noqa: PTH208


@dataclass(frozen=True, slots=True)
class PictureNames:
    """File names of one picture, without extensions."""

    stem: str
    """Name of its steps, strip and animation: `000032.1592514025`."""
    name: str
    """Name of the picture: the same, or from `--fnformat`."""


class Claimed:
    """Names in one folder that are reserved for unfinished pictures."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._lock = Lock()

    def claim(self, names: Iterator[str]) -> str:
        """Claim the first of `names` that is not claimed yet."""
        with self._lock:
            chosen = next(name for name in names if name not in self._names)
            self._names.add(chosen)
            return chosen

    def leave(self, names: Iterable[str]) -> None:
        with self._lock:
            self._names.difference_update(names)


class LineFiles:
    """The files of one line. Every `save…` returns a Saved event and may raise OutputError."""

    def __init__(self, folder: Path, number: int, claimed: "Claimed | None" = None) -> None:
        """`claimed`: names that this program has reserved in the folder for unfinished pictures."""
        self.folder = folder
        self.number = number
        self._claimed = Claimed() if claimed is None else claimed
        self._own_names: deque[str] = deque()
        """Names that this line has claimed and not released."""
        self._has_steps = False

    def claim(self, request: Request, output: Output, label: str = "") -> PictureNames:
        """Claim the names of a picture of the line, before it is finished."""
        stem = self._claim(filenames.stem(self.number, request, label), also=INTERMEDIATES)
        if output.fnformat == filenames.DEFAULT:
            return PictureNames(stem, stem)
        return PictureNames(stem, self._claim(filenames.picture_stem(output.fnformat, self.number, request)))

    def save(self, names: PictureNames, file: EncodedFile) -> Saved:
        """Write a file of the picture with these names; images and originals are added to both logs."""
        match file.kind:
            case "image" | "original":
                self._flush_steps(names)
                path = self._save(f"{names.name}.orig" if file.kind == "original" else names.name, ".png", file.data)
                logs.append(self.folder, path, file.line)
                if file.kind == "image":
                    self._leave(names)
            case "step":
                self._has_steps = True
                step = f"{INTERMEDIATES}/{names.stem}/step-{file.number:04}"
                path = self._save(step, ".png", file.data, durable=False)
            case "control":
                control = f"{INTERMEDIATES}/{names.stem}/control-{file.number}"
                path = self._save(control, ".png", file.data, durable=False)
            case kind:
                path = self._save(f"{names.stem}.steps", ".gif" if kind == "gif" else ".png", file.data)
        return Saved(path, file.kind, file.line, file.request, file.facts)

    def save_grid(self, pictures: Sequence[tuple[Pixels, str]], line: str = "", *, ai_label: bool = True) -> Saved:
        """Save a sheet of labelled pictures; `line` is the line that made all of them, if there is one."""
        return self._save_sheet(f"{self.number:06}.grid", sheets.grid(*_unzipped(pictures)), "grid", line, ai_label)

    def save_sweep(
        self, pictures: Sequence[tuple[Pixels, str]], columns: int, line: str, *, ai_label: bool = True
    ) -> Saved:
        """Save the sheet of a sweep, with `columns` pictures per row."""
        pixels = sheets.grid(*_unzipped(pictures), columns=columns)
        return self._save_sheet(f"{self.number:06}.sweep", pixels, "sweep", line, ai_label)

    def save_mask(self, kind: Masked, image: "Image.Image", source: str, text: str, line: str) -> Saved:
        """Save a result of `!mask`: what `text` selects in the picture `source`; added to both logs."""
        name = filenames.mask_stem(self.number, source, text, kind)
        path = self._save(name, ".png", png.encode_image(image, metadata.line_texts(line, ai_label=False)))
        logs.append(self.folder, path, line)
        return Saved(path, kind, line)

    def drop_steps(self, names: PictureNames) -> None:
        """Remove the saved steps of a picture that is started again."""
        with sentences(self.folder):
            shutil.rmtree(self.folder / INTERMEDIATES / names.stem, ignore_errors=True)
            (self.folder / f"{names.name}.orig.png").unlink(missing_ok=True)

    def _flush_steps(self, names: PictureNames) -> None:
        """Sync the steps to disk together, before the picture: if a picture exists, its steps are complete."""
        if self._has_steps:
            with suppress(OSError):
                files.flush(sorted((self.folder / INTERMEDIATES / names.stem).iterdir()))

    def close(self) -> None:
        """Release all claimed names that were not used."""
        self._claimed.leave(self._own_names)
        self._own_names.clear()

    def _claim(self, name: str, also: str = "") -> str:
        """Claim the first alternative to `name` that neither exists, nor is a folder in `also`, nor is claimed."""
        chosen = self._claimed.claim(free for free in filenames.alternatives(name) if not self._exists(free, also))
        self._own_names.append(chosen)
        return chosen

    def _leave(self, names: PictureNames) -> None:
        """Release the name of a saved picture, which is now a file. A stem without such a file is kept for a while."""
        if names.name == names.stem:
            self._own_names.remove(names.stem)
            self._claimed.leave([names.stem])
        while len(self._own_names) > _CLAIMED:
            self._claimed.leave([self._own_names.popleft()])

    def _exists(self, name: str, also: str) -> bool:
        places = [self.folder / f"{name}.png", *([self.folder / also / name] if also else [])]
        return any(os.path.lexists(place) for place in places)

    def _save_sheet(self, name: str, pixels: Pixels, kind: Sheet, line: str, ai_label: bool) -> Saved:
        return Saved(self._save(name, ".png", encode_sheet(pixels, line, ai_label=ai_label)), kind, line)

    def _save(self, name: str, ending: str, data: bytes, *, durable: bool = True) -> str:
        """Write to `name`, or the next free alternative; returns the path in the form that users type."""
        with sentences(self.folder):
            for parent in reversed((self.folder / name).parents):
                if parent.is_relative_to(self.folder) and parent != self.folder:
                    files.make_folder(parent)
            try:
                path = files.write_new(_free(self.folder, name, ending), data, durable=durable)
            except FileNotFoundError:  # the folder has been deleted
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                path = files.write_new(_free(self.folder, name, ending), data, durable=durable)
            return str(path)


def _free(folder: Path, name: str, ending: str) -> Iterator[Path]:
    return (folder / f"{free}{ending}" for free in filenames.alternatives(name))


def _unzipped(pairs: Iterable[tuple[Pixels, str]]) -> tuple[list[Pixels], list[str]]:
    listed = list(pairs)
    return [pixels for pixels, _ in listed], [text for _, text in listed]


@contextmanager
def sentences(folder: Path) -> Iterator[None]:
    """Context that turns errors of the operating system into OutputErrors with a hint."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise _refused(folder, error) from error


def refuse_file(outdir: str) -> None:
    """Raise OutputError if `outdir` exists but is not a folder; does not create it."""
    folder = expanded(outdir)
    if is_there(folder) and not folder.is_dir():
        raise _no_folder(folder)


def _no_folder(folder: Path) -> OutputError:
    return OutputError(
        f"{folder}: this is not a folder", code="output_unwritable", hint="choose another folder with -o"
    )


def _refused(folder: Path, error: OSError | ValueError) -> OutputError:
    if not isinstance(error, OSError):
        return OutputError(f"{str(folder)!r}: this is not a valid folder name", code="output_unwritable")
    if error.errno in _FULL:
        return OutputError(f"{folder}: the disk is full", code="disk_full", hint="free some space, then run it again")
    if error.errno == errno.EFBIG:
        return OutputError(f"{folder}: the file would exceed the size limit", code="disk_full")
    if error.errno in _MUTE:
        return OutputError(
            f"{folder}: no permission to write here",
            code="output_unwritable",
            hint="choose another folder with -o",
        )
    if error.errno in _NO_FOLDER:
        return _no_folder(folder)
    return OutputError(f"{folder}: cannot be written: {error.strerror or error}", code="output_failed")
