"""A process that fetches from the hub into its cache, so that a download can be stopped whatever it waits for."""

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from invoke.engine.child import ENVIRONMENT, own_streams
from invoke.engine.hub import explained
from invoke.engine.listing import Listing, ask, download
from invoke.engine.messages import receive, send
from invoke.engine.resuming import fetch_large
from invoke.errors import ModelError
from invoke.events import Fetching, Wanted
from invoke.models import ModelSpec
from invoke.models.cache import Address, hub_cache

BEAT = 0.5
"""Seconds between two words about how far it is."""


@dataclass(frozen=True, slots=True)
class Need:
    """What is to be fetched."""

    address: Address
    configs_only: bool = False
    """All but the weights."""


@dataclass(frozen=True, slots=True)
class Wish:
    """The first message. The answers: `Fetching`, one `Wanted`, `Fetching`, then None; or a ModelError."""

    spec: ModelSpec
    needs: tuple[Need, ...]


@dataclass(frozen=True, slots=True)
class Go:
    """The second message: the user agrees."""


class Fetcher:
    """One wish, granted."""

    def __init__(self, wish: Wish, questions: IO[bytes], answers: IO[bytes]) -> None:
        self._name, self._spec, self._needs = wish.spec.name, wish.spec, wish.needs
        self._questions, self._answers = questions, answers
        self._answering = threading.Lock()
        self._total = 0
        self._there: dict[str, int] = {}
        """File → bytes that have arrived, of the large ones."""

    def run(self) -> None:
        threading.Thread(target=self._beat, daemon=True).start()
        try:
            chosen = list(self._chosen())
            self._total = sum(listing.sizes[file] for listing, files in chosen for file in files)
            self._check_space()
            self._answer(Wanted(self._name, round(self._total / 1e6), self._spec.licence))
            receive(self._questions)  # a Go, or the end of this process
            threading.Thread(target=self._listen, daemon=True).start()
            self._say_how_far()
            for listing, files in chosen:
                self._download(listing, files)
        except ModelError as error:
            self._answer(error)
        else:
            self._answer(None)

    def _chosen(self) -> Iterator[tuple[Listing, list[str]]]:
        for need in self._needs:
            listing = ask(f"{self._name} (configs)" if need.configs_only else self._name, need.address)
            files = listing.configs() if need.configs_only else listing.files(half=self._spec.kind == "model")
            yield listing, listing.missing(files)

    def _check_space(self) -> None:
        place = hub_cache()
        place.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(place).free
        if free < self._total:
            raise ModelError(
                f"{self._name}: {self._total / 1e9:.1f} GB are needed, {place} has {free / 1e9:.1f} GB free",
                code="no_space",
                hint="make room, or set HF_HOME to a folder on another disk",
            )

    def _download(self, listing: Listing, files: list[str]) -> None:
        def count(file: str, there: int) -> None:
            self._there[f"{listing.address}/{file}"] = there

        # configs first: a model counts as whole when its weights are there
        download(listing, [file for file in files if not file.endswith(".safetensors")])
        try:
            fetch_large(listing, files, count)
        except Exception as error:
            raise explained(listing.name, listing.address, error) from error
        download(listing, files)

    def _beat(self) -> None:
        wait = threading.Event()
        while not wait.wait(BEAT):
            self._say_how_far()

    def _say_how_far(self) -> None:
        self._answer(Fetching(self._name, sum(list(self._there.values())) / 1e6, self._total / 1e6))

    def _listen(self) -> None:
        """End with the one who asked."""
        self._questions.read()
        os._exit(0)

    def _answer(self, answer: object) -> None:
        with self._answering:
            send(self._answers, answer)


def main() -> None:
    """Grant the wish on standard input. Called in a fresh process."""
    questions, answers = own_streams()
    os.environ.update(ENVIRONMENT)
    try:
        wish = receive(questions)
        assert isinstance(wish, Wish)
        Fetcher(wish, questions, answers).run()
    except (EOFError, OSError):
        pass  # the one who asked is gone
    os._exit(0)  # threads that still wait for the network would keep it
