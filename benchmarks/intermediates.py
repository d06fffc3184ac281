"""What keeping every step costs, files and all: the same pictures with and without, in turns, in one sitting.

For the built-in model, and for the networks of Stable Diffusion 1.5 with random weights (2 GB, in a temporary folder).

python -m benchmarks.intermediates
"""

import json
import os
import shutil
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from benchmarks.pictures import family
from invoke.engine.remote import RemoteEngine
from invoke.models import read_registry
from invoke.session import Session

UNET = {"cross_attention_dim": 768, "attention_head_dim": 8, "block_out_channels": (320, 640, 1280, 1280)}
VAE = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "latent_channels": 4}
POCKET = Path(str(files("invoke") / "pocket"))


def main() -> None:
    """Print both ratios."""
    with TemporaryDirectory() as folder:
        print("pocket, 256×256, 20 steps", compared(POCKET, "a fire, photograph -W256 -H256 -s20 -C7.5", 15))
        model = Path(folder) / "random"
        save_random(model)
        print("Stable Diffusion 1.5, 256×256, 4 steps, no guidance", compared(model, "a fire -W256 -H256 -s4 -C1", 3))


def compared(model: Path, line: str, turns: int) -> str:
    """Seconds, and those of the processor, for `line` without and with every step kept."""
    kept: dict[int, list[tuple[float, float]]] = {0: [], 1: []}
    models = read_registry()
    with TemporaryDirectory() as outdir, closing(RemoteEngine(models)) as engine:
        session = Session(engine, models, launch={"model": str(model), "outdir": outdir})
        for turn in range(-1, turns):
            for every, seconds in kept.items():
                began, used = monotonic(), _processor_seconds()
                for _ in session.submit(f"{line} -S{turn + 1} --save_intermediates {every}"):
                    pass
                if turn >= 0:  # the first of each loads the model and fits the decoder
                    seconds.append((monotonic() - began, _processor_seconds() - used))
    # what else the machine does only adds to it
    (before, used_before), (after, used_after) = (map(min, zip(*kept[every], strict=True)) for every in (0, 1))
    return (
        f"{before:.2f} s → {after:.2f} s with every step kept ({after / before - 1:+.1%}); "
        f"of the processor, in both processes, {used_before:.2f} s → {used_after:.2f} s "
        f"({used_after / used_before - 1:+.1%}); the fastest of {turns}"
    )


def _processor_seconds() -> float:
    """What the threads of this process and of its worker have used so far."""
    threads = [thread for pid in family(os.getpid()) for thread in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((thread / "schedstat").read_text(encoding="utf-8").split()[0]) for thread in threads) / 1e9


def save_random(folder: Path) -> None:
    """A model of Stable Diffusion 1.5's shape, but for its text encoder, in diffusers layout."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    words = json.loads((POCKET / "text_encoder" / "config.json").read_text(encoding="utf-8"))
    text = CLIPTextConfig(**words | {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 768})
    with torch.device("meta"):  # no time is spent on weights that are thrown away
        blocks = {
            "down_block_types": ("DownEncoderBlock2D",) * 4,
            "up_block_types": ("UpDecoderBlock2D",) * 4,
        }
        networks = {
            "unet": UNet2DConditionModel(sample_size=64, **UNET),
            "vae": AutoencoderKL(**VAE, **blocks),
            "text_encoder": CLIPTextModel(text),
        }
    for name, network in networks.items():
        network.half().to_empty(device="cpu")
        for weight in network.parameters():
            weight.data.uniform_(-0.02, 0.02)
        network.save_pretrained(folder / name)
    for name in ("tokenizer", "scheduler"):
        shutil.copytree(POCKET / name, folder / name)
    shutil.copyfile(POCKET / "model_index.json", folder / "model_index.json")


if __name__ == "__main__":
    main()
