"""Headers of safetensors files: valid ones are read, others refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from invoke.errors import ModelError
from invoke.models.safetensors_header import read_header, read_metadata

GOOD = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}

SCALAR = {"dtype": "F64", "shape": [], "data_offsets": [0, 8]}


def write(path: Path, header: Any, body: bytes = b"\0" * 16) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return path


@pytest.mark.parametrize(
    "header",
    [
        {"a": GOOD},
        {"a": GOOD, "__metadata__": {"format": "pt"}},
        {"a": GOOD | {"more": 1}},
        {"a": GOOD, "none": {"dtype": "F32", "shape": [0, 3], "data_offsets": [16, 16]}},
        {"a": {"dtype": "F16", "shape": [8], "data_offsets": [0, 16]}},
        {
            "a": GOOD | {"dtype": "F64", "shape": [], "data_offsets": [0, 8]},
            "b": GOOD | {"shape": [2], "data_offsets": [8, 16]},
        },
        json.dumps({"a": GOOD}).encode() + b"   ",
    ],
)
def test_valid_headers_are_read(tmp_path: Path, header: Any) -> None:
    found = read_header(write(tmp_path / "a.safetensors", header))
    assert "a" in found
    assert "__metadata__" not in found
    assert isinstance(read_metadata(tmp_path / "a.safetensors"), dict)


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        *(({"a": {k: v for k, v in GOOD.items() if k != key}}, "a lacks a dtype, shape or offsets") for key in GOOD),
        *(
            ({"a": GOOD | {"shape": shape}}, "a has an invalid shape")
            for shape in (None, 4, "2x2", [2, -2], [2, 2.0], [True])
        ),
        ({"a": GOOD | {"shape": [2**62] * 300_000}}, "a has an invalid shape"),
        (b'{"a": [' + b"[]," * 1_000_000 + b"[]]}", "its header has more than 1,000,000 values"),
        ({"a": GOOD | {"shape": []}}, "a has 16 bytes, which does not match its shape"),
        ({"a": GOOD | {"shape": [2**40, 2**40]}}, "a has 16 bytes, which does not match its shape"),
        *(
            ({"a": GOOD | {"data_offsets": each}}, "a has invalid offsets")
            for each in (None, 0, [], [0], [0, 1, 2], [-16, 0])
        ),
        ({"a": GOOD | {"data_offsets": [16, 0]}}, "a has -16 bytes"),
        ({"a": GOOD | {"dtype": "F33"}}, "a has the unknown dtype F33"),
        ({"a": GOOD | {"dtype": 5}}, "a has the unknown dtype 5"),
        ({"a": GOOD, "b": GOOD}, "b overlaps the previous tensor"),
        ({"a": GOOD | {"data_offsets": [8, 24]}}, "a leaves a gap after the previous tensor"),
        ({"a": GOOD | {"shape": [3, 2], "data_offsets": [0, 24]}}, "bytes"),
        ({"a": 7}, "a lacks a dtype, shape or offsets"),
        ({"a": GOOD, "__metadata__": {"x": 1}}, "its metadata is not text"),
        ({"a": GOOD, "__metadata__": []}, "its metadata is not text"),
        ({}, "it has no tensors"),
        ([], "its header is not a table of tensors"),
        (b'{"a": 1, "a": 2}', "it names a tensor twice"),
        (b"\xff\xfe", "not a safetensors file"),
        (b"{" * 5000, "not a safetensors file"),
    ],
)
def test_invalid_headers_are_refused(tmp_path: Path, header: Any, sentence: str) -> None:
    path = write(tmp_path / "a.safetensors", header)
    with pytest.raises(ModelError, match=sentence) as caught:
        read_header(path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
