"""LoRAs and textual inversions: what they change, that they are removed again, and errors for those that do not fit."""

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

from invoke.engine.adapters.lora_layouts import Change
from invoke.engine.adapters.merging import MergedWeights, fitting
from invoke.engine.adapters.textual_inversions import read_words
from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.errors import ModelError
from invoke.models import ModelSpec, Registry
from invoke.models.recognise import check_contents
from invoke.models.safetensors_header import read_header
from invoke.models.tensor_names import PAIRS, UNNAMED
from invoke.request import Request
from tests import making, tiny
from tests.engine.making import events, finished, make, notes, pixels
from tests.making import ARequest
from tests.tiny_xl import xl_components, xl_index

pytestmark = pytest.mark.usefixtures("no_network")
DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for the tiny model, with random weights, as diffusers saves it."""
    return _lora(tmp_path_factory.mktemp("lora"), tiny.components(), "StableDiffusionPipeline", seed=1)


@pytest.fixture
def engine(lora: Path, tmp_path: Path) -> DiffusionEngine:
    other = _lora(tmp_path, tiny.components(), "StableDiffusionPipeline", seed=2)
    expected = [
        ModelSpec(name="wood", weights=str(lora), kind="lora"),
        ModelSpec(name="stone", weights=str(other), kind="lora"),
        ModelSpec(name="thing", weights=str(_embedding(tmp_path, 32, 2)), kind="embedding", triggers=("<thing>",)),
        ModelSpec(name="wide", weights=str(_embedding(tmp_path, 48, 1)), kind="embedding", triggers=("widething",)),
    ]
    return DiffusionEngine(Registry({spec.name: spec for spec in expected}))


def test_a_lora_draws_the_picture_of_the_pipeline(
    engine: DiffusionEngine, a_request: ARequest, folder: Path, lora: Path
) -> None:
    stock = diffusers.StableDiffusionPipeline.from_pretrained(str(folder), safety_checker=None)
    stock.scheduler = diffusers.EulerDiscreteScheduler.from_config(stock.scheduler.config)
    stock.load_lora_weights(str(lora), adapter_name="wood")
    stock.set_adapters(["wood"], [0.5])
    theirs = stock(
        "a fire", num_inference_steps=4, output_type="np", generator=torch.Generator("cpu").manual_seed(42)
    ).images[0]
    ours = make(engine, a_request(prompt="a fire withLora(wood,0.5)"))
    assert np.array_equal(ours, (theirs * 255).round().astype(np.uint8))


def test_adapters_are_removed_for_the_next_picture(engine: DiffusionEngine, a_request: ARequest) -> None:
    plain = make(engine, a_request())
    with_wood = make(engine, a_request(prompt="a fire withLora(wood)"))
    assert not np.array_equal(with_wood, plain)
    assert np.array_equal(make(engine, a_request()), plain)
    assert np.array_equal(make(engine, a_request(prompt="a fire withLora(wood, 0)")), plain)
    both = make(engine, a_request(prompt="a fire withLora(stone,0.5) withLora(wood,0.5)"))
    assert np.array_equal(make(engine, a_request(prompt="a fire withLora(wood)")), with_wood)
    assert np.array_equal(make(engine, a_request(prompt="withLora(stone,0.5) a fire withLora(wood,0.5)")), both)


def test_a_trigger_is_replaced_by_its_vectors(engine: DiffusionEngine, a_request: ARequest) -> None:
    plain = make(engine, a_request(prompt="a cat and a fire"))
    with_thing = make(engine, a_request(prompt="a <thing> and a fire"))
    assert not np.array_equal(with_thing, make(DiffusionEngine(Registry({})), a_request(prompt="a <thing> and a fire")))
    assert np.array_equal(make(engine, a_request(prompt="a cat and a fire")), plain)
    assert np.array_equal(make(engine, a_request(prompt="a <thing> and a fire")), with_thing)


def _taught_stock(folder: Path, tmp_path: Path, prompt: str, **arguments: Any) -> np.ndarray:
    """The stock pipeline's picture with `<thing>`, a textual inversion of two vectors."""
    stock = diffusers.StableDiffusionPipeline.from_pretrained(str(folder), safety_checker=None)
    stock.scheduler = diffusers.EulerDiscreteScheduler.from_config(stock.scheduler.config)
    stock.set_progress_bar_config(disable=True)
    stock.load_textual_inversion(load_file(_embedding(tmp_path, 32, 2)))
    drawn = stock(
        prompt,
        num_inference_steps=4,
        output_type="np",
        generator=torch.Generator("cpu").manual_seed(42),
        **arguments,
    ).images[0]
    return (drawn * 255).round().astype(np.uint8)


