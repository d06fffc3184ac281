"""Reads the networks of a single-file model, in the layout of the original (CompVis, Stability) code or of diffusers.

The file holds weights only. The configs come from the folder that its entry names (`config`), else from
`models.architectures`; parts that the file lacks come from the entry's `vae` or `base`.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from invoke.engine.components.devices import Placement
from invoke.errors import ModelError
from invoke.models.clip_vocabulary import cached_tokenizers, missing_vocabulary, read_vocabulary, vocabulary_file
from invoke.models.folder import read_json
from invoke.models.loadable import TITLES, architecture_of
from invoke.models.spec import INDEX
from invoke.models.tensor_names import Checkpoint

Config = Mapping[str, Any]
State = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Configs:
    """The configs of the parts of a checkpoint."""

    title: str
    """Name of the architecture or folder, for messages."""
    parts: Mapping[str, Config]
    """Those of `unet vae text_encoder text_encoder_2` that are known."""
    scheduler: Config
    index: Config
    """The content of `model_index.json`."""
    folder: Path | None = None
    """The folder they were read from, if any."""
    padding: Mapping[str, str] | None = None


def configs_of_folder(name: str, folder: Path) -> Configs:
    """Read the configs in `folder`. Raises ModelError if one is damaged or missing."""
    parts = {
        part: read_json(name, folder / part / "config.json")
        for part in TITLES
        if (folder / part / "config.json").is_file()
    }
    index = read_json(name, folder / INDEX) if (folder / INDEX).is_file() else {}
    scheduler = read_json(name, folder / "scheduler" / "scheduler_config.json")
    return Configs(str(folder), parts, scheduler, index, folder)


def shipped_configs(name: str, checkpoint: Checkpoint) -> Configs:
    """The shipped configs for the family of `checkpoint`. Raises ModelError if it belongs to none."""
    architecture = architecture_of(name, checkpoint)
    parts = {
        "unet": {**architecture.unet, "in_channels": checkpoint.channels},
        "vae": architecture.vae,
        **architecture.texts,
    }
    return Configs(architecture.title, parts, architecture.scheduler, architecture.index, padding=architecture.padding)


def read_parts(  # noqa: PLR0913, PLR0917 - what a file is read with
    name: str, state: State, checkpoint: Checkpoint, configs: Configs, place: Placement, wanted: Collection[str]
) -> dict[str, Any]:
    """Read each of the `wanted` parts that `state` holds: part → network.

    Raises ModelError if a part is incomplete or does not match `configs`.
    """
    parts: dict[str, Any] = {}
    for part in checkpoint.parts & set(wanted):
        config = configs.parts.get(part)
        if config is None:
            raise ModelError(f"{name}: {configs.title} has no config of the {TITLES[part]}")
        if part == "unet":
            config = {**config, **_guided(state, checkpoint)}
        network, weights = EMPTY[part](config), _CONVERT[part](state, checkpoint, config)
        if part == "unet":
            _check_used(name, state, checkpoint, network, weights, configs.title)
        parts[part] = built(name, part, network, weights, configs.title).to(place.dtype)
    return parts


def built(name: str, part: str, network: Any, weights: State, like: str) -> Any:
    """Fill `network`, whose parameters are on the meta device, with `weights`. Raises ModelError."""
    expected = network.state_dict()
    missing = [key for key in expected if key not in weights]
    if missing:
        raise ModelError(
            f"{name}: its {TITLES.get(part, part)} lacks {len(missing)} of the {len(expected)} tensors of {like}, "
            f"such as {missing[0]}",
            code="incomplete",
            hint="download it again, or name a folder with its configs in its entry: config FOLDER",
        )
    for key, tensor in expected.items():
        if tensor.shape != weights[key].shape:
            raise ModelError(
                f"{name}: its {TITLES.get(part, part)} is not built like {like}: {key} is "
                f"{_shape(weights[key])}, not {_shape(tensor)}",
                code="unknown_family",
                hint="name a folder with its configs in its entry: config FOLDER",
            )
    network.load_state_dict({key: weights[key] for key in expected}, assign=True)
    return network


def read_tokenizers(name: str, configs: Configs, parts: Mapping[str, Any], base: Path | None = None) -> dict[str, Any]:
    """The CLIP tokenizer of each text encoder. Raises ModelError if its vocabulary is not on this disk."""
    found = {}
    for part, network in parts.items():
        if part.startswith("text_encoder"):
            which = part.replace("text_encoder", "tokenizer")
            found[which] = _tokenizer(name, which, configs, network.config.vocab_size, base)
    return found


def _tokenizer(name: str, part: str, configs: Configs, words: int, base: Path | None) -> Any:
    import transformers

    CLIPTokenizer: Any = transformers.CLIPTokenizer  # noqa: N806
    for folder in (configs.folder, base):
        if folder is not None and (folder / part / "tokenizer_config.json").is_file():
            return CLIPTokenizer.from_pretrained(str(folder), subfolder=part, local_files_only=True)
    padding = (configs.padding or {}).get(part, "<|endoftext|>")
    if (file := vocabulary_file()) is not None:
        vocabulary, pairs = read_vocabulary(file)
        return CLIPTokenizer(vocab=vocabulary, merges=pairs, model_max_length=77, pad_token=padding)
    for folder in cached_tokenizers():
        tokenizer = CLIPTokenizer.from_pretrained(str(folder), local_files_only=True, pad_token=padding)
        if len(tokenizer) == words:
            return tokenizer
    raise missing_vocabulary(name)


# converting tensor names


def _unet(state: State, checkpoint: Checkpoint, config: Config) -> State:
    if checkpoint.prefix is None:
        return state
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    convert: Any = convert_ldm_unet_checkpoint
    start = checkpoint.prefix
    named = {f"model.diffusion_model.{k.removeprefix(start)}": v for k, v in state.items() if k.startswith(start)}
    converted: State = convert(named, config)
    guided = {f"time_embedding.{CONSISTENT}": v for k, v in named.items() if k.endswith(f"time_embed.{CONSISTENT}")}
    return {**converted, **guided}


CONSISTENT = "cond_proj.weight"
"""The layer that embeds the guidance scale in a latent consistency UNet (Luo et al. 2023)."""


def _guided(state: State, checkpoint: Checkpoint) -> Config:
    """The width of the guidance-scale embedding, as a config entry, if the UNet has one."""
    key = f"time_embedding.{CONSISTENT}" if checkpoint.prefix is None else f"{checkpoint.prefix}time_embed.{CONSISTENT}"
    return {"time_cond_proj_dim": state[key].shape[1]} if key in state else {}


def _check_used(  # noqa: PLR0913, PLR0917 - what is compared
    name: str, state: State, checkpoint: Checkpoint, network: Any, weights: State, like: str
) -> None:
    """Raise ModelError if the file holds UNet tensors that `network` does not have: the architecture differs."""
    expected = network.state_dict()
    used = {id(weights[key]) for key in expected if key in weights}
    unused = [key for key, tensor in state.items() if _is_of_unet(key, checkpoint) and id(tensor) not in used]
    if unused:
        raise ModelError(
            f"{name}: its UNet is not built like {like}: {unused[0]} has no place there",
            code="unknown_family",
            hint="name a folder with its configs in its entry: config FOLDER",
        )


def _is_of_unet(key: str, checkpoint: Checkpoint) -> bool:
    """Whether a tensor belongs to the UNet; names without a dot are markers left by merging tools."""
    if checkpoint.prefix:
        return key.startswith(checkpoint.prefix)
    return "." in key and not key.startswith(_NOT_OF_UNET)


_NOT_OF_UNET = ("first_stage_model.", "cond_stage_model.", "conditioner.", "model_ema.")


def vae_weights(state: State, config: Config) -> State:
    """The weights of a VAE under diffusers' names, whichever names the file uses."""
    plain = {re.sub(r"^(first_stage_model|vae)\.", "", key): value for key, value in state.items()}
    if any(".down_blocks." in key or ".up_blocks." in key for key in plain):
        return {_modern(key): value for key, value in plain.items()}
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    convert: Any = convert_ldm_vae_checkpoint
    converted: State = convert(plain, config)
    return converted


