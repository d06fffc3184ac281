"""Every file that the program reads, with something hostile in its place: read, passed over or one sentence, soon."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from invoke.errors import InvokeError
from invoke.language.config_file import read_settings
from invoke.language.presets import read_presets
from invoke.language.resolve.wildcards import read_file
from invoke.models import ModelSpec
from invoke.models.folder import check_folder
from invoke.models.parametrisation import read_parametrisation
from invoke.models.recognise import recognise_folder
from invoke.models.safetensors_header import read_header
from invoke.models.vocabulary import CLOSED, vocabulary
from invoke.models.yaml_lists import read_rows
from invoke.outputs import ledger, received
from invoke.outputs.speeds import Speeds
from invoke.workers.shard import Shard, ShardFolder
from tests.program import ROOT

POCKET = ROOT / "invoke" / "pocket"
PICTURE = (ROOT / "test-pictures" / "fire-drawing.png").read_bytes()

PLACED: dict[str, Callable[[Path], object]] = {
    "FIFO": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "folder": Path.mkdir,
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "brackets": lambda path: path.write_bytes(b"[" * 100_000),
    "braces": lambda path: path.write_bytes(b'{"a":' * 20_000),
    "long number": lambda path: path.write_bytes(b"9" * 10_000),
    "numbers": lambda path: path.write_bytes(b'{"base": -1, "lines": 1e999, "run_seed": true, "sample_size": 1e30}'),
    "infinite": lambda path: path.write_bytes(b'[["pocket", Infinity, 64, "cpu", "float32", 1, 1, 1, 1e999]]'),
    "no UTF-8": lambda path: path.write_bytes(b"\xff\xfe\0 \xff" * 9),
    "huge": lambda path: (path.touch(), os.truncate(path, 2**33)),
}


def _model(path: Path) -> None:
    """Beside the other files of `pocket`."""
    folder = next(above for above in path.parents if above.name == "model")
    for file in POCKET.rglob("*.*"):
        target = folder / file.relative_to(POCKET)
        target.parent.mkdir(exist_ok=True)
        if not os.path.lexists(target):
            target.symlink_to(file)
    vocabulary(ModelSpec(name="m", weights=str(folder), vocabulary=CLOSED))
    recognise_folder("m", folder)
    check_folder("m", folder)


def _shard(path: Path) -> None:
    ShardFolder(Shard(1, 2), "lines", 4, resume=True).join(path.parents[1])


FILES: dict[str, Callable[[Path], object]] = {
    "model/model_index.json": _model,
    "model/unet/config.json": _model,
    "model/vae/config.json": _model,
    "model/scheduler/scheduler_config.json": _model,
    "model/tokenizer/tokenizer.json": _model,
    "model/unet/diffusion_pytorch_model.safetensors": _model,
    "lora.safetensors": read_header,
    "checkpoint.yaml": lambda path: read_parametrisation(path.with_suffix(".safetensors"), {}, {}),
    "wildcard.txt": read_file,
    "models.yaml": read_rows,
    "config.yaml": read_settings,
    "presets.yaml": read_presets,
    "speeds.json": Speeds,
    ".invoke-ledger": lambda path: list(ledger.all_rows(path)),
    ".invoke-shards/lines.2.1.json": _shard,
    ".invoke-shards/lines.2.1.1": _shard,
    ".invoke-shards/lock": _shard,
    "piped/912a25c50b62372f.png": lambda path: received.keep(PICTURE, path.parent),
}


CASES = [(name, placed) for name in FILES for placed in PLACED if (name, placed) != (".invoke-ledger", "huge")]
"""A ledger may be of any size: it is read row by row."""


@pytest.mark.parametrize(("name", "placed"), CASES)
def test_whatever_is_in_its_place(name: str, placed: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    PLACED[placed](path)
    before = os.lstat(path)
    try:
        FILES[name](path)
    except InvokeError as error:
        assert "\n" not in error.message
    except OSError as error:
        assert "shards" in name or name == ".invoke-ledger", error  # `sentences` is around both
    assert (before.st_ino, before.st_mode) == ((after := os.lstat(path)).st_ino, after.st_mode)
