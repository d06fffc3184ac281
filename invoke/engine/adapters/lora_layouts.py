"""Turns the tensors of a LoRA file, of any trainer and naming scheme, into changes of weights.

Supports the layouts of kohya, diffusers, peft and LyCORIS: LoRA and LoCon (Hu et al. 2021), DoRA (Liu et al. 2024),
LoHa (Hyeon-Woo et al. 2022), LoKr (Yeh et al. 2024), and plain differences (norms, biases, whole weights). alpha / rank
is applied here, so that nothing depends on a library's pattern matching. An unused tensor is an error, because a LoRA
that is applied only in part gives a different result.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from invoke.engine.components.finite import check_finite
from invoke.errors import ModelError
from invoke.models.tensor_names import LORA_KINDS

Tensors = Mapping[str, torch.Tensor]
Networks = Mapping[str, torch.nn.Module]
"""`unet`, `text_encoder`, `text_encoder_2` → network."""

_ROLES: Mapping[str, str] = {
    r"\.lora_down\.weight|\.lora_A(\.[\w-]+)?\.weight|[._]lora(_linear_layer)?\.down\.weight": "down",
    r"\.lora_up\.weight|\.lora_B(\.[\w-]+)?\.weight|[._]lora(_linear_layer)?\.up\.weight": "up",
    r"\.lora_mid\.weight": "mid",
    r"\.hada_(?P<factor>w[12]_[ab]|t[12])": "hada",
    r"\.lokr_(?P<factor>w[12](_[ab])?|t2)": "lokr",
    r"([._]lora(_linear_layer)?)?\.alpha": "alpha",
    r"\.dora_scale": "dora_scale",
    r"\.lora_magnitude_vector(\.[\w-]+)*": "magnitude",
    r"\.(diff|w_norm)": "diff",
    r"\.(diff_b|b_norm)": "diff_b",
}
"""Pattern for the end of a key → role of the tensor."""
_PREFIXES: Mapping[str, tuple[str, ...]] = {
    r"lora_unet[_.]|unet\.(base_model\.model\.)?|(model\.)?diffusion_model\.": ("unet",),
    r"lora_te1?[_.]|text_encoder\.(base_model\.model\.)?|(text_encoders\.)?clip_[lh]\.(transformer\.)?": (
        "text_encoder",
    ),
    r"lora_te2[_.]|text_encoder_2\.(base_model\.model\.)?|(text_encoders\.)?clip_g\.(transformer\.)?": (
        "text_encoder_2",
    ),
    r"(base_model\.model\.|lycoris_)?": ("unet", "text_encoder", "text_encoder_2"),
}
"""Pattern for the start of a key → networks it can refer to."""
_ADDED = ("LORA", "LOHA", "LOKR")
"""peft's kinds of adapters that are sums of products, as its config names them."""
_STARTS = (None, True, False, "true", "gaussian", "orthogonal", "eva", "mica")
"""Values of peft's `init_lora_weights` that leave the model's weights as they are."""
_OPTIONS = ("use_qalora", "use_bdlora", "alora_invocation_tokens", "kasa_config", "arrow_config", "layer_replication")
"""peft's options that change what the tensors of a LoRA mean."""
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
"""diffusers' names inside a residual block → the original (CompVis) code's."""


