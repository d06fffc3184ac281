"""Textual inversion: a new word for something that the base model has not seen (Gal et al. 2022).

    python -m training.train_inversion --latents FILE --word "<balloon>" --like flower --out FOLDER --minutes 5

Only the new word's embeddings are trained; they begin as a known word's. [--resume] [--save FILE.safetensors]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file as save_tensors
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from training.base import add_base_options, read_base
from training.batches import Latents
from training.devices import autocast, device
from training.loop import learn
from training.noise import noise_error, noised
from training.run import Run, add_options
from training.saving import halved, save_file


def taught(tokenizer: CLIPTokenizer, text_encoder: CLIPTextModel, word: str, like: str, count: int) -> list[str]:
    """Add the word to both as several tokens (`<word>`, `<word>_1`, …), and train only these."""
    names = [word, *(f"{word}_{i}" for i in range(1, count))]
    known = int(tokenizer(like, add_special_tokens=False).input_ids[0])
    first = len(tokenizer)
    tokenizer.add_tokens(names)
    text_encoder.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    table = text_encoder.get_input_embeddings().weight
    with torch.no_grad():
        spread = 0.1 * table[:first].std()
        table[first:] = table[known] + spread * torch.randn_like(table[first:])
    table.requires_grad_(True)
    return names


def only_last(table: Tensor, count: int) -> None:
    """Zero the gradients of all rows except the last `count`."""
    table.register_hook(lambda gradient: torch.cat([torch.zeros_like(gradient[:-count]), gradient[-count:]]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latents", type=Path, required=True, help="of pictures with the thing in them")
    parser.add_argument("--word", default="<balloon>")
    parser.add_argument("--like", default="flower", help="the known word to begin with")
    parser.add_argument("--vectors", type=int, default=1, help="tokens that the word becomes")
    parser.add_argument("--batch", type=int, default=16)
    add_base_options(parser)
    add_options(parser, other_rate=4e-3)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    base = read_base(options.model)
    unet = base.unet()
    names = taught(base.tokenizer, base.text_encoder, options.word, options.like, options.vectors)
    run = Run("inversion", base.text_encoder, options)
    torch.manual_seed(options.seed + run.steps)
    source = Latents(options.latents, base.scale, options.seed + run.steps, dropped=0.0)

    def batch() -> tuple[Tensor, Tensor]:
        latents, captions = source.batch(options.batch)
        return latents, base.tokens([said.replace(options.word, " ".join(names)) for said in captions])

    def loss_of(text_encoder: CLIPTextModel, part: tuple[Tensor, ...]) -> Tensor:
        latents, tokens = part
        noisy, timesteps, noise = noised(latents)
        with autocast():
            guess = unet(noisy, timesteps, text_encoder(tokens.to(device()))[0]).sample
        return noise_error(guess, noise, timesteps)

    learn(run, base.text_encoder, batch, loss_of)
    if options.save:
        table = run.averaged(base.text_encoder).get_input_embeddings().weight
        learned = halved({options.word: table[-options.vectors :]})
        save_file(options.save, lambda folder: save_tensors(learned, folder / options.save.name))


if __name__ == "__main__":
    main()
