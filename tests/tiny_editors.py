"""Tiny models that edit by instruction, with random weights, of the real classes."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Pipeline,
    Flux2Transformer2DModel,
    FluxKontextPipeline,
    QwenImageEditPipeline,
    QwenImageEditPlusPipeline,
    QwenImageTransformer2DModel,
)
from transformers import (
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from invoke.engine.components.processors import picture_processor
from invoke.models.spec import INDEX
from tests import tiny
from tests.tiny_transformers import flux

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>")
MARKS += ("<|video_pad|>",)
_WIDTH = 16


def kontext() -> FluxKontextPipeline:
    """Flux with the picture's latents appended to its own."""
    return tiny.quiet(FluxKontextPipeline(**flux().components))


def qwen_tokenizer() -> Any:
    """Letters, and what marks pictures and turns of a talk."""
    words = [word for word in tiny.tokenizer().get_vocab() if len(word) == 1]
    vocab = {word: at for at, word in enumerate(words)}
    tokens = Qwen2Tokenizer(vocab=vocab, merges=[], extra_special_tokens=list(MARKS[1:]))
    tokens.chat_template = CHAT
    return tokens


def klein(seed: int = 0) -> Flux2KleinPipeline:
    """A small language model reads; its layers 9, 18 and 27 are what the transformer sees."""
    tokens = qwen_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = Qwen3Config(
            vocab_size=len(tokens),
            hidden_size=8,
            intermediate_size=16,
            num_hidden_layers=28,
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=4,
            max_position_embeddings=1024,
        )
        parts = {
            "transformer": _flux2_transformer(guidance_embeds=False),
            "vae": AutoencoderKLFlux2(
                block_out_channels=(8, 8, 8, 8),
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                layers_per_block=1,
                latent_channels=4,
                norm_num_groups=4,
            ),
            "text_encoder": Qwen3ForCausalLM(config),
        }
    networks = {name: part.eval() for name, part in parts.items()}
    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    return tiny.quiet(Flux2KleinPipeline(**networks, tokenizer=tokens, scheduler=scheduler, is_distilled=False))


def _flux2_transformer(*, guidance_embeds: bool) -> Flux2Transformer2DModel:
    return Flux2Transformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=24,
        timestep_guidance_channels=32,
        axes_dims_rope=[4, 4, 4, 4],
        guidance_embeds=guidance_embeds,
    )


def qwen_parts(seed: int) -> dict[str, Any]:
    """Of a Qwen-Image, but for what looks at pictures."""
    tokens = qwen_tokenizer()
    ids = {mark: tokens.convert_tokens_to_ids(mark) for mark in MARKS}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = Qwen2_5_VLConfig(
            text_config={
                "vocab_size": len(tokens),
                "hidden_size": _WIDTH,
                "intermediate_size": 16,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "num_key_value_heads": 2,
                "rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"},
            },
            vision_config={
                "depth": 1,
                "hidden_size": _WIDTH,
                "intermediate_size": 16,
                "num_heads": 2,
                "out_hidden_size": _WIDTH,
                "fullatt_block_indexes": [0],
            },
            image_token_id=ids["<|image_pad|>"],
            video_token_id=ids["<|video_pad|>"],
            vision_start_token_id=ids["<|vision_start|>"],
            vision_end_token_id=ids["<|vision_end|>"],
        )
        parts = {
            "transformer": QwenImageTransformer2DModel(
                patch_size=2,
                in_channels=16,
                out_channels=4,
                num_layers=1,
                attention_head_dim=16,
                num_attention_heads=2,
                joint_attention_dim=_WIDTH,
                guidance_embeds=False,
                axes_dims_rope=(8, 4, 4),
            ),
            "vae": AutoencoderKLQwenImage(
                base_dim=4,
                z_dim=4,
                dim_mult=[1, 1, 1, 1],
                num_res_blocks=1,
                temperal_downsample=[False, False, False],
                latents_mean=[0.0] * 4,
                latents_std=[1.0] * 4,
            ),
            "text_encoder": Qwen2_5_VLForConditionalGeneration(config),
        }
    networks = {name: part.eval() for name, part in parts.items()}
    return networks | {
        "tokenizer": tokens,
        "scheduler": FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    }


def _seeing(parts: dict[str, Any]) -> dict[str, Any]:
    images = Qwen2VLImageProcessor(min_pixels=28 * 28, max_pixels=4 * 28 * 28)
    kind = Qwen2VLProcessor if find_spec("torchvision") else picture_processor()
    return parts | {"processor": kind(images, parts["tokenizer"], chat_template=CHAT)}


def save(pipeline: Any, folder: Path, **kinds: str) -> Path:
    """`pipeline` in diffusers layout, with the classes of `kinds` in its index as its makers have them."""
    pipeline.save_pretrained(folder)
    index = json.loads((folder / INDEX).read_text())
    (folder / INDEX).write_text(json.dumps(index | {part: ["transformers", kind] for part, kind in kinds.items()}))
    return folder


WORDS = "{% for message in messages %}{% for part in message.content %}{{ part.text }} {% endfor %}{% endfor %}"


def flux2(seed: int = 0) -> Flux2Pipeline:
    """As klein, told its guidance; its language model's layers 10, 20 and 30 are what the transformer sees."""
    tokens = qwen_tokenizer()
    tokens.pad_token, tokens.chat_template = MARKS[0], WORDS
    small = {"hidden_size": 8, "intermediate_size": 16, "num_attention_heads": 2, "head_dim": 4}
    text = {"model_type": "mistral", "vocab_size": len(tokens), "num_hidden_layers": 30, "num_key_value_heads": 2}
    vision = {"model_type": "pixtral", "num_hidden_layers": 1, "patch_size": 14, "image_size": 56}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = Mistral3Config(text_config=text | small, vision_config=vision | small)
        text_encoder = Mistral3ForConditionalGeneration(config).eval()
        transformer = _flux2_transformer(guidance_embeds=True).eval()
    parts = {name: part for name, part in klein(seed).components.items() if name in {"vae", "scheduler"}}
    return tiny.quiet(Flux2Pipeline(**parts, transformer=transformer, text_encoder=text_encoder, tokenizer=tokens))


def qwen_edit(seed: int = 0) -> QwenImageEditPipeline:
    """A language model that sees the picture reads the instruction."""
    return tiny.quiet(QwenImageEditPipeline(**_seeing(qwen_parts(seed))))


def qwen_edit_plus(seed: int = 0) -> QwenImageEditPlusPipeline:
    """The same for several pictures."""
    return tiny.quiet(QwenImageEditPlusPipeline(**_seeing(qwen_parts(seed))))
