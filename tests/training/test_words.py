"""The tokenizer: whole words of the captions, and letters for everything else."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.captions import caption, vocabulary
from training.scenes import random_scene
from training.words import LENGTH, new_tokenizer, split

TOKENIZER = new_tokenizer()


@pytest.mark.parametrize("word", sorted(vocabulary()))
def test_every_word_of_the_captions_is_one_token(word: str) -> None:
    assert split(TOKENIZER, word) == [f"{word}</w>"]


def test_captions_hold_no_unknown_token() -> None:
    rng = Random(1)
    for _ in range(300):
        ids = TOKENIZER(caption(random_scene(rng), rng)).input_ids
        assert TOKENIZER.eos_token_id not in ids[:-1]
        assert len(ids) <= LENGTH


@settings(max_examples=60)
@given(st.text(max_size=120))
def test_any_text_has_tokens(text: str) -> None:
    ids = TOKENIZER(text, truncation=True, max_length=LENGTH).input_ids
    assert 2 <= len(ids) <= LENGTH
    assert all(0 <= number < len(TOKENIZER) for number in ids)


def test_unknown_words_fall_apart_into_letters() -> None:
    assert split(TOKENIZER, "xyzzy") == ["x", "y", "z", "z", "y</w>"]
