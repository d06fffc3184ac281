"""Single-file checkpoints: drawn like stock diffusers, or refused by kind. No hub, an empty cache."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.errors import ModelError
from invoke.events import Previews, Step
from invoke.models import ModelSpec, Registry
from invoke.request import Request
from tests import tiny
from tests.checkpoint_makings import (
    CHECKPOINTS,
    FOLDERS,
    OTHER_NAMES,
    TINY_VAES,
    VAES,
    State,
    clip_state,
    components_of,
    half_state,
    save,
    sd2_components,
    state_of,
    unet_state,
    vae_state,
)
from tests.engine.making import Array, events, make, notes, scene
from tests.engine.making import save as save_picture
from tests.engine.stock import apart, in_bytes, run
from tests.making import ARequest
from tests.tiny_xl import XL_SCHEDULER, xl_components, xl_index

pytestmark = pytest.mark.usefixtures("no_network")
V_KEYS = {"v_pred": torch.zeros(1), "ztsnr": torch.zeros(1)}
MEAN, STD = [0.3, -0.2, 0.1, 0.5], [1.5, 0.8, 1.2, 0.9]


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder with the configs and tokenizers of a family's tiny models."""
    made: dict[str, Path] = {}

    def of(family: str) -> Path:
        if family not in made:
            index = xl_index(refiner=family == "refiner") if family in {"sdxl", "refiner"} else {}
            made[family] = tiny.save_folder(tmp_path_factory.mktemp("configs") / family, components_of(family), index)
        return made[family]

    return of


def engine_for(path: Path, config: Path, **fields: Any) -> DiffusionEngine:
    """An engine whose list has the checkpoint as `one`."""
    stated = frozenset({"weights", "config", *fields})
    others = {name: fields.pop(name) for name in list(fields) if isinstance(fields[name], ModelSpec)}
    named = {name: spec.name for name, spec in others.items()}
    one = ModelSpec(name="one", weights=str(path), config=str(config), stated=stated, **fields, **named)
    return DiffusionEngine(Registry({"one": one} | {spec.name: spec for spec in others.values()}))


def theirs(family: str, parts: dict[str, Any], scheduler: Any, **options: Any) -> Array:
    kind = {"sdxl": "StableDiffusionXLPipeline"}.get(family, "StableDiffusionPipeline")
    more = {} if family == "sdxl" else {"safety_checker": None, "feature_extractor": None}
    pipeline = tiny.quiet(getattr(diffusers, kind)(**(parts | {"scheduler": scheduler}), **more))
    return in_bytes(pipeline("a fire", guidance_scale=7.5, width=64, height=64, **(run(6) | options)))


def euler(config: Path, **changes: Any) -> Any:
    own = json.loads((config / "scheduler" / "scheduler_config.json").read_text())
    return diffusers.EulerDiscreteScheduler.from_config({**own, **changes})


V_PREDICTION = {"prediction_type": "v_prediction"}
ZERO_SNR = V_PREDICTION | {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}


@pytest.mark.parametrize(
    ("family", "change", "metadata", "sidecar", "fields", "arguments"),
    [
        *((family, {}, {}, "", {}, {}) for family in CHECKPOINTS if family != "refiner"),
        # prediction type and schedule
        ("sdxl", V_KEYS, {}, "", {}, ZERO_SNR),
        ("sdxl", {"v_pred": torch.zeros(1)}, {}, "", {}, V_PREDICTION),
        ("sd1", {}, {"modelspec.prediction_type": "v"}, "", {}, V_PREDICTION),
        ("sd1", {}, {}, 'model: {params: {parameterization: "v"}}', {}, V_PREDICTION),
        ("sdxl", {}, {}, "a: {scaling_config: {target: sgm.modules.VScaling}}\nztsnr: true", {}, ZERO_SNR),
        ("sd1", {}, {}, "", {"prediction_type": "v_prediction", "zero_snr": True}, ZERO_SNR),
        ("sdxl", V_KEYS, {}, "", {"prediction_type": "epsilon", "zero_snr": False}, {"timestep_spacing": "trailing"}),
        ("sd1", {}, {}, "", {"timestep_spacing": "trailing"}, {"timestep_spacing": "trailing"}),
    ],
)
def test_a_single_file_draws_the_picture_of_the_pipeline(  # noqa: PLR0917
    family: str,
    change: State,
    metadata: dict[str, str],
    sidecar: str,
    fields: dict[str, Any],
    arguments: dict[str, Any],
    configs: Callable[[str], Path],
    a_request: ARequest,
    tmp_path: Path,
) -> None:
    path = save(tmp_path / "one.safetensors", state_of(components_of(family), family) | change, metadata)
    if sidecar:
        path.with_suffix(".yaml").write_text(sidecar)
    config = configs(family)
    ours = make(engine_for(path, config, **fields), a_request(model="one", steps=6))
    assert apart(ours, theirs(family, components_of(family), euler(config, **arguments))) <= 1


