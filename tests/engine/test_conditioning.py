"""From texts to embeddings: weights, long texts and blends, compared with Compel and the stock pipelines."""

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invoke.engine.adapters.textual_inversions import LearnedWords
from invoke.engine.conditioning.embeddings import Encoded, encode, same_length
from invoke.engine.conditioning.weighting import TextEncoder
from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.events import Note, Previews
from invoke.models.registry import Registry
from invoke.request import Request
from tests import tiny
from tests.engine.making import save, scene
from tests.making import ARequest
from tests.studio import Studio
from tests.tiny_xl import xl_components

LONG = "a fire and the cat, " * 30


@cache
def parts() -> dict[str, Any]:
    return tiny.components()


@cache
def towers() -> tuple[TextEncoder, ...]:
    return (TextEncoder(parts()["tokenizer"], parts()["text_encoder"]),)


@cache
def xl_towers() -> tuple[TextEncoder, ...]:
    xl = xl_components()
    return (
        TextEncoder(xl["tokenizer"], xl["text_encoder"], "penultimate"),
        TextEncoder(xl["tokenizer_2"], xl["text_encoder_2"], "penultimate"),
    )


def read(text: str) -> torch.Tensor:
    return encode(text, towers()).embeds


# the stock pipelines, and Compel


@pytest.mark.parametrize("text", ["a fire and a cat", "", "naïve café 火", "(a) (fire), and a cat"])
def test_a_text_without_weights_matches_the_pipeline(text: str) -> None:
    theirs, _ = stock("StableDiffusionPipeline", parts()).encode_prompt(
        text.replace("(", "").replace(")", ""), "cpu", 1, do_classifier_free_guidance=False
    )
    assert read(text).equal(theirs)


def test_a_text_encoder_with_attention_mask_matches_the_pipeline() -> None:
    version_2 = tiny.components()
    version_2["text_encoder"].config.use_attention_mask = True
    theirs, _ = stock("StableDiffusionPipeline", version_2).encode_prompt("a cat", "cpu", 1, False)
    ours = encode("a cat", (TextEncoder(version_2["tokenizer"], version_2["text_encoder"]),)).embeds
    assert ours.equal(theirs)
    assert not ours.equal(read("a cat"))


def test_text_encoders_of_xl_match_the_pipeline() -> None:
    pipeline = stock("StableDiffusionXLPipeline", xl_components(), add_watermarker=False)
    theirs, _, pooled, _ = pipeline.encode_prompt("a fire", device="cpu", do_classifier_free_guidance=False)
    ours = encode("a fire", xl_towers())
    assert ours.embeds.equal(theirs)
    assert ours.pooled is not None
    assert ours.pooled.equal(pooled)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("a cat++ and the fire", (-0.38718, 0.67713, 0.50122, 0.821005)),
        ("a (cat)1.3 and-- the (fire)0.4", (-0.38718, 0.73718, 0.53241, 0.814341)),
        ("((cat)++ fire)0.7 and", (0.80491, -0.19289, 0.43323, 0.818747)),
        ("(cat)0 and fire", (0.21852, -0.31215, 0.36167, 0.827250)),
        ('("the cat","fire++").blend(.7,.3)', (0.39686, 0.43941, 0.53458, 0.815806)),
        ('("the cat","fire").blend(1,-.4,no_normalize)', (0.29820, 0.85209, 0.36278, 0.503658)),
        ('("the cat","fire").and(1,.5)', (0.42379, 0.74378, 0.48435, 0.819116)),
    ],
)
def test_weights_match_compel(text: str, numbers: tuple[float, ...]) -> None:
    """Made with Compel 2.5.1, `Compel(tokenizer, text_encoder, truncate_long_prompts=False)(text)`, on `tests.tiny`."""
    ours = read(text)
    assert (*(float(ours[place]) for place in ((0, 1, 0), (0, 2, 5), (0, -1, 9))), float(ours.abs().mean())) == (
        pytest.approx(numbers, abs=2e-5)
    )


# laws


@settings(max_examples=25)
@given(st.lists(st.sampled_from(["cat", "fire", "the", "and", "x,"]), min_size=1, max_size=90), st.data())
def test_weights_of_1_change_nothing(names: list[str], data: st.DataObject) -> None:
    wrapped = [f"({name})1" if data.draw(st.booleans()) else name for name in names]
    assert read(" ".join(wrapped)).equal(read(" ".join(names)))


def test_weights_move_away_from_or_towards_the_empty_text() -> None:
    """More weight moves away from the empty text, less weight towards the text without the words."""

    def apart(one: str, other: str) -> float:
        return float((read(one) - read(other)).norm())

    upward = [apart(f"the (fire){weight}", "") for weight in (1, 1.2, 1.5, 2)]
    assert upward == sorted(upward)
    assert upward[0] < upward[-1]
    downward = [apart(f"the (fire){weight}", "the fire") for weight in (1, 0.9, 0.5, 0.1, 0)]
    assert downward[0] == 0
    assert downward == sorted(downward)


