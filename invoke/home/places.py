"""`!config`: where the program keeps things and looks for them, and what the user's own file sets."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from invoke.command.commands import argument
from invoke.command.draft import Bang
from invoke.errors import CommandError
from invoke.home.settings import config_file, read_settings, write_commented
from invoke.home.state import HISTORY, LOG, state_folder
from invoke.launch import Launch
from invoke.models.cache import hub_cache
from invoke.session import Session

INIT = "init"


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder of the user's."""

    what: str
    path: Path
    made_by: str = ""
    """How it comes to be."""

    @property
    def exists(self) -> bool:
        return self.path.exists()

    def __str__(self) -> str:
        missing = f"not there{f': {self.made_by}' if self.made_by else ''}"
        return f"{self.what:<12}{self.path}" + ("" if self.exists else f"  ({missing})")


@dataclass(frozen=True, slots=True)
class Configuration:
    """What `!config` shows."""

    places: tuple[Place, ...]
    settings: Launch
    """What the user's file sets."""

    def lines(self) -> Iterator[str]:
        yield from map(str, self.places)
        yield f"{'it sets':<12}{' '.join(self.settings.words()) or 'nothing'}"


def configure(bang: Bang, session: Session) -> Configuration:
    """What `!config` asks for; `!config init` writes the user's file first. Raises CommandError or RequestError."""
    if bang.rest:
        if argument(bang, INIT) != INIT:
            raise CommandError(
                f"!config takes nothing, or {INIT}", column=bang.column, hint="!config init writes a file to fill in"
            )
        write_commented(config_file())
    return Configuration(tuple(_places(session)), read_settings(config_file()))


def _places(session: Session) -> Iterator[Place]:
    yield Place("defaults", config_file(), "!config init writes it")
    if session.models_file is not None:
        yield Place("models", session.models_file, "!import_model writes it")
    for folder in session.wildcards:
        yield Place("wildcards", folder.absolute(), "for --wild")
    yield Place("history", state_folder() / HISTORY)
    yield Place("errors", state_folder() / LOG)
    yield Place("downloads", hub_cache())
