"""Prompts, their negative parts, and words that do not fit."""

import warnings
from collections.abc import Callable
from pathlib import Path

import diffusers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke.engine.conditioning import encode, split_negative, texts
from invoke.engine.diffusion import DiffusionEngine
from invoke.events import Noted
from invoke.request import Request
from tests import tiny

ARequest = Callable[..., Request]


@pytest.mark.parametrize(
    ("prompt", "positive", "negative"),
    [
        ("a cat", "a cat", ""),
        ("a cat [dog]", "a cat", "dog"),
        ("[dog] a cat [blurry, grey] on a mat", "a cat on a mat", "dog blurry, grey"),
        ("a [b [c] d", "a d", "b [c"),
        ("a [b", "a [b", ""),
        ("a ] b [", "a ] b [", ""),
        ("a [] b", "a b", ""),
        ("[all of it]", "", "all of it"),
        ("two  blanks", "two  blanks", ""),
    ],
)
def test_bracketed_parts_are_negative(prompt: str, positive: str, negative: str) -> None:
    assert split_negative(prompt) == (positive, negative)


@given(st.text(alphabet="ab [].,"))
def test_splitting_ends_with_nothing_left_to_split(prompt: str) -> None:
    positive, _ = split_negative(prompt)
    assert "[" not in prompt or "]" not in prompt or len(positive) <= len(prompt)
    assert positive.count("a") <= prompt.count("a")


def test_both_kinds_of_negative_prompt_are_joined(a_request: ARequest) -> None:
    assert texts(a_request(prompt="a cat [dog]", negative_prompt="blurry")) == ("a cat", "blurry dog")


@pytest.mark.parametrize("text", ["a fire and a cat", "", "the " * 200, "naïve café 火"])
def test_embeddings_are_those_of_the_stock_pipeline(text: str) -> None:
    parts = tiny.components()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stock = diffusers.StableDiffusionPipeline(
            **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )
    theirs, _ = stock.encode_prompt(text, "cpu", 1, do_classifier_free_guidance=False)
    assert encode(text, parts["tokenizer"], parts["text_encoder"]).embeds.equal(theirs)


def test_words_that_do_not_fit_are_named(engine: DiffusionEngine, a_request: ARequest) -> None:
    long = "the " * 75 + "cat and fire"
    told = [event.text for event in engine.generate(a_request(prompt=long, steps=1)) if isinstance(event, Noted)]
    assert told == ["the prompt is longer than this model reads; not read: cat and fire"]
    told = [event for event in engine.generate(a_request(prompt="the " * 75, steps=1)) if isinstance(event, Noted)]
    assert not told


def test_the_negative_prompt_changes_the_picture_only_under_guidance(
    engine: DiffusionEngine, a_request: ARequest
) -> None:
    def made(**changes: object) -> bytes:
        *_, last = engine.generate(a_request(**changes))
        return last.image.data  # type: ignore[union-attr]

    assert made(prompt="a fire [cat]") == made(negative_prompt="cat") != made()
    assert made(negative_prompt="cat", guidance_scale=1.0) == made(guidance_scale=1.0)


def test_the_same_text_is_encoded_once(a_request: ARequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from invoke.engine import known
    from invoke.models import Registry

    seen = []
    monkeypatch.setattr(known, "encode", lambda text, *parts: seen.append(text) or encode(text, *parts))
    engine = DiffusionEngine(Registry({}))
    for seed in (1, 2, 3):
        list(engine.generate(a_request(seed=seed, steps=1, negative_prompt="cat")))
    assert seen == ["a fire", "cat"]
