"""`.swap()` changes words and keeps the composition."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0

from invoke.engine.conditioning.embeddings import Edit, encode
from invoke.engine.conditioning.prompt_to_prompt import Swapped, _with_edited, swapping
from invoke.engine.conditioning.weighting import TextEncoder
from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.prompts import Window
from tests import tiny
from tests.engine.making import make, save, scene
from tests.making import ARequest
from tests.tiny_xl import xl_components, xl_index

LONG = "a fire and the cat, " * 30


@pytest.fixture(scope="module")
def xl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_folder(tmp_path_factory.mktemp("models") / "xl", xl_components(), xl_index())


@pytest.fixture(params=["sd", "xl"])
def drawn(
    request: pytest.FixtureRequest, engine: DiffusionEngine, a_request: ARequest, xl_folder: Path
) -> Callable[..., np.ndarray]:
    """The picture of a prompt, by Stable Diffusion 1 or XL."""
    model = {"model": xl_folder} if request.param == "xl" else {}
    return lambda prompt, **changes: make(engine, a_request(prompt=prompt, **model, **changes)).astype(int)


@pytest.mark.parametrize("changes", [{}, {"guidance_scale": 1.0}, {"negative_prompt": LONG}, {"scheduler": "k_heun"}])
def test_swapping_words_for_themselves_changes_nothing(
    drawn: Callable[..., np.ndarray], changes: dict[str, Any]
) -> None:
    swapped = drawn("a cat.swap(cat) and the fire", **changes)
    assert abs(swapped - drawn("a cat and the fire", **changes)).max() <= 1


@pytest.mark.parametrize("options", ["t_start=1", "t_end=0", "t_start=0.6, t_end=0.5"])
def test_a_swap_outside_its_steps_changes_nothing(drawn: Callable[..., np.ndarray], options: str) -> None:
    assert np.array_equal(drawn(f"a cat.swap(fire, {options}) and"), drawn("a cat and"))


def test_a_swap_differs_from_both_texts(drawn: Callable[..., np.ndarray]) -> None:
    prompts = ["a cat and", "a fire and", "a cat.swap(fire) and", "a cat.swap(fire, t_start=0, shape_freedom=0) and"]
    pictures = [drawn(prompt) for prompt in prompts]
    assert len({picture.tobytes() for picture in pictures}) == len(prompts)


@pytest.mark.parametrize(
    ("before", "swap", "after"),
    [("a cat", "fire the", " and"), ("a cat", "", " and"), ("a cat", f'"{LONG}"', " and"), (f"{LONG} cat", "x", "")],
)
def test_texts_of_different_lengths_can_be_swapped(
    drawn: Callable[..., np.ndarray], before: str, swap: str, after: str
) -> None:
    assert not np.array_equal(drawn(f"{before}.swap({swap}){after}", steps=2), drawn(before + after, steps=2))


def test_swaps_work_in_every_mode(
    engine: DiffusionEngine, a_request: ARequest, inpainting_folder: Path, tmp_path: Path
) -> None:
    init = save(tmp_path / "init.png", scene())
    mask = save(tmp_path / "mask.png", np.where(scene()[..., 0] > 90, 255, 0).astype(np.uint8))
    for changes in (
        {"init_image": init, "strength": 0.7},
        {"init_image": init, "mask_image": mask, "strength": 0.7},
        {"init_image": init, "mask_image": mask, "strength": 0.7, "model": inpainting_folder},
        {"hires_fix": True, "width": 128, "height": 128, "strength": 0.5},
    ):
        swapped = make(engine, a_request(prompt="a cat.swap(fire) and", **changes))
        assert not np.array_equal(swapped, make(engine, a_request(prompt="a cat and", **changes)))


def test_unchanged_words_are_aligned() -> None:
    parts = tiny.components()
    towers = (TextEncoder(parts["tokenizer"], parts["text_encoder"]),)
    edit = encode("a cat.swap(fire fire) the and", towers).edit
    assert edit is not None
    # start · a · cat · the · and · end · filling, and: start · a · fire · fire · the · and · end · filling
    words = {(0, 0), (1, 1), (3, 4), (4, 5), (5, 6)}
    assert set(edit.same) == words | {(place, place) for place in range(7, 77)}


def test_swapped_attention_mixes_the_maps_of_both_texts() -> None:
    """P·M + Q·(1 − M) of both texts' maps, built as Hertz et al. (2022) have it."""
    torch.manual_seed(0)
    attn = Attention(query_dim=16, cross_attention_dim=12, heads=2, dim_head=8).eval()
    hidden, text = torch.randn(3, 9, 16), torch.randn(3, 5, 12)
    same = ((0, 0), (1, 1), (2, 3))
    with torch.no_grad():
        ours = Swapped(AttnProcessor2_0(), same)(attn, hidden, text)
        query, key, value = (
            attn.head_to_batch_dim(x, 4) for x in (attn.to_q(hidden), attn.to_k(text), attn.to_v(text))
        )
        maps = (query @ key.transpose(-1, -2) * attn.scale).softmax(-1)
        maps[2, ..., [0, 1, 3]] = maps[1, ..., [0, 1, 2]]
        theirs = attn.to_out[0](attn.batch_to_head_dim((maps @ value).flatten(0, 1)))
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_only_the_prompt_is_swapped_and_the_network_is_restored() -> None:
    unet = tiny.components()["unet"]
    before = unet.attn_processors
    sample, texts = torch.randn(2, 4, 8, 8), torch.randn(2, 77, 32)
    edit = Edit(torch.randn(1, 77, 32), None, ((0, 0),), Window(t_start=0, s_end=1))
    with torch.no_grad():
        plain = unet(sample, torch.tensor(500), encoder_hidden_states=texts, return_dict=False)[0]
        ask = swapping(unet, edit, 1000)
        swapped = ask(sample, torch.tensor(500), encoder_hidden_states=texts, return_dict=False)[0]
        assert swapped.shape == plain.shape
        assert torch.allclose(swapped[0], plain[0], atol=1e-6)
        assert not torch.allclose(swapped[1], plain[1], atol=1e-3)
        with pytest.raises(RuntimeError):
            ask(sample[:, :3], torch.tensor(500), encoder_hidden_states=texts, return_dict=False)
    assert unet.attn_processors == before


@pytest.mark.parametrize("is_pooled", [True, False])
@pytest.mark.parametrize("takes_pooled", [True, False])
def test_the_edited_row_has_its_own_texts(is_pooled: bool, takes_pooled: bool) -> None:
    """A model may take no pooled embedding although the text encoder has one, and the other way round."""
    edit = Edit(torch.full((1, 3, 4), 7.0), torch.full((1, 5), 8.0) if is_pooled else None, (), Window())
    options: dict[str, Any] = {"encoder_hidden_states": torch.zeros(2, 3, 4)}
    if takes_pooled:
        options["added_cond_kwargs"] = {"text_embeds": torch.zeros(2, 5)}
    edited = _with_edited(options, edit, 2)
    assert edited["encoder_hidden_states"].mean((1, 2)).tolist() == [0, 0, 7]
    if takes_pooled:
        assert edited["added_cond_kwargs"]["text_embeds"].mean(1).tolist() == [0, 0, 8 if is_pooled else 0]
    assert edited.keys() == options.keys()
