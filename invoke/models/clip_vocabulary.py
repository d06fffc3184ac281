"""Finds CLIP's vocabulary on this disk, which single files lack and which may not be copied.

It comes from a package that ships it, or from the tokenizer of any downloaded Stable Diffusion model.
"""

import gzip
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from invoke.errors import ModelError
from invoke.models.hub.cache import hub_cache

SIZE = 49408
"""Size of the vocabulary, including 256 single bytes in two forms, a start and an end token."""
HOW = "pip install --no-deps open_clip_torch"
_PACKAGES = ("open_clip", "clip")
_FILE = "bpe_simple_vocab_16e6.txt.gz"
_MERGES = SIZE - 2 * 256 - 2


def vocabulary_file() -> Path | None:
    """The file in which an installed package ships CLIP's merges."""
    for package in _PACKAGES:
        spec = find_spec(package)
        for folder in spec.submodule_search_locations or () if spec else ():
            file = Path(folder) / _FILE
            if file.is_file():
                return file
    return None


def cached_tokenizers() -> Iterator[Path]:
    """Folders with a CLIP tokenizer in the hub's cache."""
    for folder in sorted(hub_cache().glob("models--*/snapshots/*/tokenizer*")):
        if (folder / "tokenizer_config.json").is_file() and _is_large(folder):
            yield folder


def read_vocabulary(file: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Read a vocabulary: word → id, and the merges in order. Raises ModelError if `file` is something else."""
    try:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            pairs = [(first, second) for first, second in (line.split() for line in list(lines)[1 : _MERGES + 1])]
    except (OSError, ValueError, EOFError) as error:
        raise ModelError(f"{file}: this is not CLIP's vocabulary", hint=HOW) from error
    letters = [chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 256))]
    letters += [chr(256 + number) for number in range(256 - len(letters))]
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in pairs)]
    return {word: number for number, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}, pairs


def missing_vocabulary(name: str) -> ModelError:
    """The error if there is none."""
    return ModelError(
        f"{name}: a single file has no tokenizer, and CLIP's vocabulary is not on this disk",
        code="no_vocabulary",
        hint=f"{HOW}; or set a model folder that has a tokenizer in its entry: config FOLDER",
    )


def _is_large(folder: Path) -> bool:
    files = (folder / name for name in ("vocab.json", "tokenizer.json"))
    return any(file.is_file() and file.stat().st_size > 10 * SIZE for file in files)
