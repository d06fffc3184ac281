"""The library: `from invoke import Shell`. The same lines as at the prompt, pictures as PIL images in and out.

    with Shell() as shell:
        for picture in shell.make("a fire, oil painting -f 0.6", image=drawing):
            picture.image.show()

Pictures have the same bytes as those that the program makes from the same line.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from invoke.engine.process.remote import RemoteEngine
from invoke.errors import CommandError, PictureError
from invoke.events import Event, Note, RunInfo, Saved
from invoke.images.orientation import ORIENTATION
from invoke.language.config_file import read_settings
from invoke.language.launch import engine_options, read_arguments
from invoke.language.launch_options import OPTIONS
from invoke.language.parse import Draft, read
from invoke.language.render import value_word
from invoke.language.switches import by_name
from invoke.models import read_registry
from invoke.models.hub.consent import without_downloads
from invoke.outputs.received import FOLDER, keep
from invoke.paths import config_file, expanded
from invoke.request import Request
from invoke.session import models_file, session_of

if TYPE_CHECKING:
    from PIL.Image import Image

    from invoke.language.plan import Plan

    Word = str | int | float | Path | Image
    Value = Word | bool | Sequence[Word] | Sequence[Sequence[Word]] | None
    """A switch's value: one word or several, or a list of these for a repeated switch."""


@dataclass(frozen=True)
class Picture:
    """A picture that was made and saved."""

    path: Path
    line: str
    """The line that makes it again."""
    request: Request
    info: RunInfo
    """Device, precision, seconds, and hashes of its inputs."""
    notes: tuple[str, ...] = ()
    """Notes about its line, such as words that its model does not know (`Plan.notes`)."""

    @property
    def seed(self) -> int:
        return self.request.seed

    @cached_property
    def image(self) -> Image:
        """The picture in memory, RGB; read from its file on first access."""
        from PIL import Image

        with Image.open(self.path) as image:
            return image.convert("RGB")


class Shell:
    """A session without a terminal, with an engine process that keeps its models loaded until `close`.

    Keywords are launch options and defaults for every line, under the long names of `invoke --help` and of the
    switches: `Shell(device="cpu", outdir="made", steps=20)`. Where they say nothing, the user's `config.yaml` does,
    unless `user_settings` is False. Models that are not on this disk are downloaded only with `yes=True`.

    For one thread at a time; others wait. Raises InvokeError for what cannot be had.
    """

    def __init__(self, *, user_settings: bool = True, **options: Value) -> None:
        launch = read_arguments(_words(options))
        if launch.line is not None:
            raise CommandError(f"{launch.line} belongs in a line: Shell().make(…)", code="usage")
        if user_settings:
            launch = launch.over(read_settings(config_file()))
        for name in _ELSEWHERE & launch.options.keys():
            raise CommandError(f"--{name.replace('_', '-')} belongs to the program, not to Shell", code="usage")
        models = read_registry(models_file(launch))
        self._engine = RemoteEngine(models, engine_options(launch))
        self._session = session_of(launch, self._engine, models)
        self._turn = threading.RLock()

    def make(
        self, line: str = "", /, *, on_event: Callable[[Event], object] | None = None, **switches: Value
    ) -> Iterator[Picture]:
        """Make the pictures of a line, and yield each as soon as it is saved.

        `line` is what you would type; keywords are added to it under their long names, values as text or as what they
        are: `make("a fire", image=drawing, strength=0.6, seed=7)`. An image may be a PIL image wherever a file can be
        named; it is kept in `piped/` in the output folder, so that the line makes the picture again. In a chain
        (`a |> b`), keywords belong to the last part. `on_event` is called with every event, as `invoke.events` has
        them; the line's notes come first. Nothing happens before the first picture is asked for; a `for` loop that is
        left stops after the step that is running.

        Raises InvokeError; pictures that were made before are kept.
        """
        with self._turn:
            plan = self.plan(line, **switches)
            events = self._session.run(plan)
            if not self._session.downloads:
                events = without_downloads(events)
            with closing(events):
                for event in chain(map(Note, plan.notes), events):
                    if on_event is not None:
                        on_event(event)
                    if isinstance(event, Saved) and event.kind == "image":
                        assert event.request is not None
                        assert event.facts is not None
                        yield Picture(Path(event.path), event.line, event.request, event.facts, plan.notes)

    def plan(self, line: str = "", /, **switches: Value) -> Plan:
        """Plan what `make` would do: `summary`, `notes`, and `pictures()` one by one.

        Raises InvokeError.
        """
        with self._turn:
            folder = str(switches.get("outdir") or self._session.defaults.get("outdir", "outputs"))
            kept = {name: _kept(value, expanded(folder) / FOLDER) for name, value in switches.items()}
            text = " ".join(filter(None, (line, *map(_as_typed, _words(kept)))))
            draft = read(text)
            if not isinstance(draft, Draft):
                raise CommandError(f"'{line}' makes no picture", code="bad_command", hint="a prompt with switches does")
            return self._session.resolve(draft)

    def close(self) -> None:
        """End the engine and free its memory. The pictures stay."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


_ELSEWHERE = {row.name for row in OPTIONS if row.once and row.name != "config"} | {"workers", "ray"}
"""Launch options without meaning for the library."""


class _Switch(str):
    """A word that is a switch, as opposed to a value that begins with a dash."""

    __slots__ = ()


def _as_typed(word: str) -> str:
    """`word` as it would be typed in a line."""
    return word if isinstance(word, _Switch) else value_word(word)


def _words(switches: Mapping[str, Value]) -> list[str]:
    """Keywords as the words of a line or a launch."""
    return [word for name, value in switches.items() if value is not None for word in _typed(name, value)]


def _typed(name: str, value: Any) -> Iterator[str]:
    row = by_name().get(name)
    if isinstance(value, bool):
        yield _Switch(f"--{name}" if value else f"--no-{name}")
        return
    several = row is not None and row.repeats and _is_list(value) and all(map(_is_list, value))
    for words in value if several else [value]:
        yield _Switch(f"--{name}")
        yield from map(str, words if _is_list(words) else [words])


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _kept(value: Any, folder: Path) -> Any:
    """`value` with every image replaced by its file."""
    if _is_list(value):
        return [_kept(item, folder) for item in value]
    if not hasattr(value, "save"):
        return value
    if value.mode in {"I", "F"}:  # their black and white are undefined; conversion would clip them at 255
        raise PictureError(
            f"an image of mode {value.mode} cannot be used: its black and white are unknown",
            code="picture_unsupported",
            hint="convert it to L, RGB or I;16 first",
        )
    from PIL import Image

    packed, options = BytesIO(), {}
    if orientation := value.getexif().get(ORIENTATION):  # PIL opens an image as stored, not rotated by its orientation
        options["exif"] = Image.Exif()
        options["exif"][ORIENTATION] = orientation
    (value if value.mode in _PNG_MODES else value.convert("RGB")).save(packed, "PNG", **options)
    return str(keep(packed.getvalue(), folder))


_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
