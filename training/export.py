"""Export trained checkpoints to the shipped folder.

python -m training.export --runs FOLDER --out invoke/pocket
python -m training.export --runs FOLDER --vae-only FOLDER    the autoencoder alone, scaled, for latents.py
python -m training.export --runs FOLDER --decoder-into invoke/pocket    the decoder alone, of --decoder-only
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from training.dataset import read_shards
from training.devices import device, load_checkpoint
from training.latents import encoded
from training.model import new_text_encoder, new_unet, write_folder
from training.saving import save_half
from training.train_vae import new_vae
from training.words import new_tokenizer


def measured_scale(vae: AutoencoderKL, data: Path) -> float:
    """The factor that scales the latents to a standard deviation of 1."""
    _, pixels, _ = read_shards(data)[0]
    return round(float(1 / encoded(vae, torch.from_numpy(np.array(pixels[:200]))).float().std()), 5)


def replace_decoder(file: Path, folder: Path) -> None:
    """Put the decoder of a checkpoint into a shipped folder, whose encoder must be the one it was trained with."""
    vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float16)
    trained = {name: weight.half().cpu() for name, weight in load_checkpoint(file)["average"].items()}
    changed = {name for name, weight in vae.state_dict().items() if not torch.equal(weight, trained[name])}
    if strange := sorted(name for name in changed if not name.startswith(("decoder.", "post_quant_conv."))):
        raise SystemExit(f"{file} has another encoder than {folder}: {strange[0]} differs")
    vae.load_state_dict(trained)
    save_half(vae, folder / "vae")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True, help="where vae.pt and diffusion.pt are")
    parser.add_argument("--data", type=Path, help="shards, to measure the latents' scale (with --vae-only)")
    parser.add_argument("--vae-only", type=Path)
    parser.add_argument("--vae", type=Path, help="the exported autoencoder to ship")
    parser.add_argument("--decoder-into", type=Path, help="a shipped folder that gets this decoder")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.decoder_into:
        replace_decoder(options.runs / "vae.pt", options.decoder_into)
        return
    if options.vae_only:
        vae = new_vae()
        vae.load_state_dict(load_checkpoint(options.runs / "vae.pt")["average"])
        vae.to(device()).eval().register_to_config(scaling_factor=measured_scale(vae, options.data))
        vae.save_pretrained(options.vae_only)
        print("scaling_factor", vae.config.scaling_factor)
        return
    tokenizer = new_tokenizer()
    model = torch.nn.ModuleDict({"text": new_text_encoder(tokenizer), "unet": new_unet()})
    model.load_state_dict(load_checkpoint(options.runs / "diffusion.pt")["average"])
    vae = AutoencoderKL.from_pretrained(options.vae, torch_dtype=torch.float32)
    write_folder(options.out, vae=vae, text_encoder=model["text"], tokenizer=tokenizer, unet=model["unet"])


if __name__ == "__main__":
    main()