@pytest.mark.parametrize("text", ["a fire", "a (fire)1.4 and (cat)0.6", LONG])
def test_a_blend_of_one_text_equals_that_text(text: str) -> None:
    for towers_ in (towers(), xl_towers()):
        alone, blended = encode(text, towers_), encode(f'("{text}").blend(3)', towers_)
        assert blended.embeds.equal(alone.embeds)
        assert pooled(blended).equal(pooled(alone))
        assert encode(f'("{text}").and()', towers_).embeds.equal(alone.embeds)


def test_a_blend_lies_between_its_texts() -> None:
    one, other = encode("a fire", xl_towers()), encode("the cat", xl_towers())
    blend = encode('("a fire", "the cat").blend(1, 3)', xl_towers())
    assert torch.allclose(blend.embeds, one.embeds / 4 + other.embeds * 3 / 4, atol=1e-6)
    assert torch.allclose(pooled(blend), pooled(one) / 4 + pooled(other) * 3 / 4, atol=1e-6)
    assert encode("a fire:1 the cat:3", xl_towers()).embeds.equal(blend.embeds)
    taken_away = encode('("a fire", "the cat").blend(1, -1, no_normalize)', xl_towers())
    assert torch.allclose(taken_away.embeds, one.embeds - other.embeds, atol=1e-6)


def test_a_blend_does_not_depend_on_the_order_of_its_texts() -> None:
    one, other = read('("a fire", "the cat").blend(1, 3)'), read('("the cat", "a fire").blend(3, 1)')
    assert torch.allclose(one, other, atol=1e-6)


def test_a_conjunction_concatenates_its_texts() -> None:
    one, other, empty = (encode(text, xl_towers()) for text in ("a fire", "the cat", ""))
    both = encode('("a fire", "the cat").and()', xl_towers())
    assert both.embeds.equal(torch.cat([one.embeds, other.embeds], dim=1))
    assert torch.allclose(pooled(both), (pooled(one) + pooled(other)) / 2)
    half = encode('("a fire", "the cat").and(1, .5)', xl_towers()).embeds[:, 77:]
    assert torch.allclose(half, (empty.embeds + other.embeds) / 2, atol=1e-6)


# long texts


def test_a_long_text_is_split_into_chunks_at_sentences_or_words() -> None:
    sentence, rest = "the cat and the fire. " * 7, "the fire and the cat, " * 7
    assert read(sentence + rest).equal(torch.cat([read(sentence), read(rest)], dim=1))
    assert read("the " * 75 + "cat").equal(torch.cat([read("the " * 75), read("cat")], dim=1))
    word = "th" + "e" * 30
    ends_with_a_word = read("the " * 70 + word)
    assert ends_with_a_word.equal(torch.cat([read("the " * 70), read(word)], dim=1))


@pytest.mark.parametrize("text", ["x" * 500, "the " * 1000, "a. " * 300])
def test_no_word_of_a_long_text_is_lost(text: str) -> None:
    tokens = parts()["tokenizer"](text, add_special_tokens=False, verbose=False).input_ids
    encoded = encode(text, towers())
    assert encoded.tokens[-1].startswith(tuple(f"{first} to {len(tokens)} of {len(tokens)}" for first in range(9999)))
    assert encoded.cut == ""
    assert encoded.embeds.shape[1] == 77 * len(encoded.tokens)


def test_weights_apply_in_every_chunk() -> None:
    plain, weighted = read(LONG + "fire"), read(LONG + "(fire)1.5")
    assert weighted.shape == plain.shape
    assert weighted[:, :-77].equal(plain[:, :-77])
    assert not weighted[:, -77:].equal(plain[:, -77:])
    lowered = read(f"(the cat)0.5 {LONG}")
    assert lowered[:, 77:].equal(read(f"(the cat)1 {LONG}")[:, 77:])


def test_prompt_and_negative_prompt_are_padded_to_the_same_length() -> None:
    long, short, empty = encode(LONG, towers()), encode("a cat", towers()), encode("", towers())
    for one, other in ((long, short), (short, long)):
        prompt, negative = same_length(one, other, empty, empty)
        assert prompt.embeds.shape == negative.embeds.shape
    _, padded = same_length(long, short, empty, empty)
    assert padded.embeds[:, :77].equal(short.embeds)
    assert padded.embeds[:, 77:154].equal(empty.embeds)


@pytest.mark.parametrize("changes", [{}, {"negative_prompt": LONG}, {"prompt": LONG, "guidance_scale": 1.0}])
def test_a_long_prompt_draws_a_picture(changes: dict[str, Any], engine: DiffusionEngine, a_request: ARequest) -> None:
    happened = list(engine.generate(a_request(**({"prompt": LONG + "fire", "steps": 2} | changes))))
    assert not [event for event in happened if isinstance(event, Note)], "no word is cut"
    others = picture(engine, a_request(**({"prompt": LONG + "cat", "steps": 2} | changes)))
    assert (happened[-1].image.data != others) == ("prompt" not in changes)  # type: ignore[union-attr]


