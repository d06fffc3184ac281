"""Prompts become embeddings."""

import re
from dataclasses import dataclass
from typing import Any

import torch

from invoke.request import Request

_BRACKETED = re.compile(r"\[(.*?)\]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Encoded:
    """One text for the denoiser."""

    embeds: torch.Tensor
    """1 × tokens × width."""
    cut: str
    """The words that the text encoder had no room for."""


@dataclass(frozen=True, slots=True)
class Conditioning:
    """What a picture is drawn towards, and away from."""

    prompt: Encoded
    negative: Encoded | None
    """None when guidance is off: the denoiser is then asked once instead of twice."""

    @property
    def cut(self) -> str:
        return ", ".join(text.cut for text in (self.prompt, self.negative) if text and text.cut)


def split_negative(prompt: str) -> tuple[str, str]:
    """`a cat [dog] on a mat [blurry]` → `a cat on a mat`, `dog blurry`. Brackets do not nest; a lone one is text."""
    negative = " ".join(part.strip() for part in _BRACKETED.findall(prompt))
    kept = _BRACKETED.sub(" ", prompt)
    return (" ".join(kept.split()), negative) if negative or kept != prompt else (prompt, "")


def texts(request: Request) -> tuple[str, str]:
    """The positive and the negative prompt of `request`."""
    prompt, bracketed = split_negative(request.prompt)
    return prompt, " ".join(text for text in (request.negative_prompt, bracketed) if text)


@torch.no_grad()
def encode(text: str, tokenizer: Any, text_encoder: Any) -> Encoded:
    """`text` as CLIP's last hidden states, as Stable Diffusion 1 and 2 want it: cut or padded to the model's length."""
    length = tokenizer.model_max_length
    tokens = tokenizer(text, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    mask = None
    if getattr(text_encoder.config, "use_attention_mask", False):
        mask = tokens.attention_mask.to(text_encoder.device)
    embeds = text_encoder(tokens.input_ids.to(text_encoder.device), attention_mask=mask)[0]
    return Encoded(embeds, _cut(text, tokenizer, length))


def _cut(text: str, tokenizer: Any, length: int) -> str:
    """What of `text` lies beyond the first `length` tokens, start and end included."""
    ids = tokenizer(text, truncation=False, add_special_tokens=False, verbose=False).input_ids
    return str(tokenizer.decode(ids[length - 2 :])).strip()
