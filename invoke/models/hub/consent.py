"""Downloads need a yes: what is asked, and what is said where nobody can be asked."""

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
    """What becomes of a line whose download nobody wanted."""
    return ModelError(f"{required.model} is not on this disk and was not downloaded", code="not_on_disk")


def not_allowed(required: DownloadRequired) -> ModelError:
    """What becomes of a picture that needs a download where nobody can be asked."""
    return ModelError(
        f"{described(required)}, and not on this disk",
        code="not_on_disk",
        hint="--yes downloads without asking; the prompt asks first",
    )


def without_downloads(
    events: Generator[T, None, None], event_in: Callable[[T], object] = lambda item: item
) -> Generator[T, None, None]:
    """`events`, ended by a ModelError where a download would start; `event_in` finds the event in an item."""
    with closing(events):
        for item in events:
            event = event_in(item)
            if isinstance(event, DownloadRequired):
                raise not_allowed(event)
            yield item
