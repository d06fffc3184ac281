"""Picture files: opening them safely and upright, describing and resizing them. Imports nothing heavy."""

from invoke.images.describe import PictureFacts, check_mask, describe, map_range, mask_range, mask_share
from invoke.images.files import LARGEST_FILE, PICTURES, read_bytes, too_large
from invoke.images.geometry import first_pass_size, prepare, target_size
from invoke.images.opening import Picture, decode, open_picture, read_pixels
from invoke.images.pixels import as_array, as_image
from invoke.images.transparency import FLAT, LEAST_HOLE, Transparency

__all__ = [
    "FLAT",
    "LARGEST_FILE",
    "LEAST_HOLE",
    "PICTURES",
    "Picture",
    "PictureFacts",
    "Transparency",
    "as_array",
    "as_image",
    "check_mask",
    "decode",
    "describe",
    "first_pass_size",
    "map_range",
    "mask_range",
    "mask_share",
    "open_picture",
    "prepare",
    "read_bytes",
    "read_pixels",
    "target_size",
    "too_large",
]