def test_a_textual_inversion_of_two_vectors_matches_the_pipeline(
    engine: DiffusionEngine, a_request: ARequest, folder: Path, tmp_path: Path
) -> None:
    theirs = _taught_stock(folder, tmp_path, "a <thing> on a cat")
    ours = make(engine, a_request(prompt="a <thing> on a cat"))
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("keys", "triggers", "works"),
    [
        (("emb_params",), (), ("EasyNeg", "easyneg", "<EasyNeg>", "<easyneg>", "EASYNEG,")),
        (("<cat-toy>",), ("<cat-toy>",), ("<cat-toy>", "<CAT-TOY>", "EasyNeg")),
        (("emb_params",), ("one-word", "<two>"), ("one-word", "<two>", "<EasyNeg>")),
        (("<a>", "<b>"), ("<a>", "<b>"), ("<a>", "EasyNeg")),
        (("<cat.v1>",), ("<cat.v1>",), ("<cat.v1>", "<EasyNeg>")),
        (("*",), (), ("EasyNeg", "<EasyNeg>")),
    ],
)
def test_every_name_of_a_textual_inversion_works(
    keys: tuple[str, ...], triggers: tuple[str, ...], works: tuple[str, ...], a_request: ARequest, tmp_path: Path
) -> None:
    """As documented: bare or in brackets, the file's own word, each trigger of the list, in CLIP's case."""
    vectors = torch.randn(len(keys), 1, 32, generator=torch.Generator().manual_seed(1))
    path = tmp_path / "x.safetensors"
    save_file(dict(zip(keys, vectors, strict=True)), path)
    spec = Registry({}).find(str(path), "embedding")
    assert spec.triggers == tuple(key for key in keys if key not in UNNAMED)
    stored = ModelSpec(name="EasyNeg", weights=str(path), kind="embedding", triggers=triggers)
    engine = DiffusionEngine(Registry({"EasyNeg": stored}))
    first, *others = [make(engine, a_request(prompt="a fire", negative_prompt=word, steps=2)) for word in works]
    assert not np.array_equal(first, make(engine, a_request(negative_prompt="nothing", steps=2)))
    assert all(np.array_equal(first, other) for other in others[:3])
    for word in keys[1:]:
        other = make(engine, a_request(prompt="a fire", negative_prompt=word, steps=2))
        assert not np.array_equal(first, other), "further words have vectors of their own"


@pytest.mark.parametrize(
    ("shapes", "encoders", "sentence"),
    [
        ({"emb_params": (0, 8)}, 1, "made for another architecture"),
        ({"emb_params": (1, 2, 8)}, 1, "made for another architecture"),
        ({"emb_params": (2, 8)}, 2, "made for another architecture"),
        ({"clip_l": (2, 8), "clip_g": (2, 8)}, 1, "made for another architecture"),
        ({"clip_g": (2, 8)}, 2, "made for another architecture"),
        ({"clip_l": (2, 8), "clip_g": (2, 8), "t5xxl": (2, 9)}, 2, "holds a textual inversion for Stable Diffusion 3"),
        ({"emb_params": (2, 8), "emb_params_out": (2, 8)}, 1, "with vectors for the text encoder's output"),
        ({"emb_params": (2, 8), "nan": ()}, 1, "x: this textual inversion holds values that are not numbers"),
    ],
)
def test_vectors_that_cannot_be_words_are_refused(
    shapes: dict[str, tuple[int, ...]], encoders: int, sentence: str, tmp_path: Path
) -> None:
    state = {name: torch.full(shape, torch.nan if name == "nan" else 1.0) for name, shape in shapes.items()}
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(ModelError, match=sentence):
        _read(tmp_path / "x.safetensors", encoders)


def _read(path: Path, encoders: int) -> None:
    with fitting("x", "model", "textual inversion"):
        check_contents("x", read_header(path))
        read_words(ModelSpec(name="x", weights="x", kind="embedding"), load_file(path), encoders)