def test_refiner_and_inpainting_files_match_the_pipeline(
    configs: Callable[[str], Path], a_request: ARequest, tmp_path: Path
) -> None:
    init = save_picture(tmp_path / "init.png", scene())
    path = save(tmp_path / "one.safetensors", state_of(components_of("refiner"), "refiner"))
    folder = make(DiffusionEngine(Registry({})), a_request(model=configs("refiner"), init_image=init, steps=2))
    ours = make(engine_for(path, configs("refiner")), a_request(model="one", init_image=init, steps=2))
    assert np.array_equal(ours, folder)


@pytest.mark.parametrize("rescale", [0.7, 1.0])
def test_cfg_rescale_of_the_entry_is_applied(
    rescale: float, configs: Callable[[str], Path], a_request: ARequest, tmp_path: Path
) -> None:
    path = save(tmp_path / "one.safetensors", state_of(components_of("sdxl"), "sdxl") | V_KEYS)
    config = configs("sdxl")
    ours = make(engine_for(path, config, cfg_rescale=rescale), a_request(model="one", steps=6))
    wanted = theirs("sdxl", xl_components(), euler(config, **ZERO_SNR), guidance_rescale=rescale)
    assert apart(ours, wanted) <= 1


@pytest.mark.parametrize("steps", [6, 30, 61])
@pytest.mark.parametrize("sampler", ["ddim", "plms"])
def test_trailing_spacing_works_with_any_number_of_steps(
    steps: int, sampler: str, configs: Callable[[str], Path], a_request: ARequest, tmp_path: Path
) -> None:
    path = save(tmp_path / "one.safetensors", state_of(components_of("sd1"), "sd1"))
    engine = engine_for(path, configs("sd1"), timestep_spacing="trailing")
    ours = make(engine, a_request(model="one", steps=steps, scheduler=sampler))
    kind = {"ddim": diffusers.DDIMScheduler, "plms": diffusers.PNDMScheduler}[sampler]
    own = json.loads((configs("sd1") / "scheduler" / "scheduler_config.json").read_text())
    scheduler = kind.from_config({**own, "timestep_spacing": "trailing"})
    if steps == 61:  # diffusers makes 62, the last at -1
        assert ours.std() > 1
        return
    assert apart(ours, theirs("sd1", tiny.components(), scheduler, num_inference_steps=steps)) <= 1


OLD = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def _old_vae(vae: Any) -> State:
    state = vae.state_dict()
    for old, new in OLD.items():
        state = {key.replace(f"attentions.0.{new}.", f"attentions.0.{old}."): value for key, value in state.items()}
    return state


@pytest.mark.parametrize("state", OTHER_NAMES.values(), ids=OTHER_NAMES)
def test_old_and_alternative_tensor_names_are_read(
    state: Callable[[dict[str, Any]], State], configs: Callable[[str], Path], a_request: ARequest, tmp_path: Path
) -> None:
    tensors = state(tiny.components())
    path = save(tmp_path / "one.safetensors", tensors)
    ours = make(engine_for(path, configs("sd1")), a_request(model="one", steps=6))
    parts = rounded(tiny.components(), tensors["first_stage_model.encoder.conv_in.weight"].dtype)
    assert apart(ours, theirs("sd1", parts, euler(configs("sd1")))) <= 1


