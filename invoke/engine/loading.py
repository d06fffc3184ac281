"""A ModelSpec becomes a Model: folders, single files and hub ids alike, weights from safetensors only."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from invoke.engine.devices import Place
from invoke.engine.folders import ModelFolder, check_folder, read_json
from invoke.engine.hub import fetch_configs, fetch_model
from invoke.engine.weights import BackgroundHash, Header, read_header
from invoke.errors import ModelError
from invoke.models import ModelSpec

FAMILIES = ("sd",)
DEFAULT_CONFIGS = {
    (4, False): "stable-diffusion-v1-5/stable-diffusion-v1-5",
    (9, False): "stable-diffusion-v1-5/stable-diffusion-inpainting",
    (4, True): "stabilityai/stable-diffusion-2-1",
    (9, True): "stabilityai/stable-diffusion-2-inpainting",
}
"""(UNet channels, version 2) → where a single file's tokenizer and configs are taken from."""


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A loaded Stable Diffusion 1 or 2."""

    spec: ModelSpec
    place: Place
    unet: Any
    vae: Any
    text_encoder: Any
    tokenizer: Any
    scheduler_config: Mapping[str, Any]
    """As the model's own file has it: every sampler is made from this."""
    weights_hash: BackgroundHash

    @property
    def factor(self) -> int:
        """Pixels per latent, each way."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)  # type: ignore[no-any-return]

    @property
    def has_small_vae(self) -> bool:
        """Decoding a preview costs next to nothing."""
        return sum(weight.numel() for weight in self.vae.parameters()) < 20_000_000  # type: ignore[no-any-return]


def load(spec: ModelSpec, place: Place, *, offline: bool) -> Model:
    """The model of `spec`, ready on `place`.

    Raises ModelError, one sentence with what to do next.
    """
    if spec.family not in FAMILIES:
        raise ModelError(f"{spec.name}: models of the family {spec.family} are not known yet")
    path = Path(spec.weights).expanduser()
    try:
        if path.suffix == ".safetensors":
            return _from_file(spec, path, place, offline=offline)
        if path.is_dir():
            return _from_folder(spec, check_folder(spec.name, path), place)
        if _is_path(spec.weights):
            raise ModelError(f"{spec.name}: there is no folder {path}")
        return _from_folder(spec, fetch_model(spec.name, spec.weights, offline=offline), place)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        # the files are whole (that was checked), but do not fit together or are not what they say
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{spec.name}: cannot be loaded: {first}") from error


def _from_folder(spec: ModelSpec, folder: ModelFolder, place: Place) -> Model:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel

    kinds = {"unet": UNet2DConditionModel, "vae": AutoencoderKL, "text_encoder": CLIPTextModel}
    parts = {
        part: kind.from_pretrained(
            str(folder.path),
            subfolder=part,
            variant=folder.variant,
            dtype=place.dtype,
            use_safetensors=True,
            local_files_only=True,
        )
        for part, kind in kinds.items()
    }
    return _model(spec, place, parts, folder.path, BackgroundHash(folder.path, folder.files))


def _from_file(spec: ModelSpec, path: Path, place: Place, *, offline: bool) -> Model:
    if not path.is_file():
        raise ModelError(f"{spec.name}: there is no file {path}")
    wanted = spec.config or DEFAULT_CONFIGS[_kind(spec.name, read_header(path))]
    configs = Path(wanted).expanduser()
    if not configs.is_dir():
        configs = fetch_configs(spec.name, wanted, offline=offline)

    from diffusers import AutoencoderKL, UNet2DConditionModel
    from diffusers.loaders import single_file_utils
    from safetensors.torch import load_file
    from transformers import CLIPTextModel

    load_text: Any = single_file_utils.create_diffusers_clip_model_from_ldm
    state = load_file(path)
    options = {"config": str(configs), "torch_dtype": place.dtype, "local_files_only": True}
    parts = {
        "unet": UNet2DConditionModel.from_single_file(dict(state), subfolder="unet", **options),
        "vae": AutoencoderKL.from_single_file(dict(state), subfolder="vae", **options),
        "text_encoder": load_text(CLIPTextModel, dict(state), subfolder="text_encoder", **options),
    }
    return _model(spec, place, parts, configs, BackgroundHash(path.parent, (path,)))


def _model(spec: ModelSpec, place: Place, parts: Mapping[str, Any], configs: Path, weights: BackgroundHash) -> Model:
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(str(configs), subfolder="tokenizer", local_files_only=True)
    for part in parts.values():
        part.to(place.device).eval().requires_grad_(False)
    unet, text_encoder = parts["unet"], parts["text_encoder"]
    if unet.config.in_channels not in (4, 9):
        raise ModelError(
            f"{spec.name}: a UNet of {unet.config.in_channels} channels belongs to a family that is not known yet"
        )
    scheduler_config = read_json(spec.name, configs / "scheduler" / "scheduler_config.json")
    prediction = scheduler_config.get("prediction_type", "epsilon")
    if prediction not in ("epsilon", "v_prediction"):
        raise ModelError(
            f"{spec.name}: it predicts '{prediction}', which no sampler here takes: epsilon or v_prediction"
        )
    if unet.config.cross_attention_dim != text_encoder.config.hidden_size:
        raise ModelError(f"{spec.name}: its UNet and its text encoder do not belong together")
    return Model(
        spec=spec,
        place=place,
        unet=unet,
        vae=parts["vae"],
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        scheduler_config=scheduler_config,
        weights_hash=weights,
    )


def _kind(name: str, header: Header) -> tuple[int, bool]:
    """Which Stable Diffusion a single file holds, by its tensors: (UNet channels, version 2).

    Raises ModelError for everything else.
    """
    first = header.get("model.diffusion_model.input_blocks.0.0.weight")
    if first is None:
        lora = any("lora" in key for key in header)
        raise ModelError(
            f"{name}: this file holds "
            + ("a LoRA, which is added to a model" if lora else "no Stable Diffusion model in the original layout"),
            hint="name a whole checkpoint, or a folder in diffusers layout",
        )
    if any(key.startswith("conditioner.embedders") for key in header):
        raise ModelError(f"{name}: models of the family SDXL are not known yet", code="unknown_family")
    text = header.get("model.diffusion_model.input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight")
    kind = (int(first["shape"][1]), text is not None and text["shape"][-1] == 1024)
    if kind not in DEFAULT_CONFIGS:
        raise ModelError(f"{name}: a UNet of {kind[0]} channels belongs to a family that is not known yet")
    return kind


def _is_path(weights: str) -> bool:
    return weights.startswith(("/", "~", ".")) or weights.count("/") != 1
