"""Consent to downloads: the question, and the errors if the answer is no or nobody can be asked."""

from collections.abc import Callable, Generator
from contextlib import closing
from typing import TypeVar

from invoke.errors import ModelError
from invoke.events import DownloadRequired

T = TypeVar("T")


def size_shown(megabytes: float) -> str:
    """`4.2 GB`, `67 MB`."""
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{max(1, round(megabytes))} MB"


def described(required: DownloadRequired) -> str:
    """`sd-1.5 is 4.2 GB (CreativeML OpenRAIL-M)`."""
    return f"{required.model} is {size_shown(required.megabytes)}" + (
        f" ({required.licence})" if required.licence else ""
    )


def declined(required: DownloadRequired) -> ModelError:
    """The error for a declined download."""
    return ModelError(f"{required.model} is not on this disk and was not downloaded", code="not_on_disk")


def not_allowed(required: DownloadRequired) -> ModelError:
    """The error for a download without anybody to ask."""
    return ModelError(
        f"{described(required)} and not on this disk",
        code="not_on_disk",
        hint="--yes downloads without asking; the shell asks first",
    )


def without_downloads(
    events: Generator[T, None, None], event_in: Callable[[T], object] = lambda item: item
) -> Generator[T, None, None]:
    """Pass `events` through, but raise ModelError if a download is required; `event_in` extracts an item's event."""
    with closing(events):
        for item in events:
            event = event_in(item)
            if isinstance(event, DownloadRequired):
                raise not_allowed(event)
            yield item