def rounded(parts: dict[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """`parts` with weights rounded to `dtype`."""
    for part in parts.values():
        if isinstance(part, torch.nn.Module):
            part.load_state_dict({key: weight.to(dtype).to(weight) for key, weight in part.state_dict().items()})
    return parts


@pytest.mark.parametrize(
    ("parts", "sentence", "fields"),
    [
        (("unet", "text"), "this file has no VAE", {"vae": "folder"}),
        (("unet", "vae"), "this file has no text encoder", {"base": "folder"}),
        (("unet",), "this file has no VAE and no text encoder", {"base": "folder"}),
        (("unet",), "this file has no VAE and no text encoder", {"base": "file"}),
        (("diffusers unet",), "this file has no VAE and no text encoder", {"base": "folder"}),
        (("bare unet",), "this file has no VAE and no text encoder", {"base": "file"}),
    ],
)
def test_a_missing_part_is_named_with_the_field_to_set(  # noqa: PLR0917
    parts: tuple[str, ...],
    sentence: str,
    fields: dict[str, str],
    configs: Callable[[str], Path],
    a_request: ARequest,
    tmp_path: Path,
) -> None:
    whole = tiny.components()
    pieces: dict[str, State] = {
        "unet": unet_state(whole["unet"]),
        "bare unet": unet_state(whole["unet"], ""),
        "diffusers unet": whole["unet"].state_dict(),
        "vae": vae_state(whole["vae"]),
        "text": clip_state(whole["text_encoder"], "cond_stage_model.transformer."),
    }
    state: State = {}
    for part in parts:
        state |= pieces[part]
    path = save(tmp_path / "one.safetensors", state)
    with pytest.raises(ModelError, match=sentence) as caught:
        make(engine_for(path, configs("sd1")), a_request(model="one", steps=6))
    field, source = next(iter(fields.items()))
    assert f" {field} " in caught.value.hint
    lender = configs("sd1") if source == "folder" else save(tmp_path / "base.safetensors", state_of(whole, "sd1"))
    kind = {"kind": "vae"} if field == "vae" else {"config": str(configs("sd1"))}
    other = ModelSpec(name="other", weights=str(lender), **kind)  # type: ignore[arg-type]
    ours = make(engine_for(path, configs("sd1"), **{field: other}), a_request(model="one", steps=6))
    assert apart(ours, theirs("sd1", whole, euler(configs("sd1")))) <= 1


@pytest.mark.parametrize("layout", ["original", "diffusers"])
def test_a_latent_consistency_model_gets_the_guidance_embedding(
    layout: str, configs: Callable[[str], Path], a_request: ARequest, tmp_path: Path
) -> None:
    parts = tiny.components()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        kind: Any = diffusers.UNet2DConditionModel
        parts["unet"] = kind.from_config({**parts["unet"].config, "time_cond_proj_dim": 16}).eval()
    state = unet_state(parts["unet"]) if layout == "original" else parts["unet"].state_dict()
    if layout == "original":
        state = {key.replace("time_embedding.cond_proj", "time_embed.cond_proj"): v for key, v in state.items()}
    path = save(tmp_path / "one.safetensors", state)
    whole = save(tmp_path / "base.safetensors", state_of(tiny.components(), "sd1"))
    base = ModelSpec(name="base", weights=str(whole), config=str(configs("sd1")))
    ours = make(engine_for(path, configs("sd1"), base=base), a_request(model="one", steps=6))
    assert apart(ours, theirs("sd1", parts, euler(configs("sd1")))) <= 1


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("model.diffusion_model.input_blocks.9.1.norm.weight", "has no place there"),
        ("model.diffusion_model.middle_block.1.extra.weight", "has no place there"),
        ("model.diffusion_model.encoder_hid_proj.weight", "has no place there"),
        ("model.diffusion_model.input_blocks.1.0.in_layers.2.scale_weight", "holds fp8 weights with their own scales"),
        ("model.diffusion_model.input_blocks.1.0.in_layers.2.weight.absmax", "holds weights quantised by bitsandbytes"),
    ],
)
def test_an_unknown_tensor_of_the_unet_is_refused(
    key: str, sentence: str, configs: Callable[[str], Path], a_request: ARequest, tmp_path: Path
) -> None:
    """It is another network, and would draw wrongly without this tensor."""
    path = save(tmp_path / "one.safetensors", state_of(tiny.components(), "sd1") | {key: torch.ones(2)})
    with pytest.raises(ModelError, match=sentence) as caught:
        make(engine_for(path, configs("sd1")), a_request(model="one", steps=2))
    assert caught.value.hint


def _without_convolutions() -> State:
    return {key: v for key, v in state_of(tiny.components(), "sd1").items() if ".0.in_layers.2.weight" not in key}


