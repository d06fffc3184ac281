"""Recognises what a file of weights holds by the names and shapes of its tensors."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from invoke.models.families import FAMILIES, Family, family_of_file, is_told_sizes
from invoke.models.safetensors_header import Header

_UNETS = ("model.diffusion_model.", "diffusion_model.", "")
"""Prefixes of a UNet's tensors in the layout of the original code."""
_DIFFUSERS_UNET = ("conv_in.weight", "time_embedding.linear_1.weight", "conv_out.weight")
_PARTS: Mapping[str, str] = {
    r"first_stage_model\.(encoder|decoder)\.conv_in\.weight": "vae",
    r"cond_stage_model\.(transformer\.|model\.)?(text_model\.)?(embeddings\.)?token_embedding\.weight": "text_encoder",
    r"conditioner\.embedders\.0\.transformer\.(text_model\.)?embeddings\.token_embedding\.weight": "text_encoder",
    r"conditioner\.embedders\.[01]\.model\.token_embedding\.weight": "text_encoder_2",
}
"""Name of a characteristic tensor → part of a model."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A Stable Diffusion model in a single file."""

    family: Family
    channels: int
    """Input channels of its UNet: 4, 9 with mask and masked picture, or 8 for edits by instruction."""
    text_width: int
    """Width of the text embeddings that its UNet takes: 768 in version 1, 1024 in version 2, 2048 in XL."""
    prefix: str | None
    """Prefix of its UNet's tensors in the layout of the original code; None in diffusers' layout."""
    parts: frozenset[str]
    """Those of `unet vae text_encoder text_encoder_2` that the file holds."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The parts that must come from elsewhere."""
        return tuple(part for part in FAMILIES[self.family].file_parts if part not in self.parts)


def read_checkpoint(header: Header) -> Checkpoint | None:
    """Describe a checkpoint; None if the file has no UNet of that family, or is a ControlNet with its base model."""
    if any(key.startswith("control_model.") for key in header):
        return None
    prefix = next((start for start in _UNETS if _is_unet(header, start)), None)
    is_diffusers = header.keys() >= set(_DIFFUSERS_UNET) and "down_blocks.0.resnets.0.conv1.weight" in header
    if prefix is None and not is_diffusers:
        return None
    first = header["conv_in.weight" if prefix is None else f"{prefix}input_blocks.0.0.weight"]
    width = _text_width(header)
    parts = {part for key in header for pattern, part in _PARTS.items() if re.fullmatch(pattern, key)}
    return Checkpoint(family_of_file(header, width), int(first["shape"][1]), width, prefix, frozenset({"unet", *parts}))


def _is_unet(header: Header, start: str) -> bool:
    """Whether there is a UNet with the prefix `start`; without a prefix, the last layer excludes ControlNets."""
    return f"{start}input_blocks.0.0.weight" in header and bool(start or "out.2.weight" in header)


def _text_width(header: Header) -> int:
    keys = (key for key in header if key.endswith("attn2.to_k.weight") and not key.startswith("first_stage"))
    key = next(keys, None)
    return 0 if key is None else int(header[key]["shape"][-1])


# other kinds of files


def read_kind(header: Header) -> dict[str, Any] | None:
    """The fields of a ModelSpec that follow from a file's tensors; None if nothing is recognised."""
    return next((fields for fields in (read(header) for read in _READERS) if fields is not None), None)


def refused_contents(header: Header) -> tuple[str, str] | None:
    """Known but unsupported contents of the file, with advice; None if there are none."""
    if any(_LORA.search(key) for key in header):
        family = next((name for name, mark in OTHER_LORAS.items() if any(re.search(mark, key) for key in header)), None)
        if family is not None:
            return f"a LoRA for {family}", LORAS_ALONE
        if kind := next(
            (kind for mark, kind in OTHER_KINDS.items() if any(re.search(mark, key) for key in header)), ""
        ):
            return kind, LORA_KINDS
    for contents, (marks, advice) in REFUSED.items():
        if any(re.search(marks, key) for key in header):
            return contents, advice
    if has_integers(header):
        return INTEGERS
    first = next(
        (header[f"{p}input_blocks.0.0.weight"] for p in _UNETS if f"{p}input_blocks.0.0.weight" in header), None
    )
    if first is not None and not any("hint_block" in key for key in header) and first["shape"][1:2] in ([5], [7]):
        contents, advice = {
            5: ("Stable Diffusion 2 for depth", "a depth ControlNet does the same: --control depth auto:depth"),
            7: ("the x4 upscaler of Stable Diffusion in a single file", _FOLDER),
        }[first["shape"][1]]
        return contents, advice
    return None


