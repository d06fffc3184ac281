"""Names of models: entries, folders, files and hub ids, each by its kind."""

import pickle
from pathlib import Path

import pytest

from invoke.errors import ModelError
from invoke.models import ModelSpec, Registry, read_registry
from invoke.models.hub.cache import hub_address, is_on_disk
from invoke.samplers import SAMPLERS
from tests.models.makings import FOUR_LEVELS, INDEX, folder, tensors

SHIPPED = read_registry()


# the list


def test_shipped_entries_have_size_licence_and_description() -> None:
    for spec in SHIPPED:
        assert spec.description, spec.name
        assert spec.sampler in SAMPLERS
        assert spec.width % spec.multiple == 0
        if spec.name != "pocket":
            assert spec.licence, spec.name
            assert hub_address(spec.weights), spec.name


@pytest.mark.parametrize(
    "name",
    ["sd-1.5", "sd-1.5-inpainting", "sd-2.1", "sdxl", "sdxl-refiner", "kandinsky-2.2", "sd-3.5-medium", "flux-schnell"],
)
def test_models_of_the_diffusers_guide_are_listed(name: str) -> None:
    assert SHIPPED.find(name).kind == "model"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("canny", "controlnet"),
        ("lcm", "lora"),
        ("upscaler-x2", "upscaler"),
        ("clipseg", "text-mask"),
        ("vae-ft-mse", "vae"),
    ],
)
def test_find_returns_only_entries_of_the_wanted_kind(name: str, kind: str) -> None:
    assert SHIPPED.find(name, kind).name == name  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=f"^{name}: this is .*; use it with "):
        SHIPPED.find(name)


def test_an_entry_of_another_kind_names_where_it_belongs() -> None:
    with pytest.raises(ModelError, match="canny: this is a ControlNet; use it with --control"):
        SHIPPED.find("canny")
    with pytest.raises(ModelError, match=r"sd-1\.5: this is a whole model; use it with -m"):
        SHIPPED.find("sd-1.5", "controlnet")


def test_an_unknown_name_suggests_the_nearest_of_its_kind() -> None:
    with pytest.raises(ModelError, match="no model is called 'sdxI', did you mean 'sdxl'"):
        SHIPPED.find("sdxI")
    with pytest.raises(ModelError, match="no ControlNet is called 'cany', did you mean 'canny'"):
        SHIPPED.find("cany", "controlnet")


def test_a_registry_can_be_pickled() -> None:
    assert list(pickle.loads(pickle.dumps(SHIPPED))) == list(SHIPPED)


# folders


@pytest.mark.parametrize(
    ("configs", "family", "side", "multiple"),
    [
        ({"model_index": INDEX["sd"], "unet": {"sample_size": 64}, "vae": FOUR_LEVELS}, "sd", 512, 8),
        ({"model_index": INDEX["sd"], "unet": {"sample_size": 96}, "vae": FOUR_LEVELS}, "sd", 768, 8),
        ({"model_index": INDEX["sdxl"], "unet": {"sample_size": 128}, "vae": FOUR_LEVELS}, "sdxl", 1024, 8),
        ({"model_index": INDEX["refiner"], "unet": {"sample_size": 128}, "vae": FOUR_LEVELS}, "sdxl-refiner", 1024, 8),
        ({"model_index": INDEX["kandinsky"], "unet": {"sample_size": 64}, "movq": FOUR_LEVELS}, "kandinsky", 512, 64),
        ({"model_index": INDEX["flux"], "transformer": {}, "vae": FOUR_LEVELS}, "auto", 1024, 16),
        ({"model_index": INDEX["flux"], "transformer": {"sample_size": 64}, "vae": FOUR_LEVELS}, "auto", 512, 16),
        ({"model_index": INDEX["flux"]}, "auto", 1024, 16),
    ],
)
def test_a_folder_is_recognised_by_its_configs(
    tmp_path: Path, configs: dict[str, object], family: str, side: int, multiple: int
) -> None:
    spec = SHIPPED.find(str(folder(tmp_path / "m", configs)))
    assert (spec.kind, spec.family, spec.width, spec.height, spec.multiple) == ("model", family, side, side, multiple)


