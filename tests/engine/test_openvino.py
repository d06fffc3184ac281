"""`--compile` by OpenVINO: what is compiled, when it is used, and that a picture is drawn by one of the two.

The logic is tested without OpenVINO, with a conversion that only writes a file; the conversion where it is installed.
"""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from invoke.engine.components import openvino_networks
from invoke.engine.components.compiler_choice import BACKENDS, Backend, choose_compiler
from invoke.engine.components.compiling import Compiler, without_constants
from invoke.engine.components.openvino_networks import OpenVINO, Settings, Task
from invoke.engine.components.tensor_tree import tensors
from invoke.events import Finished, Pixels, RunInfo
from invoke.request import Request

CPU = torch.device("cpu")
ERROR = 0.012


def _unet() -> Any:
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(4, 8),
        layers_per_block=1,
        norm_num_groups=2,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=4,
        attention_head_dim=2,
    )
    return unet.eval().requires_grad_(False)


@torch.inference_mode()
def _call(unet: Any, side: int = 8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    sample, words = torch.randn(2, 4, side, side, generator=generator), torch.randn(2, 3, 4, generator=generator)
    output: torch.Tensor = unet(sample, torch.tensor(500.0), return_dict=False, encoder_hidden_states=words)[0]
    return output


class Converted:
    """Stands in for OpenVINO: converted networks return sevens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tasks: list[Path] = []
        self.failure: Exception | None = None

    def compiler(self) -> OpenVINO:
        return OpenVINO(self._convert, self._read, self.folder)

    def _convert(self, task: Task, compiler: OpenVINO) -> None:
        self.tasks.append(task.path)
        if self.failure is not None:
            raise self.failure
        task.path.write_bytes(b"converted")

    def _read(self, path: Path, settings: Settings) -> tuple[float, Callable[[Any], list[torch.Tensor]]]:
        assert path.read_bytes() == b"converted"
        return ERROR, lambda given: [torch.full_like(given[0], 7)]


@pytest.fixture
def converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Converted:
    monkeypatch.setattr(openvino_networks, "version", lambda name: "1.0")
    return Converted(tmp_path / "openvino")


def _picture(compiler: OpenVINO, unet: Any, calls: int = 2, side: int = 8) -> list[bool]:
    """Whether each call of a picture was answered with what was converted; then whatever is converted is ready."""
    compiler.begin_picture()
    found = [bool((_call(unet, side) == 7).all()) for _ in range(calls)]
    compiler.wait()
    return found


def test_a_picture_is_drawn_entirely_by_pytorch_or_by_openvino(converted: Converted) -> None:
    compiler, unet = converted.compiler(), _unet()
    compiler.compile(unet, CPU)
    assert _picture(compiler, unet) == [False, False]
    (begun,) = compiler.notes()
    assert "compiles the denoiser" in begun
    assert "a minute" in begun
    compiler.wait()
    assert not (_call(unet) == 7).any(), "it is ready, but this picture has begun"
    assert _picture(compiler, unet) == [True, True]
    assert compiler.notes() == ["--compile: the denoiser is computed by OpenVINO, within 1.2 % of float32"]
    assert _picture(compiler, unet, side=16) == [False, False], "another size"
    assert _picture(compiler, unet, side=16) == [True, True]
    assert _picture(compiler, unet) == [True, True]
    assert len(converted.tasks) == 2


def test_a_single_call_of_a_size_is_not_compiled(converted: Converted) -> None:
    compiler, unet = converted.compiler(), _unet()
    compiler.compile(unet, CPU)
    assert _picture(compiler, unet, calls=1) == [False]
    assert not converted.tasks


def test_the_next_program_uses_the_compiled_network(converted: Converted) -> None:
    for expected in (False, True):
        compiler, unet = converted.compiler(), _unet()
        compiler.compile(unet, CPU)
        assert _picture(compiler, unet) == [expected, expected]
    compiler, other = converted.compiler(), _unet()
    other.conv_in.weight.add_(0.001)
    compiler.compile(other, CPU)
    assert _picture(compiler, other) == [False, False], "other weights"


def test_an_unreadable_compiled_file_is_made_again(converted: Converted) -> None:
    compiler, unet = converted.compiler(), _unet()
    compiler.compile(unet, CPU)
    _picture(compiler, unet)
    converted.tasks[0].write_bytes(b"something else")
    assert _picture(compiler, unet) == [False, False]
    next_program, unet = converted.compiler(), _unet()
    next_program.compile(unet, CPU)
    assert _picture(next_program, unet) == [False, False]
    assert _picture(next_program, unet) == [True, True]


def test_a_failed_conversion_is_noted_once(converted: Converted) -> None:
    compiler, unet = converted.compiler(), _unet()
    compiler.compile(unet, CPU)
    converted.failure = RuntimeError("no such operation\nand more")
    assert [_picture(compiler, unet) for _ in range(3)] == [[False, False]] * 3
    assert compiler.notes()[1:] == [
        "--compile: OpenVINO could not compile the denoiser (no such operation); PyTorch draws it"
    ]
    assert len(converted.tasks) == 1


def test_a_conversion_ended_by_unloading_is_not_a_failure(converted: Converted) -> None:
    compiler, unet = converted.compiler(), _unet()
    compiler.compile(unet, CPU)
    converted.failure = RuntimeError("its process ended")
    _picture(compiler, unet)
    compiler.close()
    assert _picture(compiler, unet) == [False, False]
    assert not any("could not" in note for note in compiler.notes())


def test_loras_get_compiled_networks_of_their_own(converted: Converted) -> None:
    compiler, unet = converted.compiler(), _unet()
    compiler.compile(unet, CPU)
    _picture(compiler, unet)
    end = without_constants(unet, "a LoRA:0.5")
    assert _picture(compiler, unet) == [False, False]
    assert _picture(compiler, unet) == [True, True]
    end()
    assert _picture(compiler, unet) == [True, True]
    assert len(set(converted.tasks)) == 2


def _hooked(unet: Any) -> Callable[[], None]:
    handle = unet.up_blocks[-2].register_forward_hook(lambda block, given, output: None)  # `--reuse`
    return handle.remove  # type: ignore[no-any-return]


def _seamless(unet: Any) -> Callable[[], None]:
    unet.conv_in._conv_forward = unet.conv_in._conv_forward
    return lambda: delattr(unet.conv_in, "_conv_forward")


def _freeu(unet: Any) -> Callable[[], None]:
    unet.enable_freeu(0.9, 0.2, 1.2, 1.4)
    return unet.disable_freeu  # type: ignore[no-any-return]


def _attending(unet: Any) -> Callable[[], None]:
    from diffusers.models.attention_processor import AttnProcessor

    before = unet.attn_processors
    unet.set_attn_processor(AttnProcessor())
    return lambda: unet.set_attn_processor(before)


@pytest.mark.parametrize("change", [_hooked, _seamless, _freeu, _attending])
def test_a_changed_network_is_computed_by_pytorch(converted: Converted, change: Any) -> None:
    compiler, unet = converted.compiler(), _unet()
    compiler.compile(unet, CPU)
    _picture(compiler, unet)
    end = change(unet)
    assert _picture(compiler, unet) == [False, False]
    end()
    assert _picture(compiler, unet) == [True, True]


def test_metadata_names_what_computed_the_picture(converted: Converted, a_request: Callable[..., Request]) -> None:
    compiler, unet = converted.compiler(), _unet()
    compiler.compile(unet, CPU)
    finished = Finished(a_request(), Pixels(1, 1, b"123"), RunInfo("txt2img", 2, 1.0, "cpu", "bfloat16"))
    _picture(compiler, unet)
    assert compiler.recorded(finished) == finished
    _picture(compiler, unet)
    recorded = compiler.recorded(finished)
    assert isinstance(recorded, Finished)
    assert recorded.facts.dtype == "bfloat16 by OpenVINO (denoiser within 1.2 %)"
    assert recorded.facts.versions["openvino"] == "1.0"


def test_without_disk_or_memory_pytorch_draws(converted: Converted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_networks, "ROOM", 1e12)
    compiler, unet = converted.compiler(), _unet()
    compiler.compile(unet, CPU)
    assert [_picture(compiler, unet) for _ in range(2)] == [[False, False]] * 2
    assert "free memory" in compiler.notes()[0]


def test_the_least_recently_used_file_is_deleted_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setattr(openvino_networks, "KEPT_ON_DISK", 25)
    for age, name in enumerate(("new.bin", "older.bin", "oldest.bin")):
        (tmp_path / name).write_bytes(b"0123456789")
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    (tmp_path / ".lock").touch()
    openvino_networks.prune(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"new.bin", "older.bin", ".lock"}


@pytest.mark.parametrize(
    ("device", "present", "chosen"),
    [
        ("cpu", {"OpenVINO", "torch.compile with a C++ compiler"}, "OpenVINO"),
        ("cpu", {"torch.compile with a C++ compiler"}, "torch.compile with a C++ compiler"),
        ("cuda", {"OpenVINO", "torch.compile"}, "torch.compile"),
    ],
)
def test_the_first_available_backend_compiles(device: str, present: set[str], chosen: str) -> None:
    made: list[str] = []

    def offered(backend: Backend) -> Backend:
        def make() -> Compiler:
            made.append(backend.name)
            return Compiler()

        return Backend(backend.name, backend.devices, lambda: backend.name in present, make)

    choose_compiler(torch.device(device), [offered(backend) for backend in BACKENDS])
    assert made == [chosen]


def _controlnet() -> Any:
    from diffusers import ControlNetModel

    controlnet = ControlNetModel.from_unet(_unet()).eval().requires_grad_(False)
    for block in (*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block):
        torch.nn.init.normal_(block.weight)
    return controlnet


def _vae() -> Any:
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    vae = AutoencoderKL(block_out_channels=(4,), norm_num_groups=2, latent_channels=4)
    return vae.eval().requires_grad_(False)


@torch.inference_mode()
def _answers(network: Any) -> Iterator[torch.Tensor]:
    match type(network).__name__:
        case "UNet2DConditionModel":
            yield _call(network)
        case "ControlNetModel":
            shown = {"controlnet_cond": torch.full((2, 3, 64, 64), 0.3), "encoder_hidden_states": torch.ones(2, 3, 4)}
            answer = network(
                torch.ones(2, 4, 8, 8), torch.tensor(3), return_dict=False, conditioning_scale=0.7, **shown
            )
            yield from tensors(answer)
        case "AutoencoderKL":
            yield network.decode(torch.ones(1, 4, 8, 8), return_dict=False)[0]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed (extra [openvino])")
@pytest.mark.parametrize("make", [_unet, _controlnet, _vae])
def test_openvino_computes_the_same_as_the_network(make: Callable[[], Any], tmp_path: Path) -> None:
    from invoke.engine.components.openvino_export import export

    network = make()
    expected = list(_answers(network))
    compiler = OpenVINO(lambda task, _: export(task) and None, folder=tmp_path / "openvino")
    compiler.compile(network, CPU)
    for _ in range(3):
        compiler.begin_picture()
        outputs = list(_answers(network))
        compiler.wait()
    assert any("computed by OpenVINO" in note for note in compiler.notes())
    for output, exact in zip(outputs, expected, strict=True):
        assert (output.shape, output.dtype) == (exact.shape, exact.dtype)
        torch.testing.assert_close(output, exact, rtol=1e-3, atol=1e-4)
    (file,) = (tmp_path / "openvino").glob("*.bin")
    data = bytearray(file.read_bytes())
    data[-100] ^= 1
    file.write_bytes(data)
    with pytest.raises(openvino_networks.InvalidFileError, match="have changed"):
        openvino_networks.read_network(file, {})
