"""The shipped model as the companions see it: its words and its UNet, which stay as they are."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from training.devices import autocast, device
from training.model import tokens_of

FOLDER = Path("invoke/pocket")


@dataclass(frozen=True)
class Base:
    folder: Path
    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    scale: float
    """The autoencoder's scaling_factor."""

    def tokens(self, captions: list[str]) -> Tensor:
        return tokens_of(self.tokenizer, captions)

    def words(self, tokens: Tensor) -> Tensor:
        """Embeddings (count, 77, width) that a UNet attends to."""
        with torch.no_grad(), autocast():
            words: Tensor = self.text_encoder(tokens.to(device()))[0]
        return words

    def unet(self) -> UNet2DConditionModel:
        """A frozen copy of the UNet."""
        unet = UNet2DConditionModel.from_pretrained(self.folder / "unet", torch_dtype=torch.float32)
        unet.requires_grad_(False)
        return unet.to(device())


def read_base(folder: Path) -> Base:
    text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    text_encoder.requires_grad_(False)
    return Base(
        folder,
        CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        text_encoder.to(device()).eval(),
        AutoencoderKL.load_config(folder / "vae")["scaling_factor"],
    )


def add_base_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, default=FOLDER, help="the model that this goes with")
    parser.add_argument("--save", type=Path, help="where the weights go when the training is over, in float16")
