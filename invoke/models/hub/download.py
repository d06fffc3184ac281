"""Downloads, as seen by the engine: asked before they start, told while they go on, stopped when nobody listens."""

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
    "upscaler": "-U 2 0 enlarges plainly, without a model",
    "text-mask": "-M takes a mask that you have drawn yourself",
}
"""Kind of what cannot be fetched → what can be done meanwhile."""


def fetch(spec: ModelSpec, *, offline: bool) -> Generator[DownloadRequired | Downloading, None, None]:
    """Bring what is missing of `spec` onto this disk. Yields nothing when all is there.

    Else, once the hub has said how much it is, one `DownloadRequired`: whoever asks for the next event agrees to the
    download. Closed, it stops; what was fetched is kept, and another try goes on from there.
    Raises ModelError with what to do next.
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
    for weights, without in ((spec.weights, spec.without), (spec.prior, ""), (spec.gguf, "")):
        address = hub_address(weights)
        if address is not None and not is_whole(weights, without):
            yield Need(address, without=without)
    configs = hub_address(spec.config)
    if configs is not None and not _has_configs(cached_folder(configs)):
        yield Need(configs, configs_only=True)


def _has_configs(folder: Path | None) -> bool:
    return folder is not None and (folder / "model_index.json").is_file() and any(folder.glob("tokenizer*/*"))
