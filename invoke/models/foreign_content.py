"""Recognises files with a wrong extension by their first bytes."""

import re
from collections.abc import Mapping

HEAD = 512
"""How many bytes are needed."""
_CONTENTS: Mapping[str, tuple[bytes, str]] = {
    "a web page (HTML)": (rb"\s*<(!doctype|html|head|\?xml)", "download the file itself, not its page"),
    "a Git LFS pointer instead of the file": (rb"version https://git-lfs", "run: git lfs pull"),
    "weights in GGUF": (rb"GGUF", "rename it to end in .gguf and add it to an entry: !edit_model NAME gguf FILE"),
    "a safetensors file": (rb"[\s\S]{8}\{\s*\"", "rename it to end in .safetensors"),
    "a pickle file": (rb"PK\x03\x04|\x80[\x02-\x05]", "rename it to end in .ckpt, then: !optimize_model"),
    "an archive (7z, gzip or RAR)": (rb"7z\xbc\xaf|\x1f\x8b|Rar!", "unpack it first"),
    "a picture": (rb"\x89PNG|\xff\xd8\xff", "use the weights, not the picture beside them"),
}
"""Kind of file → pattern of its beginning, and advice."""


def foreign_content(head: bytes, *own: str) -> tuple[str, str] | None:
    """The kind of a file that begins with `head`, and advice; None if unknown, or one of `own`."""
    for what, (begins, advice) in _CONTENTS.items():
        if re.match(begins, head, flags=re.IGNORECASE):
            return None if what in own else (what, advice)
    return None
