"""Networks computed by OpenVINO (`--compile` on a CPU, extra `[openvino]`).

UNets, ControlNets, and the encoder and decoder of a VAE are compiled for each shape that they are called with. At the
second call with a shape, a separate process (`openvino_export.py`) converts the network, compiles it, and writes the
result to the cache folder; PyTorch draws meanwhile. The backend never changes in the middle of a picture. A file in the
cache folder is used from the first call. Its name is a digest of everything that it depends on: weights, LoRAs, shape,
version of OpenVINO, CPU and number of threads.
"""

import json
import logging
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from invoke.engine.components.compiling import Compiler, Inductor, has_cxx
from invoke.engine.components.lru_cache import LRUCache
from invoke.engine.components.tensor_tree import mapped, tensors
from invoke.errors import first_line
from invoke.events import EngineEvent, Finished, Postprocessing, RunInfo
from invoke.files import make_folder, open_file, remove_stale
from invoke.locks import locked
from invoke.paths import OPENVINO, cache_folder
from invoke.processes import receive, send, start_child

log = logging.getLogger(__name__)

FORMAT = 1
"""Version of the file format, part of each name."""
HEADER = 4096
"""Bytes of the header: JSON, padded with spaces. The compiled model follows."""
KEPT_ON_DISK = 20 * 10**9
"""Bytes of the cache folder; the least recently used files are deleted first."""
KEPT_IN_MEMORY = 4
"""Compiled shapes of each network that stay loaded."""
ROOM = 4.0
"""Free memory needed for a conversion, as a multiple of the weights in float32."""
HINTS = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}
WEIGHTS_PER_MINUTE = 1e9
"""Weights that two cores convert and compile in a minute, roughly."""
Outputs = list[torch.Tensor]


@dataclass(frozen=True, slots=True)
class Part:
    """A network, or a part of one, that OpenVINO compiles."""

    name: str
    """The submodule; "" is the whole network."""
    title: str
    """Its name in messages."""
    answered: Callable[[Outputs], Any]
    """Turns the list of its output tensors into what the network itself returns with `return_dict=False`."""


PARTS: Mapping[str, tuple[Part, ...]] = {
    "UNet2DConditionModel": (Part("", "denoiser", tuple),),
    "ControlNetModel": (Part("", "ControlNet", lambda outputs: (outputs[:-1], outputs[-1])),),
    "AutoencoderKL": (
        Part("encoder", "encoder", lambda outputs: outputs[0]),
        Part("decoder", "decoder", lambda outputs: outputs[0]),
    ),
}
"""By class name in diffusers."""


@dataclass(frozen=True, slots=True)
class Task:
    """A conversion for `openvino_export.py`, which replies with an error message or ""."""

    kind: str
    """Class name of the network in diffusers."""
    part: str
    config: Mapping[str, Any]
    state: dict[str, torch.Tensor]
    """Its weights, not packed."""
    arguments: tuple[tuple[Any, ...], Mapping[str, Any]]
    """Arguments of a call, from `floats_as_tensors`."""
    settings: "Settings"
    path: Path
    """The file to write."""


Settings = Mapping[str, str]
"""Properties of OpenVINO."""
Answer = Callable[[Sequence[torch.Tensor]], Outputs]
"""Computes a network's outputs (float32) from the tensors in its arguments."""


class InvalidFileError(Exception):
    """A damaged file in the cache folder."""


@dataclass
class _Shape:
    """The state of one shape that a network is called with."""

    seen: int = 0
    answer: Answer | None = None
    error: float = 0.0
    """Relative error ‖difference‖ / ‖output‖ against float32 with the same weights, measured at the conversion."""
    is_given_up: bool = False