# triggers


def test_a_trigger_gives_all_its_vectors_with_its_weight() -> None:
    learned = tiny.components()
    pipeline = stock("StableDiffusionPipeline", learned)
    vectors = torch.randn(3, 32, generator=torch.Generator().manual_seed(1))
    pipeline.load_textual_inversion({"<x>": vectors}, token="<x>")
    theirs, _ = pipeline.encode_prompt("a <x> cat", "cpu", 1, do_classifier_free_guidance=False)
    plain = tiny.components()
    one = (TextEncoder(plain["tokenizer"], plain["text_encoder"]),)
    before = encode("a <x> cat", one).embeds
    words = LearnedWords(one)
    assert words.learn("<x>", (vectors,))
    assert not words.learn("cat", (vectors,)), "a word stays one"
    assert encode("a <X> cat", one).embeds.equal(theirs)
    assert encode("a <x>++ cat", one).tokens == (
        "1 to 5 of 5: 1 a · 2 <x>- ×1.21 · 3 <x>- ×1.21 · 4 <x> ×1.21 · 5 cat",
    )
    words.forget()
    assert encode("a <x> cat", one).embeds.equal(before)


# log of tokens


def test_log_tokenization_shows_tokens_with_weights_per_chunk(engine: DiffusionEngine, a_request: ARequest) -> None:
    request = a_request(prompt="a (fire)1.3 [cat--]", negative_prompt="and x", steps=1)
    assert tokens(engine, request) == [
        "prompt: tokens 1 to 2 of 2: 1 a · 2 fire ×1.3",
        "negative prompt: tokens 1 to 3 of 3: 1 and · 2 x · 3 cat ×0.81",
    ]
    first, second = tokens(engine, a_request(prompt="the " * 76, guidance_scale=1.0, steps=1))
    assert first.startswith("prompt: tokens 1 to 75 of 76: 1 the · 2 the · ")
    assert second == "prompt: tokens 76 to 76 of 76: 76 the"
    assert tokens(engine, a_request(prompt='("fir", "fire").and()', steps=1)) == [
        "prompt: tokens of text 1 1 to 2 of 2: 1 fi- · 2 r",
        "prompt: tokens of text 2 1 to 1 of 1: 1 fire",
    ]


def test_log_tokenization_shows_tokens_once_per_line(studio: Studio, tmp_path: Path) -> None:
    assert studio.make("a fire -C 1 -n 3 -s 1 -t").notes == ["prompt: tokens 1 to 2 of 2: 1 a · 2 fire"]
    assert studio.make("a fire -C 1 -s 1").notes == []
    untouched = studio.session.plan(f"a fire -f 0 -t -I {save(tmp_path / 'init.png', scene())}")
    assert "-t has no effect at strength 0" in untouched.notes


def test_the_negative_prompt_has_an_effect_only_with_guidance(engine: DiffusionEngine, a_request: ARequest) -> None:
    by_brackets = picture(engine, a_request(prompt="a fire [cat]"))
    by_switch = picture(engine, a_request(negative_prompt="cat"))
    assert by_brackets == by_switch != picture(engine, a_request())
    unguided = [picture(engine, a_request(guidance_scale=1.0, negative_prompt=text)) for text in ("cat", "")]
    assert unguided[0] == unguided[1]


def test_the_same_text_is_encoded_once(a_request: ARequest, monkeypatch: pytest.MonkeyPatch) -> None:
    from invoke.engine.families import stable_diffusion

    seen = []
    monkeypatch.setattr(stable_diffusion, "encode", lambda text, *more: seen.append(text) or encode(text, *more))
    engine = DiffusionEngine(Registry({}))
    for seed in (1, 2, 3):
        list(engine.generate(a_request(seed=seed, steps=1, negative_prompt="cat")))
    assert sorted(seen) == ["", "a fire", "cat"]


def tokens(engine: DiffusionEngine, request: Request) -> list[str]:
    output = engine.generate(request, previews=Previews(tokens=True))
    return [event.text for event in output if isinstance(event, Note)]


def picture(engine: DiffusionEngine, request: Request) -> bytes:
    *_, last = engine.generate(request)
    return last.image.data  # type: ignore[union-attr]


def pooled(encoded: Encoded) -> torch.Tensor:
    return encoded.embeds[:, 0] if encoded.pooled is None else encoded.pooled


def stock(kind: str, components: dict[str, Any], **more: Any) -> Any:
    """diffusers' pipeline with these parts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "StableDiffusionPipeline":
            more |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        return getattr(diffusers, kind)(**components, **more)
