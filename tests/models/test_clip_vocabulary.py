"""CLIP's vocabulary: read from the file that packages ship, found in them or in the hub's cache."""

import gzip
from pathlib import Path

import pytest

from invoke.errors import ModelError
from invoke.models import clip_vocabulary
from invoke.models.clip_vocabulary import cached_tokenizers, read_vocabulary, vocabulary_file
from tests import tiny


def _file(path: Path) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as lines:
        lines.write("\n".join(["#version", *tiny.MERGES]))
    return path


def test_the_vocabulary_equals_that_of_transformers(tmp_path: Path) -> None:
    words, pairs = read_vocabulary(_file(tmp_path / "bpe.txt.gz"))
    assert words == tiny.tokenizer().get_vocab()
    assert [" ".join(pair) for pair in pairs] == list(tiny.MERGES)


def test_the_vocabulary_is_found_in_a_package_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "open_clip").mkdir()
    (tmp_path / "open_clip" / "__init__.py").write_text("raise AssertionError('imported')")
    file = _file(tmp_path / "open_clip" / "bpe_simple_vocab_16e6.txt.gz")
    monkeypatch.syspath_prepend(tmp_path)
    assert vocabulary_file() == file


def test_the_vocabulary_is_found_in_the_hub_cache(home: Path) -> None:
    folder = home / "cache" / "huggingface" / "hub" / "models--a--b" / "snapshots" / "1" / "tokenizer"
    tiny.tokenizer().save_pretrained(folder)
    assert list(cached_tokenizers()) == [], "too small to be CLIP's"
    (folder / "vocab.json").write_text(" " * 11 * clip_vocabulary.SIZE)
    assert list(cached_tokenizers()) == [folder]


def test_a_file_that_is_not_a_vocabulary_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.gz").write_bytes(b"no gzip")
    with pytest.raises(ModelError, match="this is not CLIP's vocabulary"):
        read_vocabulary(tmp_path / "x.gz")
