"""What commands say that only read: the same at the prompt, in a file of lines, and as the one line of a launch."""

from collections.abc import Callable, Iterator, Mapping

from invoke.answers.models import list_models, list_triggers
from invoke.command.commands import find
from invoke.command.draft import Bang
from invoke.command.help import page
from invoke.command.manual import page_width
from invoke.errors import CommandError
from invoke.home.places import configure
from invoke.session import Session


def answer(bang: Bang, session: Session, columns: int | None) -> Iterator[str]:
    """The lines that answer a command of ANSWERS, for a terminal of so many columns (None: no terminal).

    Raises InvokeError.
    """
    return ANSWERS[find(bang).name](bang, session, page_width(columns))


def _help(bang: Bang, session: Session, width: int) -> Iterator[str]:
    try:
        yield from page(bang.rest, width).split("\n")
    except CommandError as error:
        error.column = bang.column
        raise


def _models(bang: Bang, session: Session, width: int) -> Iterator[str]:
    return list_models(bang, session)


def _triggers(bang: Bang, session: Session, width: int) -> Iterator[str]:
    return list_triggers(bang, session)


def _config(bang: Bang, session: Session, width: int) -> Iterator[str]:
    return configure(bang, session).lines()


ANSWERS: Mapping[str, Callable[[Bang, Session, int], Iterator[str]]] = {
    "help": _help,
    "models": _models,
    "triggers": _triggers,
    "config": _config,
}
"""By the name of their row in COMMANDS."""
