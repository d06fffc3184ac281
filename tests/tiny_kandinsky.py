"""A tiny Kandinsky 2.2 with random weights: decoder, inpainting decoder and prior, of the real classes."""

from pathlib import Path

import torch
from diffusers import (
    DDPMScheduler,
    KandinskyV22CombinedPipeline,
    KandinskyV22InpaintPipeline,
    KandinskyV22Pipeline,
    KandinskyV22PriorPipeline,
    PriorTransformer,
    UnCLIPScheduler,
    UNet2DConditionModel,
    VQModel,
)
from transformers import (
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from tests import tiny

MULTIPLE = 16
"""Multiple of the sides: the MoVQ shrinks by four, the UNet by another four (the real ones by eight each)."""
_WIDTH = 32
"""Of the embedding of a picture."""


def decoder(*, channels: int = 4, seed: int = 0) -> KandinskyV22Pipeline | KandinskyV22InpaintPipeline:
    """UNet and MoVQ; an inpainting decoder with nine `channels`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        movq = VQModel(
            block_out_channels=(32, 32, 32),  # its norm always has 32 groups
            down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
            up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"),
            layers_per_block=1,
            latent_channels=4,
            vq_embed_dim=4,
            num_vq_embeddings=12,
            norm_num_groups=8,
            norm_type="spatial",
        )
        unet = UNet2DConditionModel(
            sample_size=16,
            in_channels=channels,
            out_channels=8,
            block_out_channels=(16, 16, 32),
            layers_per_block=1,
            down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D", "SimpleCrossAttnDownBlock2D"),
            mid_block_type="UNetMidBlock2DSimpleCrossAttn",
            up_block_types=("SimpleCrossAttnUpBlock2D", "SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
            addition_embed_type="image",
            encoder_hid_dim=_WIDTH,
            encoder_hid_dim_type="image_proj",
            cross_attention_dim=24,
            attention_head_dim=4,
            norm_num_groups=8,
            resnet_time_scale_shift="scale_shift",
        )
    scheduler = DDPMScheduler(
        beta_schedule="linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        variance_type="learned_range",
        steps_offset=1,
    )
    kind = KandinskyV22Pipeline if channels == 4 else KandinskyV22InpaintPipeline
    return kind(unet=unet.eval(), movq=movq.eval(), scheduler=scheduler)


def prior(seed: int = 1) -> KandinskyV22PriorPipeline:
    """CLIP's text and image encoders, and the prior that maps one to the other."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokens = tiny.tokenizer()
        end = tokens.convert_tokens_to_ids("<|endoftext|>")
        small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
        network = PriorTransformer(num_attention_heads=2, attention_head_dim=12, embedding_dim=_WIDTH, num_layers=1)
        network.clip_std.data.fill_(1)  # initially 0, which would give the same picture for any text
        text_encoder = CLIPTextModelWithProjection(
            CLIPTextConfig(
                vocab_size=len(tokens),
                projection_dim=_WIDTH,
                bos_token_id=tokens.convert_tokens_to_ids("<|startoftext|>"),
                eos_token_id=end,
                pad_token_id=end,
                **small,
            )
        )
        image_encoder = CLIPVisionModelWithProjection(
            CLIPVisionConfig(image_size=28, patch_size=14, projection_dim=_WIDTH, **small)
        )
    return KandinskyV22PriorPipeline(
        prior=network.eval(),
        text_encoder=text_encoder.eval(),
        image_encoder=image_encoder.eval(),
        tokenizer=tokens,
        scheduler=UnCLIPScheduler(
            variance_type="fixed_small_log", prediction_type="sample", clip_sample=True, clip_sample_range=10.0
        ),
        image_processor=CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}),
    )


def save(folder: Path, *, channels: int = 4) -> Path:
    """`folder`-decoder, with its prior in `folder`-prior beside it, as the hub keeps them."""
    decoder(channels=channels).save_pretrained(made := folder.with_name(f"{folder.name}-decoder"))
    prior().save_pretrained(folder.with_name(f"{folder.name}-prior"))
    return made


def save_combined(folder: Path) -> Path:
    """Decoder and prior in one folder."""
    parts = {f"prior_{name}": part for name, part in prior().components.items()}
    KandinskyV22CombinedPipeline(**decoder().components, **parts).save_pretrained(folder)
    return folder