@dataclass(frozen=True, slots=True)
class Change:
    """The change that a LoRA makes to one module."""

    tensors: Tensors
    """Float32, by role: `up down mid w1_a … t2 dora_scale magnitude diff diff_b`."""
    scale: float
    """alpha / rank."""

    def deltas(self, weights: Tensors, strength: float) -> dict[str, torch.Tensor]:
        """Compute what is added to the `weight` and `bias` of a module with these `weights` (float32), at `strength`.

        Raises RuntimeError if the shapes do not match, and KeyError if tensors are missing.
        """
        found: dict[str, torch.Tensor] = {}
        build = next((build for mark, build in _PRODUCTS.items() if mark in self.tensors), None)
        if build is not None:
            weight = weights["weight"]
            product = build(self.tensors).to(weight.device).reshape(weight.shape) * (self.scale * strength)
            found["weight"] = self._decomposed(weight, product) if strength else product
        for role, name in (("diff", "weight"), ("diff_b", "bias")):
            if role in self.tensors:
                difference = self.tensors[role].to(weights[name].device).reshape(weights[name].shape) * strength
                found[name] = found[name] + difference if name in found else difference
        if not found:
            raise KeyError("one half of a product")
        return found

    def _decomposed(self, weight: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
        """DoRA, eq. 5: the direction of the changed weight with the trained magnitude. Without one, just `delta`.

        peft's magnitudes are per output; LyCORIS' `dora_scale` is per output or, in older files, per input.
        """
        magnitude = self.tensors.get("magnitude", self.tensors.get("dora_scale"))
        if magnitude is None:
            return delta
        changed = weight + delta
        axis = int("magnitude" not in self.tensors and magnitude.shape[0] != weight.shape[0])
        norm = torch.linalg.vector_norm(changed, dim=[i for i in range(weight.dim()) if i != axis], keepdim=True)
        turned: torch.Tensor = changed * (magnitude.to(weight.device).reshape(norm.shape) / norm) - weight
        return turned


Changes = Mapping[tuple[str, str], Change]
"""(network, module) → change."""


def read_changes(name: str, tensors: Tensors, metadata: Mapping[str, str], networks: Networks) -> Changes:
    """Read the changes that the `tensors` of the LoRA `name` make to `networks`.

    `metadata`: the file's, and the content of `adapter_config.json` under that key if peft left one beside it.
    Raises ModelError if any tensor of the file does not fit.
    """
    trained = _Trained(metadata, of_peft=any(key.startswith("base_model.") for key in tensors))
    trained.check(name)
    groups: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        module, roles = _split(name, key)
        groups.setdefault(module, {}).update(dict.fromkeys(roles, tensor.float()))
    if not groups:
        raise ModelError(f"{name}: this file does not contain a LoRA")
    check_finite(name, "LoRA", tensors.items())
    places = _Places(networks)
    changes: dict[tuple[str, str], Change] = {}
    for written, group in groups.items():
        place = places.find(written)
        if place is None or place in changes:
            raise _left_over(name, written)
        changes[place] = Change(group, _scale(group, *place, trained))
    return changes


def _split(name: str, key: str) -> tuple[str, tuple[str, ...]]:
    """Split `key` into its module and the tensor's role. Raises ModelError."""
    for ending, role in _ROLES.items():
        if found := re.search(f"(?:{ending})$", key):
            module = key[: found.start()].replace(".processor.", ".")
            return module, (role, found["factor"]) if "factor" in found.groupdict() else (role,)
    raise _left_over(name, key)


def _scale(group: Tensors, network: str, module: str, trained: "_Trained") -> float:
    rank = _rank(group)
    if rank is None:
        return trained.scale_of_whole(network, module)
    if rank == 0:
        raise ValueError("a product over nothing")
    alpha = float(group["alpha"]) if "alpha" in group else trained.alpha(network, module, rank)
    return alpha / trained.divisor(network, rank)


def _rank(group: Tensors) -> int | None:
    """None if there is no product, or one of whole matrices, which is not scaled by rank."""
    if "down" in group:
        return group["down"].shape[0]
    factors = ("w1_b",) if "hada" in group else ("w2_b", "w1_b")
    return next((group[factor].shape[0] for factor in factors if factor in group), None)


def _low_rank(t: Tensors) -> torch.Tensor:
    """up·down; for a convolution with a core (LoCon's CP form), up·mid·down."""
    up, down = t["up"].flatten(1), t["down"]
    if "mid" in t:
        return torch.einsum("op, pqhw, qi -> oihw", up, t["mid"], down.flatten(1))
    return up @ down.flatten(1)


def _hadamard(t: Tensors) -> torch.Tensor:
    """(w1_a·w1_b) ∘ (w2_a·w2_b)."""
    return _tucker(t, "1") * _tucker(t, "2")


def _kronecker(t: Tensors) -> torch.Tensor:
    """w1 ⊗ w2, each a whole matrix or a product of two."""
    first = t["w1"] if "w1" in t else t["w1_a"] @ t["w1_b"]
    second = t["w2"] if "w2" in t else _tucker(t, "2")
    return torch.kron(first.reshape(*first.shape, *[1] * (second.dim() - 2)), second.contiguous())


def _tucker(t: Tensors, number: str) -> torch.Tensor:
    a, b, core = t[f"w{number}_a"], t[f"w{number}_b"], t.get(f"t{number}")
    if core is None:
        return a @ b.flatten(1) if b.dim() == 2 else (a @ b.flatten(1)).reshape(-1, *b.shape[1:])
    return torch.einsum("pqhw, qi, po -> oihw", core, b, a)


_PRODUCTS: Mapping[str, Callable[[Tensors], torch.Tensor]] = {"up": _low_rank, "hada": _hadamard, "lokr": _kronecker}
"""Tensor that identifies the kind → function that builds the matrix."""


class _Places:
    """Finds modules by any of the names that LoRA files use for them."""

    def __init__(self, networks: Networks) -> None:
        self._flat: dict[str, dict[str, str]] = {}
        for part, network in networks.items():
            aliases = _unet_names(network) if part == "unet" else _text_names
            self._flat[part] = {
                alias.replace(".", "_"): name
                for name, module in network.named_modules()
                if getattr(module, "weight", None) is not None
                for alias in aliases(name)
            }

    def find(self, written: str) -> tuple[str, str] | None:
        """(network, module)."""
        for prefix, parts in _PREFIXES.items():
            found = re.match(prefix, written)
            if found is None:
                continue
            flat = written[found.end() :].replace(".", "_")
            for part in parts:
                if flat in self._flat.get(part, {}):
                    return part, self._flat[part][flat]
        return None


def _text_names(name: str) -> Iterator[str]:
    """With and without the prefix `text_model.`, which transformers dropped; also early diffusers' attention names."""
    bare = name.removeprefix("text_model.")
    old = re.sub(r"self_attn\.(q|k|v|out)_proj", r"self_attn.to_\1", bare)
    for spelling in (bare, old):
        yield from (spelling, f"text_model.{spelling}")


def _unet_names(unet: Any) -> Callable[[str], Iterator[str]]:
    """diffusers' names and the original code's, which XL trainers use."""
    layers = unet.config.layers_per_block

    def names(name: str) -> Iterator[str]:
        yield name
        yield name.removesuffix(".0") if name.endswith("to_out.0") else name
        if isinstance(layers, int):
            original = original_name(name, layers)
            yield original
            if "upsamplers" in name:  # in a level without attention
                yield original.replace(".2.conv", ".1.conv")

    return names


def original_name(name: str, layers: int) -> str:
    """The original code's name of the UNet module `name`; `layers` is the number of layers per block."""
    flat = {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "add_embedding.linear_1": "label_emb.0.0",
        "add_embedding.linear_2": "label_emb.0.2",
        "conv_in": "input_blocks.0.0",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
    }
    if name in flat:
        return flat[name]
    found = re.match(r"(?:(down|up)_blocks\.(\d+)|mid_block)\.(resnets|attentions|(?:down|up)samplers)\.(\d+)", name)
    if found is None:
        return name
    side, level, block, index = found[1], int(found[2] or 0), found[3], int(found[4])
    rest = name[found.end() :].lstrip(".")
    first, _, deeper = rest.partition(".")
    if block == "resnets":
        rest = ".".join(filter(None, (_RESNET.get(first, first), deeper)))
    slot = {"resnets": "0", "attentions": "1"}.get(block, "")
    match side, block:
        case None, _:
            place = f"middle_block.{1 if block == 'attentions' else 2 * index}"
        case "down", "downsamplers":
            return f"input_blocks.{(level + 1) * (layers + 1)}.0.op"
        case "up", "upsamplers":
            return f"output_blocks.{level * (layers + 1) + layers}.2.conv"
        case "down", _:
            place = f"input_blocks.{1 + level * (layers + 1) + index}.{slot}"
        case _:
            place = f"output_blocks.{level * (layers + 1) + index}.{slot}"
    return f"{place}.{rest}"


class _Trained:
    """Training settings that peft wrote into the file's metadata or beside it: alphas without a tensor of their own."""

    def __init__(self, metadata: Mapping[str, str], *, of_peft: bool) -> None:
        """`of_peft`: the tensors have peft's names, so that its config beside the file is theirs."""
        self._settings = {
            **(_object(metadata.get("adapter_config.json")) if of_peft else {}),
            **_object(metadata.get("lora_adapter_metadata")),
        }

    def check(self, name: str) -> None:
        """Raise ModelError if the LoRA `name` is of a kind, or was trained in a way, that is not supported."""
        fields = {key.rpartition(".")[2]: value for key, value in self._settings.items()}
        kind, start = str(fields.get("peft_type") or _ADDED[0]), fields.get("init_lora_weights")
        refused = None if kind in _ADDED else f"an adapter of peft's kind {kind}"
        if start not in _STARTS:
            refused = f"a LoRA whose training changed the model's own weights ({str(start)[:20]})"
        refused = next((f"a LoRA with peft's option {option}" for option in _OPTIONS if fields.get(option)), refused)
        if refused is not None:
            raise _not_read(name, refused)

    def alpha(self, network: str, module: str, rank: int) -> float:
        """The alpha of a module without one in the file: from the settings, else equal to the rank."""
        if (alpha := self._of_pattern(network, "alpha_pattern", module)) is not None:
            return float(alpha)
        stated = (self._get(network, field) for field in ("lora_alpha", "alpha"))
        alpha = next((alpha for alpha in stated if alpha is not None), None)
        return float(alpha) if isinstance(alpha, int | float) else float(rank)

    def scale_of_whole(self, network: str, module: str) -> float:
        """The scale of a Kronecker product of whole matrices: peft scales it, LyCORIS does not."""
        rank = self._of_pattern(network, "rank_pattern", module) or self._get(network, "r")
        if self._get(network, "peft_type") != "LOKR" or not isinstance(rank, int) or rank < 1:
            return 1.0
        return self.alpha(network, module, rank) / rank

    def divisor(self, network: str, rank: int) -> float:
        """The divisor of alpha: the rank, or its square root if training was rank-stabilised (Kalajdzievski 2023)."""
        return float(rank**0.5 if self._get(network, "use_rslora") is True else rank)

    def _of_pattern(self, network: str, field: str, module: str) -> int | float | None:
        """The number that `alpha_pattern` or `rank_pattern` has for `module`, as peft matches them."""
        patterns = self._get(network, field)
        for pattern, number in patterns.items() if isinstance(patterns, Mapping) else ():
            if re.match(rf"(.*\.)?({pattern})$", module) and isinstance(number, int | float):
                return number
        return None

    def _get(self, network: str, field: str) -> Any:
        return self._settings.get(f"{network}.{field}", self._settings.get(field))


def _object(text: str | None) -> Mapping[str, Any]:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _not_read(name: str, contents: str) -> ModelError:
    return ModelError(
        f"{name}: this file holds {contents}, which is not supported",
        code="not_read",
        hint=LORA_KINDS,
    )


def _left_over(name: str, key: str) -> ModelError:
    return ModelError(
        f"{name}: this LoRA does not fit: nothing in the model is called {key}",
        code="does_not_fit",
        hint="use it with a model of the kind it was trained on",
    )
