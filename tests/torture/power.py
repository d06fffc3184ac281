"""Power cuts: the file operations of a batch are recorded, and replayed with some unsynced ones lost.

The model of the disk: what was written to a file is sure to be there after an `fsync` of the file, and names in a
folder after an `fsync` of the folder. Anything else may be lost, but names in one folder change in order.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock


@dataclass(frozen=True, slots=True)
class Call:
    """One call that has changed something; paths are relative to the folder."""

    name: str
    path: str
    other: str = ""
    data: bytes = b""
    size: int = 0


@dataclass
class _Inode:
    content: bytearray = field(default_factory=bytearray)
    synced: bytes = b""


@dataclass
class _Folder:
    """The changes of a folder in order: names and what they refer to; the first `synced` are permanent."""

    changes: list[tuple[str, "_Inode | _Folder | None"]] = field(default_factory=list)
    synced: int = 0

    def names(self, count: int | None = None) -> dict[str, "_Inode | _Folder"]:
        found: dict[str, _Inode | _Folder] = {}
        for name, what in self.changes[:count]:
            if what is None:
                found.pop(name, None)
            else:
                found[name] = what
        return found


def record(folder: Path, work: Callable[[], object]) -> list[Call]:
    """Record what `work` does to `folder`, which is created for it, through `os`."""
    folder.mkdir(parents=True, exist_ok=True)
    made: list[Call] = []
    opened: dict[int, str] = {}
    real: dict[str, Any] = {name: getattr(os, name) for name in _NAMES}

    def inside(path: Any) -> str | None:
        text = os.fspath(path)
        text = os.fsdecode(text) if isinstance(text, bytes) else text
        relative = os.path.relpath(text, folder)
        return None if relative.startswith("..") else relative

    def open_(path: Any, flags: int, *more: Any, **named: Any) -> int:
        name = inside(path) if isinstance(path, str | bytes | os.PathLike) else None
        is_new = name is not None and not os.path.lexists(path)
        descriptor: int = real["open"](path, flags, *more, **named)
        if name is not None:
            opened[descriptor] = name
            if is_new and flags & os.O_CREAT:
                made.append(Call("create", name))
        return descriptor

    def write(descriptor: int, data: Any) -> int:
        written: int = real["write"](descriptor, data)
        if descriptor in opened:
            made.append(Call("write", opened[descriptor], data=bytes(data)[:written]))
        return written

    def ftruncate(descriptor: int, size: int) -> None:
        real["ftruncate"](descriptor, size)
        if descriptor in opened:
            made.append(Call("truncate", opened[descriptor], size=size))

    def fsync(descriptor: int) -> None:
        if descriptor in opened:
            made.append(Call("fsync", opened[descriptor]))

    def close(descriptor: int) -> None:
        opened.pop(descriptor, None)
        real["close"](descriptor)

    def of_two(name: str) -> Callable[..., None]:
        def call(source: Any, target: Any, **named: Any) -> None:
            real[name](source, target, **named)
            if (one := inside(source)) is not None and (two := inside(target)) is not None:
                made.append(Call("link" if name == "link" else "rename", one, two))

        return call

    def of_one(name: str) -> Callable[..., None]:
        def call(path: Any, *more: Any, **named: Any) -> None:
            real[name](path, *more, **named)
            if (one := inside(path)) is not None:
                made.append(Call(name, one))

        return call

    wrapped = {"open": open_, "write": write, "ftruncate": ftruncate, "fsync": fsync, "close": close}
    wrapped |= {name: of_two(name) for name in ("link", "rename", "replace")}
    wrapped |= {name: of_one(name) for name in ("unlink", "mkdir", "rmdir")}
    with mock.patch.multiple(os, **wrapped):
        work()
    return made


_NAMES = ("open", "write", "ftruncate", "fsync", "close", "link", "rename", "replace", "unlink", "mkdir", "rmdir")


def cut(calls: list[Call], folder: Path, random: Random) -> int:
    """Leave in `folder` what a power cut after a random one of `calls` may leave; return how many were done."""
    moment = random.randrange(len(calls) + 1)
    root = _Folder()
    for call in calls[:moment]:
        _apply(root, call)
    folder.mkdir(parents=True, exist_ok=True)
    _write_out(root, folder, random)
    return moment


def _apply(root: _Folder, call: Call) -> None:
    match call.name:
        case "create":
            _enter(root, call.path, _Inode())
        case "mkdir":
            _enter(root, call.path, _Folder())
        case "write":
            _inode(root, call.path).content += call.data
        case "truncate":
            del _inode(root, call.path).content[call.size :]
        case "link":
            _enter(root, call.other, _find(root, call.path))
        case "rename":
            _enter(root, call.other, _find(root, call.path))
            _enter(root, call.path, None)
        case "unlink" | "rmdir":
            _enter(root, call.path, None)
        case "fsync":
            found = _find(root, call.path)
            if isinstance(found, _Folder):
                found.synced = len(found.changes)
            elif found is not None:
                found.synced = bytes(found.content)


def _find(root: _Folder, path: str) -> "_Inode | _Folder | None":
    found: _Inode | _Folder | None = root
    for part in Path(path).parts:
        found = found.names().get(part) if isinstance(found, _Folder) else None
    return found


def _inode(root: _Folder, path: str) -> _Inode:
    found = _find(root, path)
    return found if isinstance(found, _Inode) else _Inode()


def _enter(root: _Folder, path: str, what: "_Inode | _Folder | None") -> None:
    parent = _find(root, os.path.dirname(path))  # noqa: PTH120
    if isinstance(parent, _Folder):
        parent.changes.append((os.path.basename(path), what))  # noqa: PTH119


def _write_out(source: _Folder, target: Path, random: Random) -> None:
    kept = random.randint(source.synced, len(source.changes))
    for name, what in source.names(kept).items():
        if isinstance(what, _Folder):
            (target / name).mkdir()
            _write_out(what, target / name, random)
        else:
            (target / name).write_bytes(_survivor(what, random))


def _survivor(inode: _Inode, random: Random) -> bytes:
    """The synced content of a file and part of the rest, perhaps as zeros (its length written, its content not)."""
    content = bytes(inode.content)
    if not content.startswith(inode.synced):
        return inode.synced
    rest = content[len(inode.synced) :]
    length = random.choice([0, len(rest), random.randint(0, len(rest))])
    tail = bytes(length) if random.random() < 0.3 else rest[:length]
    return inode.synced + tail