class OpenVINO(Compiler):
    """Compiles with OpenVINO; see `Compiler`. One conversion runs at a time, at lower priority than drawing."""

    kinds = frozenset(PARTS)

    def __init__(
        self,
        convert: Callable[[Task, "OpenVINO"], None] | None = None,
        read: Callable[[Path, Settings], tuple[float, Answer]] | None = None,
        folder: Path | None = None,
    ) -> None:
        """`convert` writes the file of a task and `read` loads it; tests replace both, and the cache `folder`."""
        self.folder = folder or cache_folder() / OPENVINO
        self.child: subprocess.Popen[bytes] | None = None
        self._convert, self._read = convert or _convert, read or read_network
        self._working: threading.Thread | None = None
        self._adopt: Callable[[], None] = lambda: None
        """Handles the result of the last conversion, between pictures."""
        self._notes: list[str] = []
        self._used: dict[str, float] = {}
        """Title → error of the networks that computed the current picture."""

    def compile(self, network: torch.nn.Module, device: torch.device) -> None:
        """See `Compiler.compile`. Networks of other classes are compiled by torch if there is a C++ compiler."""
        kind = type(network).__name__
        if kind not in PARTS:
            if has_cxx():
                Inductor().compile(network, device)
            return
        for part in PARTS[kind]:
            module: Any = network.get_submodule(part.name)
            module._compiled_call_impl = CompiledNetwork(self, module, network, part)

    def begin_picture(self) -> None:
        """See `Compiler.begin_picture`."""
        self._used.clear()
        if self._working is not None and not self._working.is_alive():
            self._working = None
            self._adopt()

    def notes(self) -> list[str]:
        """See `Compiler.notes`."""
        notes, self._notes = self._notes, []
        return notes

    def recorded(self, event: EngineEvent) -> EngineEvent:
        """See `Compiler.recorded`: the precision names OpenVINO and the error of each network."""
        if not self._used:
            return event
        if isinstance(event, Postprocessing):
            return replace(event, picture=replace(event.picture, facts=self._facts(event.picture.facts)))
        return replace(event, facts=self._facts(event.facts)) if isinstance(event, Finished) else event

    def close(self) -> None:
        """See `Compiler.close`."""
        self._adopt = lambda: None
        if self.child is not None:
            self.child.kill()

    def wait(self) -> None:
        """Wait for the end of the conversion."""
        if self._working is not None:
            self._working.join()

    @property
    def is_busy(self) -> bool:
        return self._working is not None

    def opened(self, network: "CompiledNetwork", shape: _Shape, path: Path, settings: Settings) -> bool:
        """Use the file at `path` for `shape` from now on; False if there is none. A damaged file is deleted."""
        if not path.is_file():
            return False
        try:
            shape.error, shape.answer = self._read(path, settings)
        except Exception as error:  # OpenVINO raises various errors for files that it cannot import
            log.warning("%s is removed: %s", path, error)
            path.unlink(missing_ok=True)
            return False
        with suppress(OSError):
            os.utime(path)
        self._notes.append(
            f"--compile: the {network.title} is computed by OpenVINO, within {percent(shape.error)} of float32"
        )
        return True

    def begin(self, network: "CompiledNetwork", shape: _Shape, task: Task) -> None:
        """Start to convert `network` for `shape` in the background."""
        path, settings = task.path, task.settings  # only the thread keeps the task, which holds all weights
        failure: Exception | None = None

        def work(task: Task) -> None:
            nonlocal failure
            try:
                make_folder(self.folder)
                lock = open_file(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
                with locked(lock):  # another engine may be writing the same file
                    prune(self.folder)
                    if not task.path.exists():
                        self._convert(task, self)
            except Exception as error:  # reported between pictures
                failure = error

        def adopt() -> None:
            if failure is not None:
                log.warning("OpenVINO: %s", first_line(failure))
                self.give_up(network, shape, first_line(failure))
            elif not self.opened(network, shape, path, settings):
                self.give_up(network, shape, "its file was deleted")

        self._adopt = adopt
        weights = sum(tensor.numel() for tensor in task.state.values())
        self._notes.append(
            f"--compile: OpenVINO compiles the {network.title} for this size in the background, which takes about "
            f"{_minutes(weights)} and {_size(task)} of disk once; PyTorch draws until then"
        )
        self._working = threading.Thread(target=work, args=(task,), name="OpenVINO", daemon=True)
        self._working.start()

    def give_up(self, network: "CompiledNetwork", shape: _Shape, why: str) -> None:
        """Draw `shape` with PyTorch from now on."""
        shape.is_given_up = True
        self._notes.append(f"--compile: OpenVINO could not compile the {network.title} ({why}); PyTorch draws it")

    def use(self, title: str, error: float) -> None:
        """Record that the current picture was computed with this network."""
        self._used[title] = max(error, self._used.get(title, 0.0))

    def _facts(self, facts: RunInfo) -> RunInfo:
        errors = ", ".join(f"{title} within {percent(error)}" for title, error in sorted(self._used.items()))
        return replace(
            facts,
            dtype=f"{facts.dtype} by OpenVINO ({errors})",
            versions=facts.versions | {"openvino": version("openvino")},
        )


class CompiledNetwork:
    """Runs the calls of a network, or of a part of one: by OpenVINO if that is ready, else by PyTorch."""

    def __init__(self, compiler: OpenVINO, module: Any, network: Any, part: Part) -> None:
        """`module` is `part` of `network`, whose weights are not packed yet."""
        self.title = part.title
        self._compiler, self._module, self._part = compiler, module, part
        self._kind, self._config = type(network).__name__, dict(network.config)
        self._layers = list(module.modules())
        self._built = self._changes()
        self._shapes: LRUCache[_Shape] = LRUCache(KEPT_IN_MEMORY)
        self._digest = self._added = ""
        self._digesting = threading.Thread(target=self._run, args=(dict(module.state_dict()),), daemon=True)
        self._digesting.start()

    @property
    def weights(self) -> str:
        """Identifies what is added to the loaded weights; see `compiling.without_constants`."""
        return self._added

    @weights.setter
    def weights(self, added: str) -> None:
        self._digesting.join()  # it reads the weights, which change now
        self._added = added

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Like the network's own call."""
        if self._changes() != self._built:  # --seamless, --freeu, --reuse, swaps, IP-Adapters, another precision
            return self._module._call_impl(*arguments, **options)
        given = floats_as_tensors((arguments, options))
        key = repr((self.weights, signature(given)))
        shape = self._shapes.get_or_compute(key, _Shape)
        shape.seen += 1
        if shape.seen == 1:
            path, settings = self._file(key)
            self._compiler.opened(self, shape, path, settings)
        if shape.answer is not None:
            self._compiler.use(self.title, shape.error)
            dtype = next(self._module.parameters()).dtype
            return self._part.answered([output.to(dtype) for output in shape.answer([*tensors(given)])])
        if shape.seen > 1 and not shape.is_given_up and not self._compiler.is_busy:
            self._prepare(key, shape, given)
        return self._module._call_impl(*arguments, **options)

    def _prepare(self, key: str, shape: _Shape, given: tuple[Any, Any]) -> None:
        import psutil

        weights = sum(tensor.numel() for tensor in self._module.state_dict().values())
        if psutil.virtual_memory().available < ROOM * 4 * weights:
            self._compiler.give_up(self, shape, f"it takes {ROOM * 4 * weights / 1e9:.0f} GB of free memory")
            return
        path, settings = self._file(key)
        with torch.inference_mode(False):
            state = {name: plain(tensor) for name, tensor in self._module.state_dict().items()}
            given = mapped(given, torch.clone)
        self._compiler.begin(self, shape, Task(self._kind, self._part.name, self._config, state, given, settings, path))

    def _file(self, key: str) -> tuple[Path, Settings]:
        """Return the cache file of a shape, and OpenVINO's properties for it."""
        self._digesting.join()
        dtype = next(self._module.parameters()).dtype
        settings = {
            "INFERENCE_PRECISION_HINT": HINTS[dtype],
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": str(torch.get_num_threads()),
        }
        machine = sorted(name for name, has in getattr(torch.cpu, "get_capabilities", dict)().items() if has is True)
        what = FORMAT, version("openvino"), machine, self._kind, self._part.name, self._digest, key, settings
        return self._compiler.folder / f"{sha256(repr(what).encode()).hexdigest()}.bin", settings

    def _changes(self) -> list[object]:
        """Describe hooks and replacements in the layers, which a compiled network would not have."""
        found: list[object] = [next(self._module.parameters()).dtype]
        for layer in self._layers:
            own = vars(layer)
            hooks = own["_forward_hooks"] or own["_forward_pre_hooks"]
            if hooks or "forward" in own or "_conv_forward" in own or "_hf_hook" in own or own.get("b1"):
                found.append(layer)
            if "processor" in own:
                found.append(id(own["processor"]))
        return found

    def _run(self, state: Mapping[str, torch.Tensor]) -> None:
        digest = sha256(repr(sorted((name, repr(value)) for name, value in self._config.items())).encode())
        for name, tensor in state.items():
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
        self._digest = digest.hexdigest()


def floats_as_tensors(value: Any) -> Any:
    """Convert the tensors and floats in `value` to float32 tensors, and sort mappings by key."""
    if isinstance(value, float):
        return torch.tensor(value)
    if isinstance(value, torch.Tensor):
        return value.float()
    if isinstance(value, Mapping):
        return {name: floats_as_tensors(part) for name, part in sorted(value.items())}
    if isinstance(value, tuple | list):
        return type(value)(floats_as_tensors(part) for part in value)
    return value


def signature(value: Any) -> Any:
    """Describe a call: the shapes of its tensors, and all other arguments as they are."""
    if isinstance(value, torch.Tensor):
        return tuple(value.shape)
    if isinstance(value, Mapping):
        return {name: signature(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return [signature(part) for part in value]
    return value


def plain(tensor: torch.Tensor) -> torch.Tensor:
    """Copy a weight, unpacked."""
    return (tensor.to_dense() if tensor.is_mkldnn else tensor).detach().clone(memory_format=torch.contiguous_format)


def percent(share: float) -> str:
    """Format a relative error: `1.2 %`, or `5e-07` if it is tiny."""
    return f"{100 * share:.2g} %" if share >= 1e-4 else f"{share:.0e}"


def read_network(path: Path, settings: Settings) -> tuple[float, Answer]:
    """Read a file that `openvino_export.py` has written; return its error and how to call it.

    Raises InvalidFileError if the file is damaged, and what OpenVINO raises.
    """
    held = np.memmap(path, dtype=np.uint8, mode="r")
    try:
        header = json.loads(bytes(held[:HEADER]))
        is_whole = header["sha256"] == sha256(held[HEADER:].data).hexdigest()
        error = float(header["error"])
    except (ValueError, KeyError, TypeError) as reason:
        raise InvalidFileError("its header cannot be read") from reason
    if not is_whole:
        raise InvalidFileError("its contents have changed")
    return error, imported(held[HEADER:], settings)


def imported(exported: "np.typing.NDArray[np.uint8]", settings: Settings) -> Answer:
    """Import a compiled model. It needs the settings that it was compiled with: other ones give wrong results."""
    import openvino

    compiled = openvino.Core().import_model(openvino.Tensor(exported), "CPU", dict(settings))
    request = compiled.create_infer_request()

    def answer(given: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        request.infer([tensor.contiguous().numpy() for tensor in given], share_inputs=True)
        return [torch.from_numpy(output.data.copy()) for output in request.output_tensors]

    return answer


def prune(folder: Path) -> None:
    """Remove stale temporary files from the cache `folder`, and the least recently used files beyond its limit."""
    names = [path.name for path in folder.iterdir()]
    remove_stale(folder, names)
    held = 0
    for path, found in sorted(_files(folder), key=lambda file: file[1].st_mtime, reverse=True):
        held += found.st_size
        if held > KEPT_ON_DISK:
            path.unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder.glob("*.bin"):
        with suppress(OSError):
            yield path, path.lstat()


def _minutes(weights: int) -> str:
    minutes = round(weights / WEIGHTS_PER_MINUTE)
    return "a minute" if minutes <= 1 else f"{minutes} minutes"


def _size(task: Task) -> str:
    """Format the approximate size of its file."""
    size = 4 * sum(tensor.numel() for tensor in task.state.values())  # OpenVINO keeps float32 in any precision
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"


def _convert(task: Task, compiler: OpenVINO) -> None:
    """Run `openvino_export.py` on `task`. Raises RuntimeError if it fails."""
    with start_child("invoke.engine.components.openvino_export", subprocess.DEVNULL) as child:
        compiler.child = child
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            send(child.stdin, task)
            answer = receive(child.stdout)
        except (EOFError, OSError, ValueError):
            answer = "its process ended, perhaps because of too little memory"
        finally:
            compiler.child = None
            child.kill()
    if answer:
        raise RuntimeError(str(answer))
