"""The prior of Kandinsky 2.2: turns a text into an image embedding, with diffusers' own pipeline."""

from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import torch

from invoke.engine.components.devices import Placement
from invoke.engine.components.lru_cache import LRUCache
from invoke.engine.components.reading import read_network, tokenizer
from invoke.engine.conditioning.embeddings import Conditioning, Encoded
from invoke.engine.conditioning.literal import cut_words, literal_texts
from invoke.engine.conditioning.weighting import TextEncoder, listed, tokenize
from invoke.errors import ModelError
from invoke.models.families import LIBRARIES, PRIOR
from invoke.models.folder import ModelFolder
from invoke.prompts import Fragment
from invoke.request import Request

STEPS, GUIDANCE = 25, 4.0
"""diffusers' defaults for the prior; `-s` and `-C` apply only to the decoder."""
NAME_ITS_PRIOR = "give the folder or hub id of its prior in its entry: !edit_model NAME prior …"

Embeddings = tuple[torch.Tensor, torch.Tensor]
"""Positive and negative image embeddings, 1 × width each."""


@dataclass(frozen=True, eq=False)
class Prior:
    """A loaded prior."""

    pipeline: Any
    """KandinskyV22PriorPipeline."""
    _embeddings: LRUCache[Embeddings] = field(default_factory=lambda: LRUCache(64))

    def condition(self, request: Request) -> Conditioning:
        """Embed the prompts of `request`. The result depends on the seed, since the prior is a diffusion model too.

        It uses its own generator with the picture's seed, so that no picture depends on earlier ones, and `-V` varies
        only the decoder's noise. Results are cached by prompts and seed.
        """
        prompt, negative = literal_texts(request)
        guided = request.guidance_scale > 1
        key = prompt, negative if guided else "", request.seed
        towards, away = self._embeddings.get_or_compute(key, lambda: self._ask(*key))
        return Conditioning(self._encoded(prompt, towards), self._encoded(negative, away) if guided else None)

    def forget(self) -> None:
        """Clear the cache of embeddings."""
        self._embeddings.clear()

    def _encoded(self, text: str, embeds: torch.Tensor) -> Encoded:
        """Wrap `embeds` with the tokens of `text` that went into them."""
        tokens = self.pipeline.tokenizer
        room = tokens.model_max_length - tokens.num_special_tokens_to_add()
        tower = TextEncoder(tokens, self.pipeline.text_encoder)
        read = tuple(tokenize([Fragment(text)], tower)[:room])
        return Encoded(embeds, None, cut_words(text, tokens, tokens.model_max_length), tokens=listed([read], tower))

    def _ask(self, prompt: str, negative: str, seed: int) -> Embeddings:
        made = self.pipeline(
            prompt,
            negative_prompt=negative or None,  # None: the pipeline uses the embedding of a black picture
            num_inference_steps=STEPS,
            guidance_scale=GUIDANCE,
            generator=torch.Generator("cpu").manual_seed(seed),
        )
        return made.image_embeds, made.negative_image_embeds


def read_prior(name: str, folder: ModelFolder, place: Placement) -> Prior:
    """Load the prior of the model called `name` from `folder`, which may also hold the decoder.

    Raises ModelError if there is none, and whatever the libraries raise.
    """
    diffusers: Any = import_module("diffusers")
    before = "prior_" if "prior_prior" in folder.kinds else ""
    if folder.kinds.get(f"{before}prior") != PRIOR["prior"]:
        raise ModelError(f"{name}: {folder.path} does not hold a Kandinsky 2.2 prior", hint=NAME_ITS_PRIOR)
    # the prior reads parameters outside of its layers' calls, which sequential offloading does not support
    prior_place = replace(place, offload="model") if place.offload in {"group", "sequential"} else place
    networks = {
        part: read_network(folder, before + part, kind, prior_place if part == "prior" else place)
        for part, kind in PRIOR.items()
        if kind in LIBRARIES
    }
    pipeline = diffusers.KandinskyV22PriorPipeline(
        **networks,
        tokenizer=tokenizer(folder.path, f"{before}tokenizer"),
        scheduler=diffusers.UnCLIPScheduler.from_pretrained(
            str(folder.path), subfolder=f"{before}scheduler", local_files_only=True
        ),
        image_processor=None,  # only for image prompts
    )
    pipeline.set_progress_bar_config(disable=True)
    return Prior(pipeline)
