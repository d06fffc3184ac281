"""A tiny CLIPSeg with random weights: the real classes and file formats, a few hundred kilobytes."""

import json
from pathlib import Path

import torch
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

from tests.tiny import tokenizer

SIDE = 64
PREPROCESSOR = {
    "feature_extractor_type": "ViTFeatureExtractor",
    "processor_class": "CLIPSegProcessor",
    "do_normalize": True,
    "do_resize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 2,
    "size": SIDE,
}
"""In the words of the time when CLIPSeg was published."""
_LAYERS = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}


def save_folder(folder: Path, *, seed: int = 0) -> Path:
    """A CLIPSeg for pictures of `SIDE` × `SIDE` that selects half of each, whatever the text."""
    tokens = tokenizer()
    end = tokens.convert_tokens_to_ids("<|endoftext|>")
    text = {
        "vocab_size": len(tokens),
        "max_position_embeddings": 77,
        "bos_token_id": tokens.convert_tokens_to_ids("<|startoftext|>"),
        "eos_token_id": end,
        "pad_token_id": end,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = CLIPSegForImageSegmentation(
            CLIPSegConfig(
                text_config=_LAYERS | text,
                vision_config=_LAYERS | {"image_size": SIDE, "patch_size": 16},
                projection_dim=32,
                extract_layers=[0, 1, 2],
                reduce_dim=16,
                decoder_num_attention_heads=4,
                decoder_intermediate_size=32,
            )
        )
    network.save_pretrained(folder)
    tokens.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR), encoding="utf-8")
    return folder