@pytest.mark.parametrize(
    ("state", "config", "sentence"),
    [
        (
            lambda: state_of(xl_components(), "sdxl") | {"edm_mean": torch.zeros(4)},
            "sdxl",
            "trained with the EDM parametrisation",
        ),
        (_without_convolutions, "sd1", "its UNet lacks .* tensors of"),
        (lambda: state_of(sd2_components(), "sd2"), "sd1", "is not built like|do not belong"),
        (
            lambda: state_of(tiny.components(), "sd1"),
            "",
            "takes text embeddings of width 32",
        ),
    ],
)
def test_unsupported_checkpoints_are_refused(  # noqa: PLR0917
    state: Callable[[], State],
    config: str,
    sentence: str,
    configs: Callable[[str], Path],
    a_request: ARequest,
    tmp_path: Path,
) -> None:
    path = save(tmp_path / "one.safetensors", state())
    engine = engine_for(path, configs(config) if config else Path())
    if not config:
        engine = DiffusionEngine(Registry({"one": ModelSpec(name="one", weights=str(path))}))
    with pytest.raises(ModelError, match=sentence) as caught:
        make(engine, a_request(model="one", steps=6))
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_stable_diffusion_2_without_prediction_type_is_refused(a_request: ARequest, tmp_path: Path) -> None:
    block = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0"
    shapes: dict[str, tuple[int, ...]] = {f"{block}.attn2.to_k.weight": (2, 1024)}
    shapes |= {"model.diffusion_model.input_blocks.0.0.weight": (2, 4, 3, 3)}
    path = tmp_path / "two.safetensors"
    save_file({key: torch.zeros(shape) for key, shape in shapes.items()}, path)
    with pytest.raises(ModelError, match="does not say whether it predicts noise or v") as caught:
        make(DiffusionEngine(Registry({})), a_request(model=path))
    assert "prediction_type" in caught.value.hint
    save_file({key: torch.zeros(shape) for key, shape in shapes.items()}, path, {"global_step": "875000"})
    spec = Registry({}).find(str(path))
    assert (spec.prediction_type, spec.width) == ("epsilon", 512)


# VAEs


def _tiny_vae() -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return diffusers.AutoencoderTiny().eval()


@pytest.mark.parametrize("form", VAES)
@pytest.mark.parametrize("with_init", [False, True], ids=["text", "picture"])
def test_another_vae_is_used_in_every_format(  # noqa: PLR0917
    form: str, with_init: bool, folder: Path, a_request: ARequest, tmp_path: Path, posterior_mode: None
) -> None:
    vae = _tiny_vae() if form in TINY_VAES else tiny.components(seed=5)["vae"]
    path = tmp_path / "vae.safetensors"
    match form:
        case "folder":
            path = tmp_path / "vae"
            vae.save_pretrained(path)
        case "file":
            save(path, vae.state_dict())
        case "pair" | "pair by the encoder":
            named, other = ("decoder", "encoder") if form == "pair" else ("encoder", "decoder")
            path = save(tmp_path / f"taesdxl_{named}.safetensors", half_state(vae, named))
            save(tmp_path / f"taesdxl_{other}.safetensors", half_state(vae, other))
        case "both by numbers" | "ComfyUI's":
            start = "taesd_" if form == "ComfyUI's" else ""
            halves = {half: half_state(vae, half, f"{start}{half}.") for half in ("encoder", "decoder")}
            save(path, halves["encoder"] | halves["decoder"])
        case "vae_file":
            save(path, vae_state(vae, ""))
        case "old_vae":
            save(path, _old_vae(vae))
        case "model file":
            save(path, state_of(tiny.components() | {"vae": vae}, "sd1"))
    if form == "model file":  # by its path
        expected = {"one": ModelSpec(name="one", weights=str(folder), vae=str(path))}
    else:
        other = ModelSpec(name="other", weights=str(path), kind="vae")
        expected = {"other": other, "one": ModelSpec(name="one", weights=str(folder), vae="other")}
    changes = {"init_image": save_picture(tmp_path / "init.png", scene()), "strength": 0.5} if with_init else {}
    ours = make(DiffusionEngine(Registry(expected)), a_request(model="one", steps=4, **changes))
    kind = "StableDiffusionImg2ImgPipeline" if with_init else "StableDiffusionPipeline"
    pipeline = tiny.quiet(getattr(diffusers, kind).from_pretrained(str(folder), vae=vae, safety_checker=None))
    pipeline.scheduler = diffusers.EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    more = {"image": Image.fromarray(scene()), "strength": 0.5} if with_init else {"width": 64, "height": 64}
    assert apart(ours, in_bytes(pipeline("a fire", guidance_scale=7.5, **more, **run(4)))) <= 1