_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def _modern(key: str) -> str:
    """Rename the attention layers of early diffusers to today's names."""
    return re.sub(
        r"(?<=attentions\.\d\.)(query|key|value|proj_attn)(?=\.)", lambda found: _OLD_ATTENTION[found[1]], key
    )


def _vae(state: State, checkpoint: Checkpoint, config: Config) -> State:
    return vae_weights({key: value for key, value in state.items() if key.startswith("first_stage_model.")}, config)


def _text(place: str) -> Callable[[State, Checkpoint, Config], State]:
    """Converter for the text encoder whose tensor names begin with the pattern `place`."""

    def weights(state: State, checkpoint: Checkpoint, config: Config) -> State:
        group = {re.sub(f"^({place})", "", key): value for key, value in state.items() if re.match(place, key)}
        if any(key.startswith("model.") for key in group):
            plain = {key.removeprefix("model."): value for key, value in group.items() if key.startswith("model.")}
            return _both(dict(_from_open_clip(plain)))
        return _both({key.removeprefix("transformer."): value for key, value in group.items()})

    return weights


def _both(state: State) -> State:
    """Add each tensor with and without the prefix `text_model.`: transformers dropped it from one of its classes."""
    bare = {key.removeprefix("text_model."): value for key, value in state.items()}
    return {**bare, **{f"text_model.{key}": value for key, value in bare.items()}}