@pytest.mark.parametrize(
    ("configs", "kind", "family"),
    [
        ({".": {"_class_name": "ControlNetModel"}}, "controlnet", "sd"),
        ({".": {"_class_name": "ControlNetModel", "addition_embed_type": "text_time"}}, "controlnet", "sdxl"),
        ({".": {"_class_name": "AutoencoderKL"}}, "vae", "sd"),
        ({".": {"architectures": ["CLIPSegForImageSegmentation"]}}, "text-mask", "sd"),
        ({"model_index": INDEX["x4"]}, "upscaler", "auto"),
    ],
)
def test_folders_of_other_kinds_are_recognised(
    tmp_path: Path, configs: dict[str, object], kind: str, family: str
) -> None:
    path = str(folder(tmp_path / "m", configs))
    assert SHIPPED.find(path, kind).family == family  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="use it with"):
        SHIPPED.find(path)


def test_a_kandinsky_decoder_finds_the_prior_beside_it(tmp_path: Path) -> None:
    prior = folder(tmp_path / "kandinsky-2-2-prior", {"model_index": INDEX["prior"]})
    decoder = {"model_index": INDEX["kandinsky"], "unet": {"sample_size": 64}, "movq": FOUR_LEVELS}
    assert SHIPPED.find(str(folder(tmp_path / "kandinsky-2-2-decoder", decoder))).prior == str(prior)
    assert SHIPPED.find(str(folder(tmp_path / "another", decoder))).prior == ""
    with pytest.raises(ModelError, match="this is the prior of a Kandinsky model"):
        SHIPPED.find(str(prior))


@pytest.mark.parametrize(
    ("configs", "sentence"),
    [
        ({}, "this folder is not a model: it has no model_index.json"),
        ({".": {"_class_name": "UNet2DConditionModel"}}, "holds only the class UNet2DConditionModel, which is"),
        ({".": {"_class_name": "T2IAdapter"}}, "this folder holds a T2I-Adapter, which is not supported"),
        ({".": {"_class_name": "MotionAdapter"}}, "this folder holds a motion module"),
        ({"model_index": INDEX["sd"], "unet": {"sample_size": 64}}, "incomplete: vae/config.json is missing"),
        (
            {"model_index": INDEX["sd"], "unet": {}, "vae": FOUR_LEVELS},
            "incomplete: unet/config.json lacks sample_size",
        ),
        ({"model_index": []}, "damaged: it is not a JSON object"),
    ],
)
def test_a_folder_that_is_not_a_model_is_refused(tmp_path: Path, configs: dict[str, object], sentence: str) -> None:
    (tmp_path / "m").mkdir()
    with pytest.raises(ModelError, match=sentence):
        SHIPPED.find(str(folder(tmp_path / "m", configs)))


def test_a_changed_folder_is_read_again(tmp_path: Path) -> None:
    path = folder(tmp_path / "m", {"model_index": INDEX["x4"]})
    assert SHIPPED.find(str(path), "upscaler")
    folder(path, {"model_index": INDEX["flux"]})
    assert SHIPPED.find(str(path)).family == "auto"


# files

UNET = "model.diffusion_model."
CROSS = f"{UNET}input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight"


@pytest.mark.parametrize(
    ("shapes", "kind", "family", "side"),
    [
        ({f"{UNET}input_blocks.0.0.weight": (2, 4, 1, 1), CROSS: (2, 768)}, "model", "sd", 512),
        ({f"{UNET}input_blocks.0.0.weight": (2, 4, 1, 1), CROSS: (2, 1024)}, "model", "sd", 768),
        (
            {f"{UNET}input_blocks.0.0.weight": (2, 4, 1, 1), "conditioner.embedders.1.model.x": (1,)},
            "model",
            "sdxl",
            1024,
        ),
        (
            {f"{UNET}input_blocks.0.0.weight": (2, 4, 1, 1), "conditioner.embedders.0.model.x": (1,)},
            "model",
            "sdxl-refiner",
            1024,
        ),
        ({"unet.a.attn2.to_k.lora_A.weight": (4, 768)}, "lora", "sd", 512),
        ({"unet.a.attn2.to_k.lora_A.weight": (4, 2048)}, "lora", "sdxl", 512),
        ({"lora_unet_a.lora_down.weight": (4, 4), "lora_te2_b.lora_down.weight": (4, 4)}, "lora", "sdxl", 512),
        ({"lora_te_text_model_a.hada_w1_a": (4, 4)}, "lora", "sd", 512),
        ({"controlnet_cond_embedding.conv_in.weight": (1, 1, 1, 1)}, "controlnet", "sd", 512),
        ({"encoder.conv_in.weight": (1, 1, 1, 1)}, "vae", "sd", 512),
        ({"conv_first.weight": (1, 1, 1, 1), "body.0.rdb1.conv1.weight": (1, 1, 1, 1)}, "upscaler", "sd", 512),
        ({"emb_params": (2, 768)}, "embedding", "sd", 512),
        ({"text_encoders_0": (2, 768), "text_encoders_1": (2, 1280)}, "embedding", "sdxl", 512),
        ({"<cat.v1>": (1, 768), "<cat.v1>_1": (1, 768), "<dog.v1>": (1, 768)}, "embedding", "sd", 512),
        ({"unet.a.lora_up.weight": (4, 4), "clip_g.b.lora_up.weight": (4, 4)}, "lora", "sdxl", 512),
    ],
)
def test_a_file_is_recognised_by_its_tensors(
    tmp_path: Path, shapes: dict[str, tuple[int, ...]], kind: str, family: str, side: int
) -> None:
    path = str(tensors(tmp_path / "a.safetensors", shapes))
    spec = SHIPPED.find(path, kind)  # type: ignore[arg-type]
    assert (spec.kind, spec.family, spec.width) == (kind, family, side)
    if kind != "model":
        with pytest.raises(ModelError, match="use it with"):
            SHIPPED.find(path)