def test_a_tiny_vae_decodes_the_steps(folder: Path, a_request: ARequest, tmp_path: Path) -> None:
    _tiny_vae().save_pretrained(tmp_path / "taesd")
    expected = {
        "taesd": ModelSpec(name="taesd", weights=str(tmp_path / "taesd"), kind="vae"),
        "one": ModelSpec(name="one", weights=str(folder), preview_vae="taesd"),
        "plain": ModelSpec(name="plain", weights=str(folder)),
    }
    engine = DiffusionEngine(Registry(expected))
    shown = {name: _steps(engine, a_request(model=name, steps=2)) for name in ("one", "plain")}
    assert shown["one"][1].width == 64
    assert shown["plain"][1] != shown["one"][1]
    assert np.array_equal(make(engine, a_request(model="one")), make(engine, a_request(model="plain")))


@pytest.mark.parametrize("form", ["file", "decoder"])
def test_a_tiny_vae_in_two_files_decodes_the_steps(
    form: str, folder: Path, a_request: ARequest, tmp_path: Path
) -> None:
    """The decoder alone is enough."""
    vae = _tiny_vae()
    vae.save_pretrained(tmp_path / "taesd")
    path = tmp_path / "taesd_decoder.safetensors"
    save(path, vae.state_dict() if form == "file" else half_state(vae, "decoder"))
    specs = {
        name: ModelSpec(name=name, weights=str(weights), kind="vae")
        for name, weights in (("whole", tmp_path / "taesd"), ("one", path))
    }
    models = {f"by-{name}": ModelSpec(name=f"by-{name}", weights=str(folder), preview_vae=name) for name in specs}
    engine = DiffusionEngine(Registry(specs | models))
    whole, one = (_steps(engine, a_request(model=f"by-{name}", steps=2)) for name in specs)
    assert one == whole


@pytest.mark.parametrize(
    ("half", "field", "sentence"),
    [
        ("decoder", "vae", "holds only the decoder of TAESD"),
        ("encoder", "vae", "holds only the encoder of TAESD"),
        ("encoder", "preview_vae", "holds only the encoder of TAESD"),
    ],
)
def test_half_a_tiny_vae_is_refused(  # noqa: PLR0917
    half: str, field: str, sentence: str, folder: Path, a_request: ARequest, tmp_path: Path
) -> None:
    path = save(tmp_path / f"taesd_{half}.safetensors", half_state(_tiny_vae(), half))
    expected = {
        "tiny": ModelSpec(name="tiny", weights=str(path), kind="vae"),
        "one": ModelSpec(name="one", weights=str(folder), **{field: "tiny"}),  # type: ignore[arg-type]
    }
    with pytest.raises(ModelError, match=sentence) as caught:
        make(DiffusionEngine(Registry(expected)), a_request(model="one"))
    assert {"decoder": "taesd_encoder", "encoder": "taesd_decoder"}[half] in caught.value.hint


def test_a_tiny_vae_for_other_latents_is_refused(folder: Path, a_request: ARequest, tmp_path: Path) -> None:
    path = save(tmp_path / "taef1.safetensors", diffusers.AutoencoderTiny(latent_channels=16).state_dict())
    expected = {
        "taef1": ModelSpec(name="taef1", weights=str(path), kind="vae"),
        "one": ModelSpec(name="one", weights=str(folder), vae="taef1"),
    }
    with pytest.raises(ModelError, match="taef1: this VAE does not fit one: its latents have another shape"):
        make(DiffusionEngine(Registry(expected)), a_request(model="one"))


def _steps(engine: DiffusionEngine, request: Request) -> list[Any]:
    output = engine.generate(request, previews=Previews(every=1))
    return [event.image for event in output if isinstance(event, Step)]