_OPEN_CLIP = {
    "token_embedding.": "embeddings.token_embedding.",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final.": "final_layer_norm.",
    "transformer.resblocks.": "encoder.layers.",
    ".ln_1.": ".layer_norm1.",
    ".ln_2.": ".layer_norm2.",
    ".mlp.c_fc.": ".mlp.fc1.",
    ".mlp.c_proj.": ".mlp.fc2.",
    ".attn.out_proj.": ".self_attn.out_proj.",
}
"""OpenCLIP's names → transformers'."""


def _from_open_clip(state: State) -> Iterator[tuple[str, torch.Tensor]]:
    for key, tensor in state.items():
        name = key
        for old, new in _OPEN_CLIP.items():
            name = name.replace(old, new)
        if key == "text_projection":
            yield "text_projection.weight", tensor.T.contiguous()
        elif found := re.match(r"(.*)\.attn\.in_proj_(weight|bias)$", name):
            for part, rows in zip("qkv", tensor.chunk(3), strict=True):
                yield f"{found[1]}.self_attn.{part}_proj.{found[2]}", rows.contiguous()
        else:
            yield name, tensor


_CONVERT: Mapping[str, Callable[[State, Checkpoint, Config], State]] = {
    "unet": _unet,
    "vae": _vae,
    "text_encoder": _text(r"cond_stage_model\.|conditioner\.embedders\.0\.(?=transformer\.)"),
    "text_encoder_2": _text(r"conditioner\.embedders\.[01]\.(?=model\.)"),
}


def _empty_unet(config: Config) -> Any:
    from diffusers import UNet2DConditionModel

    kind: Any = UNet2DConditionModel
    return on_no_device(lambda: kind.from_config(dict(config)))


def empty_vae(config: Config) -> Any:
    """A VAE built from its config, without weights."""
    import diffusers

    kind = getattr(diffusers, str(config.get("_class_name", "AutoencoderKL")))
    return on_no_device(lambda: kind.from_config(dict(config)))


def _empty_text(name: str) -> Callable[[Config], Any]:
    def empty(config: Config) -> Any:
        import transformers

        settings = transformers.CLIPTextConfig(
            **{k: v for k, v in config.items() if k not in {"architectures", "dtype"}}
        )
        return on_no_device(lambda: getattr(transformers, name)(settings))

    return empty


def on_no_device(make: Callable[[], Any]) -> Any:
    """Call `make` with parameters on the meta device, which take no memory; buffers are allocated."""
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        return make()


EMPTY: Mapping[str, Callable[[Config], Any]] = {
    "unet": _empty_unet,
    "vae": empty_vae,
    "text_encoder": _empty_text("CLIPTextModel"),
    "text_encoder_2": _empty_text("CLIPTextModelWithProjection"),
}


def _shape(tensor: torch.Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "one number"
