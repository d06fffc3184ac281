"""The prior of Kandinsky 2.2: from a text to the embedding of a picture that shows it, by diffusers' own pipeline."""

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
"""diffusers' defaults: `-s` and `-C` are for the picture, not for what it is to show."""
NAME_ITS_PRIOR = "name the folder or hub id of its prior in its entry: !edit_model NAME prior …"

Embeddings = tuple[torch.Tensor, torch.Tensor]
"""1 × width each: to draw towards, and away from."""


@dataclass(frozen=True, eq=False)
class Prior:
    """Loaded."""

    pipeline: Any
    """KandinskyV22PriorPipeline."""
    _embeddings: LRUCache[Embeddings] = field(default_factory=lambda: LRUCache(64))

    def condition(self, request: Request) -> Conditioning:
        """What `request` is to show. With another seed it shows something else: the prior is a diffusion model as well.

        It draws from a generator of the picture's own seed, so that no picture depends on those before, and `-V`
        varies the picture's noise alone. What equal words with an equal seed show is remembered.
        """
        prompt, negative = literal_texts(request)
        guided = request.guidance_scale > 1
        key = prompt, negative if guided else "", request.seed
        towards, away = self._embeddings.get_or_compute(key, lambda: self._ask(*key))
        return Conditioning(self._encoded(prompt, towards), self._encoded(negative, away) if guided else None)

    def forget(self) -> None:
        """Forget the texts of earlier pictures."""
        self._embeddings.clear()

    def _encoded(self, text: str, embeds: torch.Tensor) -> Encoded:
        """`embeds`, and what of `text` went into them."""
        tokens = self.pipeline.tokenizer
        room = tokens.model_max_length - tokens.num_special_tokens_to_add()
        tower = TextEncoder(tokens, self.pipeline.text_encoder)
        read = tuple(tokenize([Fragment(text)], tower)[:room])
        return Encoded(embeds, None, cut_words(text, tokens, tokens.model_max_length), tokens=listed([read], tower))

    def _ask(self, prompt: str, negative: str, seed: int) -> Embeddings:
        made = self.pipeline(
            prompt,
            negative_prompt=negative or None,  # without one, away from what a black picture shows
            num_inference_steps=STEPS,
            guidance_scale=GUIDANCE,
            generator=torch.Generator("cpu").manual_seed(seed),
        )
        return made.image_embeds, made.negative_image_embeds


def read_prior(name: str, folder: ModelFolder, place: Placement) -> Prior:
    """The prior of the model called `name`, in `folder` alone or beside the decoder.

    Raises ModelError when there is none, and what the libraries raise.
    """
    diffusers: Any = import_module("diffusers")
    before = "prior_" if "prior_prior" in folder.kinds else ""
    if folder.kinds.get(f"{before}prior") != PRIOR["prior"]:
        raise ModelError(f"{name}: {folder.path} holds no prior of Kandinsky 2.2", hint=NAME_ITS_PRIOR)
    # of the prior itself, more is read than what its layers are called with
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
        image_processor=None,  # for pictures in the place of words
    )
    pipeline.set_progress_bar_config(disable=True)
    return Prior(pipeline)