def test_the_two_encoders_of_xl_by_either_name() -> None:
    spec = ModelSpec(name="x", weights="x", kind="embedding")
    for pair in PAIRS:
        state = {name: torch.full((2, width), width) for name, width in zip(pair, (3, 5), strict=True)}
        assert [vectors.shape for vectors in read_words(spec, state, 2)["x"]] == [(2, 3), (2, 5)]


def test_a_trigger_that_is_a_vocabulary_word_keeps_its_meaning_with_a_note(a_request: ARequest, tmp_path: Path) -> None:
    path = _embedding(tmp_path, 32, 1)
    engine = DiffusionEngine(Registry({"cat": ModelSpec(name="cat", weights=str(path), kind="embedding")}))
    happened = events(engine, a_request(prompt="the Cat", steps=2))
    assert notes(happened) == ["cat is already a word and keeps its meaning; type <cat> for the textual inversion"]
    assert np.array_equal(pixels(happened), make(DiffusionEngine(Registry({})), a_request(prompt="the Cat", steps=2)))
    assert not np.array_equal(pixels(happened), make(engine, a_request(prompt="the <cat>", steps=2)))


def test_hashes_of_adapters_are_recorded(engine: DiffusionEngine, a_request: ARequest) -> None:
    facts = finished(events(engine, a_request(prompt="a <thing> withLora(wood)"))).facts
    assert {"lora wood", "embedding thing"} <= facts.hashes.keys()


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ("a fire withLora(nothing)", "no LoRA is called 'nothing'"),
        ("a fire withLora(thing)", "thing: this is a textual inversion"),
        ("a widething", "wide: this textual inversion does not fit .*: it was made for another architecture"),
    ],
)
def test_unusable_adapters_are_refused_and_the_model_stays(
    prompt: str, sentence: str, engine: DiffusionEngine, a_request: ARequest
) -> None:
    plain = make(engine, a_request())
    with pytest.raises(ModelError, match=sentence):
        events(engine, a_request(prompt=prompt))
    assert np.array_equal(make(engine, a_request()), plain)


@pytest.mark.parametrize(
    "wrong", ["a <thing> widething", "a fire withLora(wood) withLora(stone) widething", "a widething"]
)
def test_after_a_refused_adapter_no_adapter_remains(wrong: str, engine: DiffusionEngine, a_request: ARequest) -> None:
    """Adapters of the previous picture, of the failed one, and of the next one."""
    prompts = ("a fire", "a fire withLora(wood)", "a <thing> and a fire", "a <thing> withLora(stone,0.5)")
    right = {prompt: make(engine, a_request(prompt=prompt, steps=2)) for prompt in prompts}
    for before, after in [*zip(prompts, prompts, strict=True), *((prompt, "a fire") for prompt in prompts[1:])]:
        make(engine, a_request(prompt=before, steps=2))
        with pytest.raises(ModelError, match="wide: this textual inversion does not fit"):
            events(engine, a_request(prompt=wrong, steps=2))
        assert np.array_equal(make(engine, a_request(prompt=after, steps=2)), right[after]), (before, after)


def test_triggers_are_not_shared_between_lists_of_models(engine: DiffusionEngine, a_request: ARequest) -> None:
    request = a_request(prompt="a <thing> and a fire", steps=2)
    literal = make(DiffusionEngine(Registry({})), request)
    taught = make(engine, request)
    with pytest.raises(ModelError):
        events(engine, a_request(prompt="a <thing> widething", steps=2))
    engine.set_models(Registry({}))
    assert np.array_equal(make(engine, request), literal)
    assert not np.array_equal(taught, literal)


def test_triggers_work_in_both_kinds_of_negative_prompt(
    engine: DiffusionEngine, a_request: ARequest, folder: Path, tmp_path: Path
) -> None:
    theirs = _taught_stock(folder, tmp_path, "a cat", negative_prompt="a <thing>")
    ours = make(engine, a_request(prompt="a cat", negative_prompt="a <thing>"))
    assert np.array_equal(ours, theirs)
    assert np.array_equal(make(engine, a_request(prompt="a cat [a <thing>]")), ours)


