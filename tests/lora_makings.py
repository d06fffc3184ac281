"""LoRA files with random weights in the layouts of trainers, and the weights they should give, computed by hand.

The products here are written out index by index, in float64: a second implementation beside the engine's.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tests.tiny_ldm import _unet_name

Tensors = dict[str, torch.Tensor]
Merge = Callable[[torch.Tensor, float], torch.Tensor]
"""(weight, strength) → the merged weight."""


@dataclass(frozen=True)
class LoraCase:
    """One file."""

    layout: str = "kohya"
    kind: str = "lora"
    alpha: str = "none"
    """`none`, `rank`, `half`, `each` (another one in each module), `text` (four times as large for text encoders)."""
    rank: int | str = 4
    """`mixed`: a different layout in each module."""
    targets: str = "attention"
    family: str = "sd"
    strength: float = 1.0
    dtype: torch.dtype = torch.float32

    def __str__(self) -> str:
        shown = (self.layout, self.kind, self.alpha, self.rank, self.targets, self.family, self.strength, self.dtype)
        return "-".join(map(str, shown)).removesuffix("-torch.float32")


TARGETS: Mapping[str, tuple[str, ...]] = {
    "attention": ("unet:to_q", "unet:to_k", "unet:to_v", "unet:to_out.0"),
    "feed-forward": ("unet:ff.net.0.proj", "unet:ff.net.2", "unet:proj_in", "unet:proj_out"),
    "convolutions": ("unet:resnets.0.conv1", "unet:conv2", "unet:conv_shortcut", "unet:samplers.0.conv"),
    "time": ("unet:time_emb_proj", "unet:linear_1", "unet:conv_in", "unet:conv_out", "unet:to_v"),
    "text": ("text_encoder:q_proj", "text_encoder:out_proj", "text_encoder:fc1"),
    "all": ("unet:to_q", "unet:to_out.0", "unet:conv1", "text_encoder:v_proj", "text_encoder:fc2"),
    "both texts": ("unet:to_k", "text_encoder:q_proj", "text_encoder_2:q_proj", "text_encoder_2:fc1"),
    "norms": ("unet:norm1", "unet:norm", "text_encoder:layer_norm1"),
    "everything": ("unet:to_q", "unet:norm2", "unet:conv2", "text_encoder:k_proj"),
}


def modules(parts: Mapping[str, Any], targets: str) -> Iterator[tuple[str, str, torch.nn.Module]]:
    """(network, name, module) of each module with a LoRA."""
    for target in TARGETS[targets]:
        part, _, ending = target.partition(":")
        for name, module in parts[part].named_modules():
            if name.endswith(ending) and getattr(module, "weight", None) is not None:
                yield part, name, module


def write(path: Path, case: LoraCase, parts: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Merge]]:
    """Write the file to `path`; return the expected change of `weight` and `bias` of each module."""
    generator = torch.Generator().manual_seed(_seed(case))
    state: Tensors = {}
    merges: dict[tuple[str, str], dict[str, Merge]] = {}
    alphas: dict[str, float] = {}
    for index, (part, name, module) in enumerate(modules(parts, case.targets)):
        rank = (2, 3, 5)[index % 3] if case.rank == "mixed" else int(case.rank)
        alpha = _alpha(case, index, rank, part)
        tensors, merge = _tensors(case, module, rank, rank if alpha is None else alpha, generator)
        if alpha is not None:
            alphas[f"{part}.{name}"] = alpha
            if case.layout not in {"peft", "metadata"}:
                tensors["alpha"] = torch.tensor(alpha)
        state |= {_key(case, part, name, role, parts): tensor for role, tensor in tensors.items()}
        merges[part, name] = merge
    metadata = {"format": "pt"}
    if case.layout == "metadata":
        settings: dict[str, Any] = {}
        for part in {part for part, _ in merges}:
            settings |= {
                f"{part}.r": 4,
                f"{part}.lora_alpha": 4,
                f"{part}.alpha_pattern": _patterns(f"{part}.", alphas),
            }
        metadata["lora_adapter_metadata"] = json.dumps(settings)
    if case.layout == "peft":
        kind, alpha = {"lora": ("LORA", "lora_alpha")}.get(case.kind, (case.kind[:4].upper(), "alpha"))
        config = {"peft_type": kind, "r": 4, alpha: 4, "alpha_pattern": _patterns("unet.", alphas)}
        (path.parent / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file({key: tensor.contiguous().to(case.dtype) for key, tensor in state.items()}, path, metadata)
    return merges


def merged(parts: Mapping[str, Any], merges: Mapping[tuple[str, str], Mapping[str, Merge]], strength: float) -> None:
    """Apply the file to the weights of `parts`."""
    with torch.no_grad():
        for (part, name), merge in merges.items():
            module = parts[part].get_submodule(name)
            for field, change in merge.items():
                weight = getattr(module, field)
                weight.copy_(change(weight.double(), strength))


def _seed(case: LoraCase) -> int:
    return sum(ord(letter) * (place + 1) for place, letter in enumerate(str(case)))


def _alpha(case: LoraCase, index: int, rank: int, part: str) -> float | None:
    match case.alpha:
        case "none":
            return None
        case "half":
            return rank / 2
        case "each":
            return (0.5, 1.0, 3.0, 8.0)[index % 4]
        case "text":
            return rank * (1.0 if part == "unet" else 4.0)
    return float(rank)


def _patterns(start: str, alphas: Mapping[str, float]) -> dict[str, float]:
    return {name.removeprefix(start): alpha for name, alpha in alphas.items() if name.startswith(start)}


def _tensors(  # noqa: PLR0912, PLR0915 - one case after another
    case: LoraCase, module: Any, rank: int, alpha: float, generator: torch.Generator
) -> tuple[Tensors, dict[str, Merge]]:
    """Tensors by their common names, and the weights they give."""
    kind, shape = case.kind, tuple(module.weight.shape)

    def random(*size: int) -> torch.Tensor:
        return (torch.randn(*size, generator=generator) * 0.3).to(case.dtype).float()

    if len(shape) == 1 or kind == "diff":
        if kind == "w_norm" or len(shape) == 1:
            names = ("w_norm", "b_norm") if kind != "diff" else ("diff", "diff_b")
        else:
            names = ("diff", "diff_b")
        tensors = {names[0]: random(*shape)}
        merges: dict[str, Merge] = {"weight": _plus(tensors[names[0]])}
        if module.bias is not None:
            tensors[names[1]] = random(*module.bias.shape)
            merges["bias"] = _plus(tensors[names[1]])
        return tensors, merges
    out, into, *size = shape
    flat = into
    for side in size:
        flat *= side
    scale = alpha / rank
    if kind.startswith("loha"):
        if kind == "loha-core" and size:
            t = {f"hada_w{i}_a": random(rank, out) for i in (1, 2)} | {
                f"hada_w{i}_b": random(rank, into) for i in (1, 2)
            }
            t |= {f"hada_t{i}": random(rank, rank, *size) for i in (1, 2)}
            first, second = (_core(t[f"hada_t{i}"], t[f"hada_w{i}_a"].T, t[f"hada_w{i}_b"]) for i in (1, 2))
        else:
            t = {f"hada_w{i}_a": random(out, rank) for i in (1, 2)} | {
                f"hada_w{i}_b": random(rank, flat) for i in (1, 2)
            }
            first, second = (_matrix(t[f"hada_w{i}_a"], t[f"hada_w{i}_b"]).reshape(shape) for i in (1, 2))
        delta = first * second
    elif kind.startswith("lokr"):
        a, b = 4, 4
        c, d = out // a, into // b
        t = {"lokr_w1": random(a, b)}
        if kind in {"lokr-both", "lokr-first"}:
            t = {"lokr_w1_a": random(a, rank), "lokr_w1_b": random(rank, b)}
        one = t["lokr_w1"] if "lokr_w1" in t else _matrix(t["lokr_w1_a"], t["lokr_w1_b"])
        if kind in {"lokr-whole", "lokr-first"}:
            t["lokr_w2"] = random(c, d, *size)
            two, scale = t["lokr_w2"].double(), 1.0 if kind == "lokr-whole" and case.layout != "peft" else scale
        elif kind == "lokr-core" and size:
            t |= {"lokr_t2": random(rank, rank, *size), "lokr_w2_a": random(rank, c), "lokr_w2_b": random(rank, d)}
            two = _core(t["lokr_t2"], t["lokr_w2_a"].T, t["lokr_w2_b"])
        else:
            t |= {"lokr_w2_a": random(c, rank), "lokr_w2_b": random(rank, d * flat // into)}
            two = _matrix(t["lokr_w2_a"], t["lokr_w2_b"]).reshape(c, d, *size)
        delta = torch.zeros(shape, dtype=torch.float64)
        for i in range(a):
            for j in range(b):
                delta[i * c : (i + 1) * c, j * d : (j + 1) * d] = one[i, j].double() * two
    elif kind == "locon-core" and size:
        t = {"lora_up.weight": random(out, rank, 1, 1), "lora_down.weight": random(rank, into, 1, 1)}
        t["lora_mid.weight"] = random(rank, rank, *size)
        delta = _core(t["lora_mid.weight"], t["lora_up.weight"][..., 0, 0], t["lora_down.weight"][..., 0, 0])
    else:
        ones = [1] * len(size)
        t = {"lora_up.weight": random(out, rank, *ones), "lora_down.weight": random(rank, into, *size)}
        delta = _matrix(t["lora_up.weight"].flatten(1), t["lora_down.weight"].flatten(1)).reshape(shape)
    if kind.startswith("dora"):
        return _dora(case, t, delta * scale, module.weight, random)
    return t, {"weight": _plus(delta * scale)}


def _dora(
    case: LoraCase, t: Tensors, delta: torch.Tensor, weight: torch.Tensor, random: Any
) -> tuple[Tensors, dict[str, Merge]]:
    """Magnitudes close to those of the weights."""
    kind = case.kind
    axis = 1 if kind == "dora-inputs" else 0
    norms = weight.detach().transpose(0, axis).flatten(1).norm(dim=1)
    magnitude = (norms * (1 + 0.5 * random(len(norms)).tanh())).to(case.dtype).float()
    shape = [1] * weight.dim()
    shape[axis] = -1
    if kind == "dora-peft":
        swapped = magnitude if weight.dim() == 2 else magnitude.reshape(1, -1, 1, 1)
        t["lora_magnitude_vector"] = swapped
    else:
        t["dora_scale"] = magnitude.reshape(shape)

    def merge(weight: torch.Tensor, strength: float) -> torch.Tensor:
        if not strength:
            return weight
        changed = (weight + strength * delta).transpose(0, axis)
        rows = [row * m / row.square().sum().sqrt() for row, m in zip(changed, magnitude.double(), strict=True)]
        return torch.stack(rows).transpose(0, axis)

    return t, {"weight": merge}


def _plus(delta: torch.Tensor) -> Merge:
    return lambda weight, strength: weight + strength * delta.double().reshape(weight.shape)


def _matrix(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    product = torch.zeros(a.shape[0], b.shape[1], dtype=torch.float64)
    for k in range(a.shape[1]):
        product += a[:, k, None].double() * b[None, k].double()
    return product


def _core(core: torch.Tensor, outs: torch.Tensor, ins: torch.Tensor) -> torch.Tensor:
    """Σ outs[o, p]·core[p, q, …]·ins[q, i]."""
    made = torch.zeros(outs.shape[0], ins.shape[1], *core.shape[2:], dtype=torch.float64)
    for p in range(core.shape[0]):
        for q in range(core.shape[1]):
            made += (
                outs[:, p].double()[:, None, None, None] * ins[q].double()[None, :, None, None] * core[p, q].double()
            )
    return made


def _key(case: LoraCase, part: str, name: str, role: str, parts: Mapping[str, Any]) -> str:
    """The layout's name of a tensor."""
    if part != "unet":
        name = name if name.startswith("text_model.") else f"text_model.{name}"
    match case.layout:
        case "kohya" | "original":
            if case.layout == "original" and part == "unet":
                name = _unet_name(f"{name}.", parts["unet"]).rstrip(".")
            start = {"unet": "lora_unet_", "text_encoder_2": "lora_te2_"}.get(part)
            start = start or ("lora_te1_" if case.family == "sdxl" else "lora_te_")
            return f"{start}{name.replace('.', '_')}.{role}"
        case "attention processors":
            ending = {"alpha": "_lora.alpha"}.get(role, role.replace("lora_", "_lora."))
            if part == "unet":
                owner, _, projection = name.removesuffix(".0").rpartition(".")
                return f"unet.{owner}.processor.{projection}{ending}"
            return f"{part}.{name}.lora_linear_layer{ending.removeprefix('_lora')}"
        case "metadata" | "dotted":
            role = (
                role.replace("lora_down", "lora_A").replace("lora_up", "lora_B") if case.layout == "metadata" else role
            )
            return f"{part}.{name}.{role}"
        case "peft":
            return f"base_model.model.{name}.{role.replace('lora_down', 'lora_A').replace('lora_up', 'lora_B')}"
        case "omi":
            if part == "unet":
                name = _unet_name(f"{name}.", parts["unet"]).rstrip(".")
            owner = {"text_encoder": "clip_l", "text_encoder_2": "clip_g"}.get(part, part)
            return f"{owner}.{name}.{role}"
        case "comfyui":
            owner = {"unet": "diffusion_model", "text_encoder": "text_encoders.clip_l.transformer"}
            if part == "unet":
                name = _unet_name(f"{name}.", parts["unet"]).rstrip(".")
            return f"{owner.get(part, 'text_encoders.clip_g.transformer')}.{name}.{role}"
        case "lycoris":
            return f"lycoris_{name.replace('.', '_')}.{role}"
    raise AssertionError(case.layout)


