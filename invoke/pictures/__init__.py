"""Pictures from files: opened safely and upright, described, and brought to size. Nothing heavy is imported here."""

from invoke.pictures.facts import PictureFacts, describe
from invoke.pictures.files import read_bytes
from invoke.pictures.geometry import first_pass_size, prepare, target_size
from invoke.pictures.opening import Picture, open_picture

__all__ = [
    "Picture",
    "PictureFacts",
    "describe",
    "first_pass_size",
    "open_picture",
    "prepare",
    "read_bytes",
    "target_size",
]
