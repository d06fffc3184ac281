"""Downloads for the engine: asks for consent, reports progress, and stops when the caller does."""

import subprocess
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

from invoke.errors import ModelError
from invoke.events import Downloading, DownloadRequired
from invoke.models import ModelSpec
from invoke.models.hub.cache import cached_folder, hub_address, is_whole
from invoke.models.hub.download_process import DownloadRequest, Go, Need
from invoke.models.hub.locate import is_offline, offline_error
from invoke.models.spec import Kind
from invoke.processes import receive, send, start_child

_WITHOUT: Mapping[Kind, str] = {
    "model": "-m pocket works without one",
    "upscaler": "-U 2 0 scales without a model",
    "text-mask": "-M takes a mask that you drew yourself",
}
"""Kind of model that cannot be downloaded → what works without it."""


def fetch(spec: ModelSpec, *, offline: bool) -> Generator[DownloadRequired | Downloading, None, None]:
    """Download what is missing of `spec`. Yields nothing if it is complete.

    Otherwise it yields one `DownloadRequired` with the size; asking for the next event means consent to the download.
    Closing the generator stops it; the partial download is kept and resumed by the next attempt.
    Raises ModelError with a hint.
    """
    needs = tuple(_needs(spec))
    if not needs:
        return
    if offline or is_offline():
        raise offline_error(spec.name if not all(need.configs_only for need in needs) else f"{spec.name} (configs)")
    with start_child("invoke.models.hub.download_process", subprocess.DEVNULL) as child:
        try:
            yield from _events(child, DownloadRequest(spec, needs))
        finally:
            child.kill()


def _events(child: "subprocess.Popen[bytes]", request: DownloadRequest) -> Iterator[DownloadRequired | Downloading]:
    assert child.stdin is not None
    assert child.stdout is not None
    send(child.stdin, request)
    while True:
        try:
            answer: Any = receive(child.stdout)
        except EOFError:
            raise ModelError(
                f"{request.spec.name}: the download was interrupted", hint="try again to resume it"
            ) from None
        if answer is None:
            return
        if isinstance(answer, ModelError):
            if answer.code == "unreachable" and request.spec.kind in _WITHOUT:
                answer.hint += f", and {_WITHOUT[request.spec.kind]}"
            raise answer
        yield answer
        if isinstance(answer, DownloadRequired):
            send(child.stdin, Go())


def _needs(spec: ModelSpec) -> Iterator[Need]:
    for weights, without in spec.downloads:
        address = hub_address(weights)
        if address is not None and not is_whole(weights, without):
            yield Need(address, without=without)
    configs = hub_address(spec.config)
    if configs is not None and not _has_configs(cached_folder(configs)):
        yield Need(configs, configs_only=True)


def _has_configs(folder: Path | None) -> bool:
    return folder is not None and (folder / "model_index.json").is_file() and any(folder.glob("tokenizer*/*"))
