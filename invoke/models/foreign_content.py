"""Recognises a file by its first bytes, where its ending is wrong."""

import re
from collections.abc import Mapping

HEAD = 512
"""Bytes that tell."""
_CONTENTS: Mapping[str, tuple[bytes, str]] = {
    "a page of a website (HTML)": (rb"\s*<(!doctype|html|head|\?xml)", "download the file itself, not its page"),
    "a pointer of Git LFS instead of the file": (rb"version https://git-lfs", "run: git lfs pull"),
    "weights in GGUF": (rb"GGUF", "rename it to end in .gguf and add it to an entry: !edit_model NAME gguf FILE"),
    "a safetensors file": (rb"[\s\S]{8}\{\s*\"", "rename it, so that it ends in .safetensors"),
    "a pickle file": (rb"PK\x03\x04|\x80[\x02-\x05]", "rename it, so that it ends in .ckpt, then: !optimize_model"),
    "an archive (7z, gzip or RAR)": (rb"7z\xbc\xaf|\x1f\x8b|Rar!", "unpack it first"),
    "a picture": (rb"\x89PNG|\xff\xd8\xff", "name the weights, not the picture beside them"),
}
"""What it is → how it begins, and what to do."""


def foreign_content(head: bytes, *own: str) -> tuple[str, str] | None:
    """What begins with `head`, and what to do; None where that cannot be told, or is one of `own`."""
    for what, (begins, advice) in _CONTENTS.items():
        if re.match(begins, head, flags=re.IGNORECASE):
            return None if what in own else (what, advice)
    return None
