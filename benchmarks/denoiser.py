"""One call of one network (the denoiser with guidance, or the decoder): ours as loaded, and others.

python -m benchmarks.denoiser FOLDER SIDE PART WAY answers each line it reads with one call, as JSON.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from functools import partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.alternating import Cost, Side, in_turns, spread
from benchmarks.bench import Bench
from benchmarks.gpu import product_rate
from benchmarks.processes import Program
from benchmarks.random_checkpoints import decoder_flops, unet_flops
from benchmarks.results import Fact, Row
from invoke.engine.process.openmp import waiting_variables

MATRIX = 2048
"""Side of the matrices whose product gives the CPU's rate."""
PARTS: Mapping[str, str] = {"unet": "one guided call of the denoiser", "vae": "one call of the decoder"}
OURS = ("invoke", "invoke --compile")
GOALS = {
    ("invoke", "unet", 256, "diffusers, float32"): 2.6,
    ("invoke", "unet", 512, "diffusers, float32"): 1.75,
    ("invoke", "unet", 256, "OpenVINO, bfloat16"): 1.0,
    ("invoke", "unet", 512, "OpenVINO, bfloat16"): 0.78,
    ("invoke", "vae", 256, "diffusers, float32"): 2.5,
    ("invoke --compile", "unet", 512, "diffusers, float32"): 2.25,
    ("invoke --compile", "unet", 256, "OpenVINO, bfloat16"): 1.0,
    ("invoke --compile", "unet", 512, "OpenVINO, bfloat16"): 1.0,
}
"""For Stable Diffusion 1.5's shape."""
Call = Callable[[], object]


def denoiser(bench: Bench) -> Iterator[Row]:
    """Ours against stock's float32 and bfloat16, and OpenVINO where it is installed (`pip install .[openvino]`)."""
    if bench.quick:
        yield from _compared(bench, "pocket", bench.pocket.path, 256, "unet", 0.0)
        return
    path, rate = bench.random("sd15").path, product_rate("cpu", "bfloat16", MATRIX)
    yield Row(what=f"product of matrices, bfloat16, {MATRIX}×{MATRIX}", facts={"GFLOP/s": rate / 1e9})
    for part, side in (("unet", 256), ("unet", 512), ("vae", 256)):
        yield from _compared(bench, "sd15", path, side, part, rate)


def _compared(bench: Bench, name: str, path: Path, side: int, part: str, rate: float) -> Iterator[Row]:  # noqa: PLR0913, PLR0917
    ways = [way for way in WAYS if find_spec("openvino") or way not in NEEDS_OPENVINO]
    with ExitStack() as stack:
        programs = {}
        for way in ways:
            command = (sys.executable, "-m", "benchmarks.denoiser", path, str(side), part, way)
            programs[way] = stack.enter_context(closing(Program(command)))
            programs[way].wait_for("ready")

        def called(program: Program, turn: int) -> None:
            program.say("call")
            program.wait_for("made")

        sides = {way: Side(partial(called, program), program.processor) for way, program in programs.items()}
        costs = in_turns(sides, turns=bench.turns)
    for ours, way in product((way for way in ways if way in OURS), (way for way in ways if way not in OURS)):
        yield Row(
            what=f"{name}: {PARTS[part]}, {side}×{side}{ours.removeprefix('invoke')}",
            ours=ours,
            peer=way,
            ours_costs=costs[ours],
            peer_costs=costs[way],
            goal=GOALS.get((ours, part, side, way)) if name == "sd15" else None,
            facts=_shares(name, part, side, rate, {"ours": costs[ours], "its": costs[way]}),
        )


def _shares(name: str, part: str, side: int, rate: float, costs: Mapping[str, list[Cost]]) -> dict[str, Fact]:
    """The share of the CPU's rate that each side reaches, in percent."""
    if not rate:
        return {}
    size = {"width": side, "height": side}
    flops = 2 * unet_flops(name, **size) if part == "unet" else decoder_flops(name, **size)
    return {
        f"% of the bf16 rate, {who}": 100 * flops / rate / spread([cost.wall for cost in paid]).median
        for who, paid in costs.items()
    }


