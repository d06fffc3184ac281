"""Where the hub's cache is, and which of its snapshots a name means."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from invoke.models.hub.cache import is_whole, located

PLACES: list[tuple[dict[str, str], str]] = [
    ({}, ".cache/huggingface/hub"),
    ({"XDG_CACHE_HOME": "TMP/xdg"}, "xdg/huggingface/hub"),
    ({"HF_HOME": "TMP/hf"}, "hf/hub"),
    ({"HF_HOME": "~/hf", "XDG_CACHE_HOME": "TMP/xdg"}, "hf/hub"),
    ({"HUGGINGFACE_HUB_CACHE": "TMP/old"}, "old"),
    ({"HUGGINGFACE_HUB_CACHE": "~/old", "HF_HOME": "TMP/hf"}, "old"),
    ({"HF_HUB_CACHE": "TMP/new"}, "new"),
    ({"HF_HUB_CACHE": "$HOME/x"}, "x"),
    ({"HF_HUB_CACHE": "~/x", "HUGGINGFACE_HUB_CACHE": "TMP/old", "HF_HOME": "TMP/hf"}, "x"),
]
"""Environment variables → place of the cache in the home folder."""
_ASK = """
import importlib, json, os, sys
from huggingface_hub import constants
from invoke.models.hub.cache import located
for environment in json.load(sys.stdin):
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"):
        os.environ.pop(name, None)
    os.environ.update(environment)
    importlib.reload(constants)
    print(located("some/model"))
"""


def test_the_environment_decides_the_place_of_the_cache(tmp_path: Path) -> None:
    environments, wanted = [], []
    for environment, place in PLACES:
        environments.append({name: value.replace("TMP/", f"{tmp_path}/") for name, value in environment.items()})
        folder = tmp_path / place / "models--some--model" / "snapshots" / "1"
        folder.mkdir(parents=True, exist_ok=True)
        wanted.append(str(folder))
    asked = subprocess.run(
        [sys.executable, "-c", _ASK],
        input=json.dumps(environments),
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout.splitlines() == wanted


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path / "models--some--model"


def _snapshot(kept: Path, commit: str, *, whole: bool, when: int) -> Path:
    folder = kept / "snapshots" / commit
    (folder / "unet").mkdir(parents=True)
    (folder / "model_index.json").write_text('{"unet": ["diffusers", "UNet2DConditionModel"]}')
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    if whole:
        weights.write_bytes(b"")
    else:
        weights.symlink_to(kept / "blobs" / "deleted")
    os.utime(folder, (when, when))
    return folder


def _ref(kept: Path, name: str, commit: str) -> None:
    (kept / "refs").mkdir(exist_ok=True)
    (kept / "refs" / name).write_text(commit)


@pytest.mark.parametrize(
    ("snapshots", "refs", "weights", "found"),
    [
        ({"a": True}, {"main": "a"}, "some/model", "a"),
        ({"a": True, "b": True}, {"main": "a"}, "some/model", "a"),
        # by revision alone, without any ref
        ({"a": True}, {}, "some/model", "a"),
        ({"a": True, "b": True}, {}, "some/model", "b"),
        ({"a": True, "b": False}, {}, "some/model", "a"),
        ({"a": True}, {"fp16": "a"}, "some/model", "a"),
        # only the configs of main were fetched, or its weights were deleted
        ({"a": True, "b": False}, {"main": "b"}, "some/model", "a"),
        ({"a": False, "b": False}, {"main": "a"}, "some/model", "a"),
        # as it was asked for
        ({"a": True, "b": True}, {"main": "a", "fp16": "b"}, "some/model@fp16", "b"),
        ({"a": True, "b": True}, {"main": "a"}, "some/model@b", "b"),
        ({"a": True}, {"main": "a"}, "some/model@other", None),
        ({"a": True}, {"main": "gone"}, "some/model", "a"),
        ({}, {"main": "gone"}, "some/model", None),
    ],
)
def test_the_newest_complete_snapshot_is_used(
    snapshots: dict[str, bool], refs: dict[str, str], weights: str, found: str | None, kept: Path
) -> None:
    for age, (commit, whole) in enumerate(snapshots.items()):
        _snapshot(kept, commit, whole=whole, when=1_000_000 + age)
    for name, commit in refs.items():
        kept.mkdir(exist_ok=True)
        _ref(kept, name, commit)
    path = located(weights)
    assert (path and path.name) == found
    assert is_whole(weights) == (found is not None and snapshots[found])