def test_a_replaced_textual_inversion_is_read_again(a_request: ARequest, tmp_path: Path) -> None:
    path = _embedding(tmp_path, 32, 1)
    models = Registry({"thing": ModelSpec(name="thing", weights=str(path), kind="embedding", triggers=("<thing>",))})
    engine, request = DiffusionEngine(models), a_request(prompt="a <thing>", steps=2)
    old = make(engine, request)
    save_file({"<thing>": torch.randn(1, 32, generator=torch.Generator().manual_seed(9))}, path)
    new = make(engine, request)
    assert not np.array_equal(old, new)
    assert np.array_equal(new, make(DiffusionEngine(models), request))


def test_a_lora_of_another_architecture_is_refused(a_request: ARequest, folder: Path, tmp_path: Path) -> None:
    path = _lora(tmp_path, xl_components(), "StableDiffusionXLPipeline", seed=1)
    engine = DiffusionEngine(Registry({"xl": ModelSpec(name="xl", weights=str(path), kind="lora")}))
    plain = make(engine, a_request())
    with pytest.raises(ModelError, match="xl: this LoRA does not fit"):
        events(engine, a_request(prompt="a fire withLora(xl)"))
    assert np.array_equal(make(engine, a_request()), plain)


def test_a_lora_for_xl_changes_the_picture(a_request: ARequest, tmp_path: Path) -> None:
    folder = tiny.save_folder(tmp_path / "xl", xl_components(), xl_index())
    path = _lora(tmp_path, xl_components(), "StableDiffusionXLPipeline", seed=1)
    engine = DiffusionEngine(Registry({"wood": ModelSpec(name="wood", weights=str(path), kind="lora")}))
    plain = make(engine, a_request(model=folder))
    assert not np.array_equal(make(engine, a_request(model=folder, prompt="a fire withLora(wood)")), plain)
    assert np.array_equal(make(engine, a_request(model=folder)), plain)


def test_the_lora_of_pocket_draws_in_blue(tmp_path: Path) -> None:
    """The LoRA of pocket: a seventh style, white lines on blue."""
    engine = DiffusionEngine(_pockets("pocket-blueprint", "lora"))
    style = making.a_request(prompt="blueprint of a house on a hill", scheduler="ddim", steps=20, guidance_scale=5.0)
    plain = make(engine, style)
    drawn = make(engine, making.a_request(**_fields(style) | {"prompt": style.prompt + " withLora(pocket-blueprint)"}))
    assert _blue(drawn) > _blue(plain) + 20


def _blue(picture: np.ndarray) -> float:
    """How much more blue than red there is, in levels."""
    return float(picture[..., 2].mean() - picture[..., 0].mean())


def _fields(request: Request) -> dict[str, Any]:
    return {name: getattr(request, name) for name in Request.__dataclass_fields__}


def _pockets(name: str, kind: Any, **more: Any) -> Registry:
    from invoke.models import read_registry

    pocket = read_registry().find("pocket")
    added = ModelSpec(name=name, weights=str(DATA / f"{name}.safetensors"), kind=kind, **more)
    return Registry({"pocket": pocket, name: added})


def _lora(folder: Path, parts: dict[str, Any], pipeline: str, *, seed: int) -> Path:
    torch.manual_seed(seed)
    unet = parts["unet"]
    unet.add_adapter(LoraConfig(r=2, lora_alpha=2, init_lora_weights=False, target_modules=["to_q", "to_k", "to_v"]))
    layers = get_peft_model_state_dict(unet)
    path = folder / f"lora{seed}"
    getattr(diffusers, pipeline).save_lora_weights(str(path), unet_lora_layers=layers)
    return path


def _embedding(folder: Path, width: int, count: int) -> Path:
    path = folder / f"embedding{width}.safetensors"
    vectors = torch.randn(count, width, generator=torch.Generator().manual_seed(3))
    save_file({"<thing>": vectors}, path)
    return path


@pytest.mark.parametrize("quantised", ["weight", "bias"])
def test_a_lora_is_not_merged_into_a_layer_with_a_quantised_tensor(quantised: str) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(4, 4))
    layer: Any = network[0]
    setattr(layer, quantised, torch.nn.Parameter(getattr(layer, quantised).to(torch.int8), requires_grad=False))
    loras = MergedWeights("tiny", {"unet": network})
    change = Change({"diff": torch.ones(4, 4)}, scale=1.0)
    with pytest.raises(ModelError, match="tiny: 0 is quantised"):
        loras.merge([("wood", {("unet", "0"): change}, 1.0)])