def has_integers(header: Header) -> bool:
    """Whether there are weights of 8-bit integers. Larger ones are positions and indexes."""
    return any(row["dtype"] in _INTEGERS and len(row["shape"]) > 1 for row in header.values())


_INTEGERS = ("I8", "U8")
INTEGERS = ("weights of 8-bit integers", "they need scales that only their own program knows: use an fp16 version")
"""Contents of a file with quantised weights that no name tells, and advice."""
_FOLDER = "use its folder in diffusers layout, or its hub id"
REFUSED: Mapping[str, tuple[str, str]] = {
    "a control-LoRA": (r"^lora_controlnet$|^control_lora", "use a whole ControlNet, such as canny-sdxl"),
    "a ControlNet-LLLite": (r"^lllite_(unet|dit)", "use a whole ControlNet for the same kind of picture"),
    "a T2I-Adapter": (
        r"^(adapter\.)?body\.\d+\.(resnets\.\d+\.)?(block1|in_conv)\.weight$",
        "use a ControlNet for the same kind of picture",
    ),
    "a ControlNet union": (
        r"^(task_embedding|control_add_embedding\.|controlnet_mode_embedder)",
        "use its folder or hub id: --control union-canny-sdxl",
    ),
    "a ControlNet-XS": (r"ctrl_to_base|base_to_ctrl|(^|\.)enc_zero_convs_(in|out)\.", "use a whole ControlNet"),
    "an IP-Adapter FaceID": (
        r"^(ip_adapter\.\d+\.to_k_lora|image_proj\.perceiver_resampler)\.",
        "it needs InsightFace, which is not supported; ip-adapter-plus-face works without it",
    ),
    "a motion module (AnimateDiff)": (r"motion_modules\.", "animations are not supported"),
    "Flux": (r"(^|\.)double_blocks\.0\.img_attn\.", f"{_FOLDER}: -m flux-schnell"),
    "Stable Diffusion 3": (r"(^|\.)joint_blocks\.0\.", f"{_FOLDER}: -m sd-3.5-medium"),
    "Stable Cascade": (r"^(clip_txt_mapper\.|down_blocks\.1\.0\.channelwise)", _FOLDER),
    "AuraFlow": (r"(^|\.)double_layers\.0\.attn\.w[12]q\.weight$", _FOLDER),
    "Zero-1-to-3": (r"^cc_projection\.", "it turns views, which is not supported"),
    "Stable Diffusion unCLIP": (
        r"^(noise_augmentor|embedder\.model\.visual)\.",
        "use a model for text-to-image; --ip_adapter makes it follow a picture",
    ),
    "a transformer of a family that is not supported in single files": (
        r"^(model\.diffusion_model\.)?(transformer_blocks\.\d+\.|cap_embedder\.|txt_in\.|patchify_proj\.)",
        _FOLDER,
    ),
    "fp8 weights with their own scales": (
        r"\.(scale_weight|weight_scale)$|(^|\.)scaled_fp8$",
        "use an fp16 version",
    ),
    "weights quantised by bitsandbytes": (r"\.(absmax|quant_map)$|\.quant_state\.", "use an fp16 version"),
    "a textual inversion with vectors for the text encoder's output": (
        r"^(emb_params|clip_[lg])_out$",
        "save it without them (OneTrainer: output embedding)",
    ),
    "a textual inversion for Stable Diffusion 3": (
        r"^t5xxl$",
        "textual inversions work only with Stable Diffusion 1, 2 and XL",
    ),
    "a hypernetwork": (r"^(768|320|640|1280)\.", "use a LoRA instead"),
    "just a text encoder": (
        r"^(text_model\.)?(encoder\.layers\.0\.self_attn\.q_proj|transformer\.resblocks\.0\.attn\.in_proj)",
        "it belongs to a model's folder or file",
    ),
}
"""Unsupported contents of a file → pattern of a characteristic tensor, and advice."""