def _inputs(network: Any, side: int, part: str, dtype: Any) -> tuple[Any, ...]:
    import torch

    generator = torch.Generator().manual_seed(0)
    cells, rows = side // 8, 2 if part == "unet" else 1
    latents = torch.randn(rows, 4, cells, cells, generator=generator).to(dtype)
    if part == "vae":
        return (latents,)
    words = torch.randn(rows, 77, network.config.cross_attention_dim, generator=generator).to(dtype)
    return latents, torch.tensor(500.0), words


def _ours(path: Path, side: int, part: str) -> Call:
    """The network as our engine loads it, with the waiting policy of its worker."""
    os.environ.update(waiting_variables(os.environ))
    from benchmarks.in_process import loaded

    network = getattr(loaded(path), part)
    dtype = next(network.parameters()).dtype
    return _eager(network, _inputs(network, side, part, dtype), part)


def _compiled(path: Path, side: int, part: str) -> Call:
    """The same by OpenVINO, as our engine compiles it; timing begins afterwards."""
    os.environ.update(waiting_variables(os.environ))
    from benchmarks.in_process import loaded

    model = loaded(path, compile=True)
    network, compiler = getattr(model, part), model.place.compiler
    call = _eager(network, _inputs(network, side, part, next(network.parameters()).dtype), part)
    for _ in range(2):
        call()
    compiler.wait()
    compiler.begin_picture()
    if not any("is computed by OpenVINO" in note for note in compiler.notes()):
        raise RuntimeError("OpenVINO has not compiled it")
    return call


def _stock(dtype: str, path: Path, side: int, part: str) -> Call:
    import torch

    network = _read(path, part, getattr(torch, dtype))
    return _eager(network, _inputs(network, side, part, getattr(torch, dtype)), part)


def _eager(network: Any, inputs: tuple[Any, ...], part: str) -> Call:
    import torch

    ask = network if part == "unet" else network.decode

    def call() -> object:
        with torch.inference_mode():
            return ask(*inputs, return_dict=False)[0]

    return call


def _openvino(precision: str, path: Path, side: int, part: str) -> Call:
    """Converted from stock's float32, compiled for one shape and for the shortest single call."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # it would report the conversion
    import openvino
    import torch

    network = _read(path, part, torch.float32)
    inputs = _inputs(network, side, part, torch.float32)
    asked = _Plain(network if part == "unet" else network.decode)
    with torch.no_grad():
        converted = openvino.convert_model(asked, example_input=inputs)
    converted.reshape({node: list(given.shape) for node, given in zip(converted.inputs, inputs, strict=True)})
    hints = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(converted, "CPU", hints)
    arrays = [given.numpy() for given in inputs]
    return lambda: compiled(arrays)[0]


def _Plain(ask: Any) -> Any:  # noqa: N802 - a class that needs torch
    """A module that returns a single tensor, as converters expect."""
    import torch

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.owner = getattr(ask, "__self__", ask)

        def forward(self, *given: Any) -> Any:
            return ask(*given, return_dict=False)[0]

    return Plain().eval()


def _read(path: Path, part: str, dtype: Any) -> Any:
    import diffusers

    kind: Any = {"unet": diffusers.UNet2DConditionModel, "vae": diffusers.AutoencoderKL}[part]
    return kind.from_pretrained(path, subfolder=part, torch_dtype=dtype, local_files_only=True).eval()


WAYS: Mapping[str, Callable[[Path, int, str], Call]] = {
    "invoke": _ours,
    "invoke --compile": _compiled,
    "diffusers, float32": partial(_stock, "float32"),
    "diffusers, bfloat16": partial(_stock, "bfloat16"),
    "OpenVINO, bfloat16": partial(_openvino, "bf16"),
    "OpenVINO, float32": partial(_openvino, "f32"),
}


NEEDS_OPENVINO = ("invoke --compile", "OpenVINO, bfloat16", "OpenVINO, float32")


def main(path: str, side: str, part: str, way: str) -> None:
    """Answer until the input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr
    call = WAYS[way](Path(path), int(side), part)
    print(json.dumps({"type": "ready"}), file=answers, flush=True)
    for _ in sys.stdin:
        call()
        print(json.dumps({"type": "made"}), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
