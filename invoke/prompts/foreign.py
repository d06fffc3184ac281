"""Spellings of other programs, which are plain words here."""

import re
from collections.abc import Iterator

_WEIGHT = re.compile(r"\(([^():]+):\s*([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\)")
_LORA = re.compile(r"<lora:([^:<>]+):(-?[0-9.]+)>")


def foreign(prompt: str) -> Iterator[str]:
    """A hint for each weight and each LoRA that is spelled as A1111 has them."""
    for match in _WEIGHT.finditer(prompt):
        yield f"{match[0]} is read as words: a weight is typed as ({match[1].strip()}){match[2]}"
    for match in _LORA.finditer(prompt):
        yield f"{match[0]} is read as words: a LoRA is typed as withLora({match[1]}, {match[2]})"
