"""Reads messages between processes; only our own message classes can be unpickled."""

import pickle
from collections.abc import Mapping
from functools import cache
from typing import IO, Any, get_args

from invoke import errors
from invoke.engine.process.messages import Answer, Question, Stay
from invoke.events import EngineEvent, EngineState, Pixels, Previews, RunInfo
from invoke.models import ModelSpec, Registry
from invoke.options import EngineOptions
from invoke.request import Request

ERRORS = (
    errors.InvokeError,
    errors.CommandError,
    errors.RequestError,
    errors.PictureError,
    errors.ModelError,
    errors.EngineError,
    errors.OutputError,
)


def receive(stream: IO[bytes]) -> object:
    """Read the next message. Raises EOFError at the end of the stream, or for anything that is not a message."""
    try:
        return _Reader(stream).load()
    except (OSError, ValueError, OverflowError, LookupError, pickle.UnpicklingError) as error:
        raise EOFError from error


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return classes()[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not part of a message") from None


@cache
def classes() -> Mapping[tuple[str, str], Any]:
    """(module, name) → every class that messages may contain."""
    values = (Stay, EngineState, Pixels, Previews, RunInfo, ModelSpec, Registry, EngineOptions, Request)
    parts = (*get_args(Question), *get_args(Answer), *get_args(EngineEvent), *values, *ERRORS, errors.rebuild)
    return {(part.__module__, part.__qualname__): part for part in parts}
