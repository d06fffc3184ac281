"""Lines drawn on the pretend device and on the CPU.

`drawn` tells of each what it failed with, or the largest difference between two bytes of the two pictures.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import diffusers
import numpy as np
import pytest
import torch
import transformers
from diffusers.hooks import group_offloading
from PIL import Image
from safetensors.torch import save_file

from invoke.engine import diffusion_engine
from invoke.engine.components.devices import Placement
from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.events import Finished
from invoke.models import read_registry
from invoke.options import EngineOptions
from invoke.session import Session
from tests import tiny, tiny_clipseg, tiny_control, tiny_faces, tiny_kandinsky, tiny_transformers, tiny_upscalers
from tests.drawn_faces import portrait
from tests.engine.pretend_device import register
from tests.lora_makings import LoraCase, write
from tests.tiny_xl import xl_components, xl_index

PICTURES = Path(__file__).parents[2] / "test-pictures"
DRAWING, HOLED = PICTURES / "fire-drawing.png", PICTURES / "photo-with-hole.png"
FROM = f"-I {DRAWING} -W 64 -H 64"
SAMPLERS = ("ddim", "plms", "k_lms", "k_euler", "k_euler_a", "k_heun", "k_dpm_2", "k_dpm_2_a", "k_dpmpp_2", "unipc")


def lines(models: Mapping[str, Path]) -> list[str]:
    """Every kind of line that is drawn, small."""
    return [
        *(f"a fire -A {name}{f' {FROM} -f 0.7' if number % 2 else ''}" for number, name in enumerate(SAMPLERS)),
        "a fire -A lcm -C 1",
        "a fire -n 2 --batch_size 2",
        f"a fire -n 2 --batch_size 2 {FROM} -f 0.5",
        "a fire.swap(house)",
        "a fire++ in a forest [night]",
        '("a fire", "a cat").blend(.7,.3)',
        '("a fire", "a cat").and()',
        "a fire -V 5:0.3 --perlin 0.2",
        f"a fire -v 0.2 -n 1 {FROM}",
        "a fire --hires_fix -W 128 -H 128",
        "a fire --seamless",
        "a fire --h_symmetry_time_pct 0.5 --threshold 2",
        f"a fire --init_color {DRAWING}",
        f"a fire {FROM} -c right 64",
        f"a fire {FROM} -f 0",
        f"a fire {FROM} -f 1",
        "a fire --reuse 2",
        "a fire --cfg_interval 0:0.7",
        "a fire --cfg_rescale 0.7 --clip_skip 1",
        "a fire --freeu",
        "a fire --pag 3",
        "a fire -A tcd -C 1",
        f"a fire {FROM} --strength_map {DRAWING}",
        f"a fire -m {models['kandinsky']} -A ddim {FROM} --strength_map {DRAWING}",
        "a fire --save_intermediates 1 --intermediates_decoder vae",
        f"a fire {FROM} -f 0.5 |> a river -f 0.6",
        f"a fire {FROM} -embiggen 2",
        f"a fire -I {HOLED} -W 64 -H 64 -f 0.6",
        f"a fire -I {HOLED} -W 64 -H 64 -r 0.5 --infill noise",
        f"a fire -I {HOLED} -W 64 -H 64 -m {models['nine']}",
        f"a fire -m {models['nine']}",
        f"a fire {FROM} -tm flame",
        f"a fire --control {models['net']} {DRAWING} 0.8",
        f"a fire {FROM} --control {models['net']} auto:canny",
        f"a fire --control {models['net']} {DRAWING} 0.8 0:0.5",
        f"a fire --control {models['net']} {DRAWING} -n 2 --batch_size 2",
        "a fire withLora(wood,0.5)",
        "a fire after the LoRA",
        "a <thing> on a hill",
        f"a fire -m {models['xl']}",
        f"a fire -m {models['xl']} {FROM} -f 0.6",
        f"a fire -m {models['kandinsky']} -A ddim",
        f"a fire -m {models['kandinsky']} -A ddim {FROM} -f 0.6",
        "a fire -U 2",
        "a fire -U 4",
        "a fire -U 4 --upscaler esrgan",
        f"a man -I {models['portrait']} -f 0 -G 0.8",
        *(f"a fire{more} -m grouped" for more in ("", f" {FROM}", " --reuse 2", " withLora(wood,0.5)")),
        f"a fire -m grouped --control {models['net']} {DRAWING} 0.8",
        f"a fire -m sd3 {FROM} -f 0.6",
    ]


def prepare(folder: Path) -> dict[str, Path]:
    """Tiny models in `folder`, and the list that names some of them."""
    parts = tiny.components()
    found = {
        "tiny": tiny.save_folder(folder / "tiny", parts),
        "nine": tiny.save_folder(folder / "nine", tiny.components(channels=9)),
        "xl": tiny.save_folder(folder / "xl", xl_components(), xl_index()),
        "net": tiny_control.save_controlnet(folder / "net", tiny_control.controlnet(parts["unet"])),
        "kandinsky": tiny_kandinsky.save(folder / "kandinsky"),
        "portrait": folder / "portrait.png",
        "clipseg": tiny_clipseg.save_folder(folder / "clipseg"),
    }
    Image.fromarray(portrait(320, 256, (120, 130, 80, 5))).save(folder / "portrait.png")
    tiny_transformers.sd3().save_pretrained(folder / "sd3")
    tiny_faces.save_gfpgan(folder / "GFPGANv1.4.safetensors")
    for name, pipeline in (("x2", tiny_upscalers.latent_upscaler()), ("x4", tiny_upscalers.super_resolution())):
        tiny_upscalers.save(folder / name, pipeline)
    tiny_upscalers.save_esrgan(folder / "esrgan.safetensors")
    write(folder / "wood.safetensors", LoraCase(), parts)
    vectors = torch.randn(2, 32, generator=torch.Generator().manual_seed(1))
    save_file({"emb_params": vectors}, folder / "thing.safetensors")
    rows = [
        f"upscaler-x2: {{weights: {folder}/x2, kind: upscaler, family: auto}}",
        f"upscaler-x4: {{weights: {folder}/x4, kind: upscaler, family: auto}}",
        f"esrgan: {{weights: {folder}/esrgan.safetensors, kind: upscaler}}",
        f"clipseg: {{weights: {found['clipseg']}, kind: text-mask}}",
        f"grouped: {{weights: {found['tiny']}, offload: group}}",
        f"sd3: {{weights: {folder}/sd3, offload: group}}",
        f"wood: {{weights: {folder}/wood.safetensors, kind: lora}}",
        f"gfpgan: {{weights: {folder}/GFPGANv1.4.safetensors, kind: face}}",
        f"thing: {{weights: {folder}/thing.safetensors, kind: embedding, triggers: [<thing>]}}",
    ]
    (folder / "models.yaml").write_text("\n".join(rows), encoding="utf-8")
    return found


def draw(session: Session, line: str) -> list[np.ndarray]:
    """The pictures of `line`."""
    with closing(session.submit(line)) as events:
        return [
            np.frombuffer(event.image.data, np.uint8).astype(int) for event in events if isinstance(event, Finished)
        ]


def drawn(folder: Path) -> Iterator[dict[str, str | int]]:
    """Draw every line twice."""
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    tiny_faces.narrow_gfpgan(pytest.MonkeyPatch())
    models = prepare(folder)
    asked = lines(models)
    on_cpu = _session(torch.device("cpu"), folder, models["tiny"])
    wanted = [draw(on_cpu, line) for line in asked]
    on_device = _session(register(), folder, models["tiny"])
    # a wrapper cannot become the data of a plain tensor: both are swapped, as diffusers does with torchao's
    group_offloading._is_torchao_tensor = lambda tensor: True
    group_offloading._swap_torchao_tensor = _swap
    for line, theirs in zip(asked, wanted, strict=True):
        try:
            ours = draw(on_device, line)
        except Exception as error:
            yield {"line": line, "error": f"{type(error).__name__}: {error}"[:400]}
        else:
            apart = [np.abs(a - b) for a, b in zip(ours, theirs, strict=True)]
            yield {"line": line, "apart": int(max(difference.max() for difference in apart))}


def _swap(tensor: torch.Tensor, moved: torch.Tensor) -> None:
    """Replace the data of `tensor` by `moved`, on another device."""
    is_weight = isinstance(tensor, torch.nn.Parameter)
    torch.utils.swap_tensors(tensor, torch.nn.Parameter(moved, requires_grad=False) if is_weight else moved)


def _session(device: torch.device, folder: Path, model: Path) -> Session:
    registry = read_registry(folder / "models.yaml")
    with patch.object(diffusion_engine, "choose_placement", lambda options: Placement(device, torch.float32)):
        engine = DiffusionEngine(registry, EngineOptions(offline=True))
    launch = {"model": str(model), "outdir": str(folder / f"out-{device.type}"), "steps": 2, "seed": 3}
    return Session(engine, registry, launch=launch | {"width": 64, "height": 64})