CASES = (
    # rank and alpha, per module
    LoraCase(),
    LoraCase(alpha="rank"),
    LoraCase(alpha="half"),
    LoraCase(alpha="each"),
    LoraCase(alpha="each", rank="mixed", targets="all"),
    LoraCase(alpha="text", targets="all"),
    LoraCase(alpha="each", rank=1, targets="text"),
    LoraCase(alpha="half", rank=8, targets="feed-forward"),
    LoraCase(alpha="each", rank="mixed", targets="time"),
    LoraCase(alpha="each", targets="convolutions", kind="locon"),
    LoraCase(alpha="half", targets="convolutions", kind="locon-core"),
    # weights
    LoraCase(alpha="each", targets="all", strength=-2.0),
    LoraCase(alpha="each", targets="all", strength=0.35),
    LoraCase(alpha="half", targets="all", strength=2.0),
    # layouts of other programs
    LoraCase("attention processors"),
    LoraCase("attention processors", alpha="each", targets="text"),
    LoraCase("dotted", alpha="each", rank="mixed", targets="all"),
    LoraCase("metadata", alpha="each", rank="mixed", targets="all"),
    LoraCase("metadata", kind="dora-peft", alpha="half"),
    LoraCase("metadata", kind="dora-peft", targets="convolutions"),
    LoraCase("peft", alpha="each", rank="mixed"),
    LoraCase("peft", targets="convolutions"),
    LoraCase("peft", kind="loha", alpha="each"),
    LoraCase("peft", kind="lokr", alpha="half"),
    LoraCase("peft", kind="lokr-whole", alpha="half"),
    LoraCase("lycoris", kind="lokr", alpha="half"),
    LoraCase("original", alpha="each", targets="convolutions", kind="locon"),
    # LyCORIS
    LoraCase(kind="loha", alpha="half"),
    LoraCase(kind="loha", alpha="each", targets="convolutions"),
    LoraCase(kind="loha-core", alpha="half", targets="convolutions", strength=0.5),
    LoraCase(kind="lokr", alpha="half", targets="all"),
    LoraCase(kind="lokr-both", alpha="each", rank=2, targets="attention"),
    LoraCase(kind="lokr-first", alpha="half", rank=2, targets="convolutions"),
    LoraCase(kind="lokr-whole", alpha="rank", targets="feed-forward"),
    LoraCase(kind="lokr-core", alpha="half", targets="convolutions"),
    LoraCase(kind="dora", alpha="half", targets="all"),
    LoraCase(kind="dora", alpha="each", targets="convolutions", strength=0.6),
    LoraCase(kind="dora-inputs", alpha="half", targets="all"),
    LoraCase(kind="diff", targets="norms"),
    LoraCase(kind="w_norm", targets="norms", strength=-1.0),
    LoraCase(kind="diff", targets="everything", strength=0.5),
    LoraCase(alpha="each", targets="everything"),
    # precision of the file
    LoraCase(alpha="each", rank="mixed", targets="all", dtype=torch.float16),
    LoraCase(kind="dora", alpha="half", targets="all", dtype=torch.bfloat16),
    LoraCase("metadata", alpha="each", targets="all", dtype=torch.bfloat16, strength=-0.5),
    # Stable Diffusion 2, whose projections are linear
    LoraCase(alpha="each", rank="mixed", targets="all", family="sd2"),
    LoraCase(alpha="half", targets="feed-forward", family="sd2"),
    LoraCase("metadata", alpha="text", targets="all", family="sd2", strength=1.5),
    LoraCase(kind="lokr", alpha="half", targets="feed-forward", family="sd2"),
    LoraCase("original", kind="loha", alpha="each", targets="feed-forward", family="sd2"),
    LoraCase("comfyui", alpha="each", rank="mixed", targets="all"),
    # Stable Diffusion XL, by diffusers' names and by those of the original code
    LoraCase(alpha="each", rank="mixed", targets="both texts", family="sdxl"),
    LoraCase("original", alpha="each", rank="mixed", targets="all", family="sdxl"),
    LoraCase("original", alpha="half", targets="time", family="sdxl"),
    LoraCase("metadata", alpha="text", targets="both texts", family="sdxl", strength=0.7),
    LoraCase("original", kind="loha", alpha="half", targets="attention", family="sdxl"),
    LoraCase("original", kind="dora", alpha="each", targets="both texts", family="sdxl"),
    LoraCase("omi", kind="dora", alpha="each", targets="both texts", family="sdxl"),
    LoraCase("comfyui", kind="diff", targets="everything", family="sdxl", strength=-2.0),
    LoraCase("comfyui", alpha="half", targets="both texts", family="sdxl", dtype=torch.float16),
)