LORAS_ALONE = "LoRAs work only with Stable Diffusion 1, 2 and XL"
_MODULE = r"^(base_model\.model\.|(model\.)?diffusion_model\.|transformer\.|lora_unet_|lora_transformer_)?"
OTHER_LORAS: Mapping[str, str] = {
    "Flux": rf"{_MODULE}(double_blocks|single_blocks|single_transformer_blocks)[._]\d",
    "Stable Diffusion 3": rf"{_MODULE}joint_blocks[._]\d",
    "Stable Cascade": r"^lora_prior_unet_",
    "AuraFlow": rf"{_MODULE}(joint|single)_transformer_blocks[._]\d+[._](attn|ff|linear)",
    "a transformer": rf"{_MODULE}(transformer_blocks|layers|blocks)[._]\d",
}
"""Family without support for LoRAs → pattern of a tensor in a LoRA for it."""

OTHER_KINDS: Mapping[str, str] = {
    r"oft_(blocks|diag)|(?<!b)oft_R": "OFT",
    r"\.(a1|a2|b1|b2)\.weight$": "GLoRA",
    r"\.on_input$": "IA³",
    r"^bundle_emb\.": "textual inversions inside a LoRA",
    r"lora_B(\.[\w-]+)?\.bias$": "LoRA with biases of its own",
    r"\.boft_[Rs]\b": "BOFT",
    r"\.lora_embedding_[AB]\b": "LoRA of embeddings",
    r"^base_model\.model\.(?!.*\.(lora|hada|lokr|oft|boft|ia3|vera)_).*\.(weight|bias)$": "whole layers beside a LoRA "
    "(peft's modules_to_save or bias)",
    r"^base_model\..*\.(ia3|vera|pvera|bone|miss|hra|hira|fourierft|randlora|vblora|unilora|tinylora|c3a|road|shira"
    r"|delora|waveft|gralora|glora|psoft|frod|deft|beft|lily|adamss|peanut)_\w+": "another kind of peft's adapters",
}
"""Pattern of a tensor in an adapter that is no sum of products → what it is called."""
LORA_KINDS = "LoRA, LoCon, DoRA, LoHa, LoKr and differences are supported"

_LORA = re.compile(
    r"[._](lora_(A|B|up|down)|lora_linear_layer|lora\.(up|down)|lokr_w\d|hada_w\d_[ab])\b|\.proj_lora\d\."
    r"|^lora_(unet|te)|^lycoris_|^base_model\.|^bundle_emb\.|[._](oft_blocks|oft_diag)\b|\.(diff|diff_b|w_norm|b_norm|dora_scale)$"
)


def _lora(header: Header) -> dict[str, Any] | None:
    if not any(_LORA.search(key) for key in header):
        return None
    return {"kind": "lora", "family": "sdxl" if _is_xl(header) else "sd"}


_IMAGE_ENCODERS = {("plus", 1280): "clip-vit-h", ("plus", 1664): "clip-vit-bigg"} | {
    ("plain", 1024): "clip-vit-h",
    ("plain", 1280): "clip-vit-bigg",
}
"""(kind of IP-Adapter, width of its input) → name of the matching image encoder on the list."""
IP_WIDTHS = {
    "plain": ("image_proj.proj.weight", -1),
    "full": ("image_proj.proj.0.weight", -1),
    "plus": ("image_proj.proj_in.weight", -1),
}
"""Kind of IP-Adapter → tensor that takes the encoded picture, and the axis of its shape that gives the width.
A plain one takes one embedding of the picture, the others one per patch."""


def ip_kind(header: Header) -> tuple[str, int] | None:
    """`plain`, `full` or `plus`, and the width of its input; None if it is not a supported IP-Adapter."""
    for kind, (name, side) in IP_WIDTHS.items():
        if name in header:
            return kind, int(header[name]["shape"][side])
    return None


def _ip_adapter(header: Header) -> dict[str, Any] | None:
    first, kind = header.get("ip_adapter.1.to_k_ip.weight"), ip_kind(header)
    if first is None or kind is None:
        return None
    encoder = _IMAGE_ENCODERS.get(("plain" if kind[0] == "plain" else "plus", kind[1]), "")
    family = "sdxl" if first["shape"][-1] == XL_WIDTH else "sd"
    return {"kind": "ip-adapter", "family": family, "image_encoder": encoder}


XL_WIDTH = 2048
"""Width of Stable Diffusion XL's text embeddings."""