def test_an_unrecognised_file_is_accepted_except_as_a_model(tmp_path: Path) -> None:
    path = str(tensors(tmp_path / "a.safetensors", {"what": (2, 2, 2)}))
    assert SHIPPED.find(path, "upscaler").kind == "upscaler"
    with pytest.raises(ModelError, match="does not hold a model of a supported family"):
        SHIPPED.find(path)


def test_a_partial_download_names_the_missing_bytes(tmp_path: Path) -> None:
    path = tensors(tmp_path / "a.safetensors", {"what": (2, 2, 2)})
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ModelError, match=r"damaged or only partly downloaded: it has .* bytes"):
        SHIPPED.find(str(path))


@pytest.mark.parametrize("name", ["x.ckpt", "x.pt", "x.pth", "folder/x.bin"])
def test_a_pickle_is_refused_naming_optimize_model(name: str) -> None:
    with pytest.raises(ModelError, match="pickle files can contain code and are not opened") as caught:
        SHIPPED.find(name)
    assert f"!optimize_model {name}" in caught.value.hint


# the hub


@pytest.mark.parametrize(
    ("weights", "address"),
    [
        ("owner/name", "owner/name"),
        ("owner/name/file.safetensors", "owner/name/file.safetensors"),
        ("owner/name/a/b.safetensors", "owner/name/a/b.safetensors"),
        ("owner/name/file.ckpt", None),
        ("./owner/name", None),
        ("/owner/name", None),
        ("~/name", None),
        ("name", None),
        (".hidden/name", None),
        ("owner/na me", None),
        ("owner/näme", None),
        ("C:\\models\\x.safetensors", None),
    ],
)
def test_hub_ids_are_recognised(weights: str, address: str | None) -> None:
    found = hub_address(weights)
    assert (found and str(found)) == address


def test_a_hub_id_not_on_disk_counts_as_the_wanted_kind() -> None:
    for kind in ("model", "lora"):
        assert Registry({}).find("owner/name", kind).kind == kind  # type: ignore[arg-type]


def test_a_complete_hub_id_in_the_cache_is_recognised_by_its_configs(home: Path) -> None:
    kept = home / "cache" / "huggingface" / "hub" / "models--owner--name"
    configs = {"model_index": INDEX["sdxl"], "unet": {"sample_size": 128}, "vae": FOUR_LEVELS}
    path = folder(kept / "snapshots" / "abc", configs)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("abc")
    for shard in (1, 2):
        spec = Registry({}).find("owner/name")
        assert (spec.weights, spec.family) == ("owner/name", "auto")
        assert not is_on_disk(spec)
        for part in ("unet", "vae", "text_encoder", "text_encoder_2"):
            tensors(path / part / f"model-0000{shard}-of-00002.safetensors", {"a": (1,)})
    spec = Registry({}).find("owner/name")
    assert (spec.weights, spec.family, spec.width) == ("owner/name", "sdxl", 1024)
    assert is_on_disk(spec)


def test_a_kandinsky_decoder_without_prior_is_not_on_disk(home: Path) -> None:
    assert is_on_disk(ModelSpec(name="a", weights=str(home)))
    assert not is_on_disk(ModelSpec(name="a", weights=str(home), prior="owner/prior"))


def test_relative_weights_are_found_beside_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lists" / "weights").mkdir(parents=True)
    listed = tmp_path / "lists" / "models.yaml"
    listed.write_text("mine:\n  weights: weights\nhub:\n  weights: somebody/something\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    models = read_registry(Path("lists/models.yaml"))
    assert models.find("mine").weights == str(tmp_path / "lists" / "weights")
    assert models.find("hub").weights == "somebody/something"