def test_mean_and_deviation_of_latents_match_the_pipeline(
    a_request: ARequest, tmp_path: Path, posterior_mode: None
) -> None:
    parts = xl_components()
    parts["vae"].register_to_config(latents_mean=MEAN, latents_std=STD)
    folder = tiny.save_folder(tmp_path / "xl", parts, xl_index())
    ours = make(DiffusionEngine(Registry({})), a_request(model=folder, steps=6))
    assert apart(ours, theirs("sdxl", parts, euler(folder))) <= 1
    init = save_picture(tmp_path / "init.png", scene())
    ours = make(DiffusionEngine(Registry({})), a_request(model=folder, steps=6, init_image=init, strength=0.5))
    pipeline = tiny.quiet(diffusers.StableDiffusionXLImg2ImgPipeline.from_pretrained(str(folder)))
    wanted = pipeline("a fire", image=Image.open(init), strength=0.5, guidance_scale=7.5, **run(6))
    assert apart(ours, in_bytes(wanted)) <= 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"_class_name": "EDMEulerScheduler"}, "made for EDMEulerScheduler, which no sampler here supports"),
        (
            {"_class_name": "EDMDPMSolverMultistepScheduler"},
            "made for EDMDPMSolverMultistepScheduler, which no",
        ),
        ({"_class_name": "FlowMatchEulerDiscreteScheduler"}, "made for FlowMatchEulerDiscreteScheduler, which no"),
        ({"_class_name": "SomebodysScheduler"}, "made for SomebodysScheduler, which no sampler here supports"),
        ({"use_flow_sigmas": True}, "trained for flow matching, which no sampler here supports"),
        ({"prediction_type": "sample"}, "it predicts 'sample', which no sampler here supports"),
        ({"beta_schedule": "cosine9"}, "scheduler_config.json is invalid: beta_schedule 'cosine9' is not one of"),
        ({"num_train_timesteps": 0}, "scheduler_config.json is invalid: num_train_timesteps must be from 2"),
        ({"beta_end": "0.012"}, "is invalid: beta_start and beta_end must be between"),
        ({"timestep_spacing": "even"}, "scheduler_config.json is invalid: timestep_spacing must be one of"),
        ({"trained_betas": [0.1, 0.2]}, "is invalid: trained_betas must be 1000 numbers from 0 to 1"),
        ({"trained_betas": [-1.0] * 1000}, "is invalid: trained_betas must be 1000 numbers from 0 to 1"),
        ({"steps_offset": "1"}, "is invalid: steps_offset must be from 0 to 999"),
    ],
)
def test_an_unsupported_schedule_is_refused(
    changes: dict[str, Any], sentence: str, folder: Path, a_request: ARequest, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "scheduler" / "scheduler_config.json").write_text(json.dumps({**XL_SCHEDULER, **changes}))
    with pytest.raises(ModelError, match=sentence) as caught:
        make(DiffusionEngine(Registry({})), a_request(model=copy))
    assert caught.value.hint


def test_a_sampler_without_zero_snr_support_is_refused(
    configs: Callable[[str], Path], a_request: ARequest, tmp_path: Path
) -> None:
    path = save(tmp_path / "one.safetensors", state_of(components_of("sdxl"), "sdxl") | V_KEYS)
    found = notes(events(engine_for(path, configs("sdxl")), a_request(model="one", steps=2, scheduler="k_heun")))
    assert any("which k_heun does not support" in note for note in found)


@pytest.mark.parametrize("forms", FOLDERS.values(), ids=FOLDERS)
def test_parts_in_different_variants_are_loaded(
    forms: Mapping[str, str], folder: Path, a_request: ARequest, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    for part, form in forms.items():
        for file in (copy / part).glob("*.safetensors") if form else ():
            file.rename(file.with_suffix(f".{form}.safetensors"))
    engine = DiffusionEngine(Registry({}))
    assert np.array_equal(make(engine, a_request(model=copy, steps=2)), make(engine, a_request(steps=2)))


def test_an_entry_without_family_is_recognised_by_its_files(configs: Callable[[str], Path]) -> None:
    entry = ModelSpec(name="one", weights=str(configs("sdxl")), steps=7, stated=frozenset({"weights", "steps"}))
    found = Registry({"one": entry}).find("one")
    assert (found.family, found.width, found.sampler, found.steps) == ("sdxl", 64, "k_euler", 7)
    stated = replace(entry, family="sd", width=96, stated=entry.stated | {"family", "width"})
    assert Registry({"one": stated}).find("one") == stated