def _controlnet(header: Header) -> dict[str, Any] | None:
    markers = (
        "controlnet_cond_embedding.conv_in.weight",
        "control_model.input_blocks.0.0.weight",
        "input_hint_block.0.weight",
    )
    if not any(key in header for key in markers):
        return None
    return {"kind": "controlnet", "family": "sdxl" if is_told_sizes(header) else "sd"}


def _vae(header: Header) -> dict[str, Any] | None:
    """AutoencoderKL in diffusers' or the original layout, and TAESD."""
    markers = (
        "encoder.conv_in.weight",
        "first_stage_model.encoder.conv_in.weight",
        "vae.encoder.conv_in.weight",
        "encoder.layers.0.weight",
        "decoder.layers.0.weight",
        "decoder.3.conv.0.weight",
        "taesd_decoder.3.conv.0.weight",
    )
    is_half = any(header.keys() >= marks for marks in TINY_HALVES.values())
    return {"kind": "vae"} if is_half or any(key in header for key in markers) else None


TINY_HALVES: Mapping[str, frozenset[str]] = {
    "encoder": frozenset({"0.weight", "1.conv.0.weight", "1.conv.2.weight"}),
    "decoder": frozenset({"1.weight", "3.conv.0.weight", "3.conv.2.weight"}),
}
"""Half of TAESD in its own file → characteristic tensors."""


def _face(header: Header) -> dict[str, Any] | None:
    """GFPGAN, CodeFormer, and RestoreFormer (a VAE with a codebook)."""
    has_own_keys = any(key.startswith(("stylegan_decoder.", "idx_pred_layer.")) for key in header)
    has_codebook = all(key in header for key in ("quantize.embedding.weight", "encoder.down.0.block.0.norm1.weight"))
    return {"kind": "face"} if has_own_keys or has_codebook else None


def _upscaler(header: Header) -> dict[str, Any] | None:
    """The ESRGAN family. Others need spandrel, and so torch, to be recognised."""
    markers = ("model.0.weight", "conv_first.weight", "body.0.rdb1.conv1.weight", "body.0.weight")
    return {"kind": "upscaler"} if any(key.removeprefix("params_ema.") in markers for key in header) else None


def _embedding(header: Header) -> dict[str, Any] | None:
    """A textual inversion: only vectors, one tensor per text encoder, or words with vectors of equal width."""
    if len(header) > LONGEST_TEXT or any(len(tensor["shape"]) not in (1, 2) for tensor in header.values()):
        return None
    names = [key for key in header if key not in UNNAMED]
    widths = {tensor["shape"][-1] for tensor in header.values()}
    if (len(header) > 2 and len(widths) > 1) or any("." in name and not name.startswith("<") for name in names):
        return None  # a dot separates the names of modules
    # further vectors of `<x>` are named `<x>_1`, `<x>_2`, …
    words = tuple(name for name in names if re.sub(r"_\d+$", "", name) not in set(names) - {name})
    is_xl = any(header.keys() >= set(pair) for pair in PAIRS)
    return {"kind": "embedding"} | ({"family": "sdxl"} if is_xl else {}) | ({"triggers": words} if words else {})


PAIRS = (("clip_l", "clip_g"), ("text_encoders_0", "text_encoders_1"))
"""Names of the vectors for the two text encoders of Stable Diffusion XL: A1111's, and those of diffusers' trainer."""
UNNAMED = frozenset({"", "*", "emb_params", "string_to_param.*", *(name for pair in PAIRS for name in pair)})
"""Names of tensors of a textual inversion that are not words."""
LONGEST_TEXT = 75
"""Tokens that a text encoder reads: a file with more vectors is not a textual inversion."""


def _is_xl(header: Header) -> bool:
    """Whether it is for XL: two text encoders, or the width of their combined embeddings."""
    second = any(
        "te2_" in key or "text_encoder_2" in key or "clip_g." in key or key.startswith("add_embedding.")
        for key in header
    )
    return second or any(
        tensor["shape"][-1:] == [XL_WIDTH] for key, tensor in header.items() if "attn2" in key and "to_k" in key
    )


_READERS: tuple[Callable[[Header], dict[str, Any] | None], ...] = (
    _ip_adapter,
    _lora,
    _controlnet,
    _face,
    _vae,
    _upscaler,
    _embedding,
)
