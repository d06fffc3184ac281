"""Reads weights in pickle files without ever calling what such a file names.

A pickle is a program for a small virtual machine, which can name any function and call it. Here nothing is looked up:
named objects become inert stubs that keep their state, and tensors become records of where their bytes lie. Supports
both of torch's formats: a zip archive, and the older sequence of pickles (before 1.6).
"""

import errno
import mmap
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from itertools import count
from math import prod
from pathlib import Path
from typing import IO, Any

import torch

from invoke.errors import ModelError
from invoke.files import open_to_read
from invoke.models.foreign_content import HEAD, foreign_content
from invoke.models.safetensors_header import MOST_DIMENSIONS

LARGEST_PICKLE = 8_000_000
"""Size limit of the pickle itself, in bytes, without the tensors' data. Each byte can allocate about seventy."""
LONGEST_WORD = 16
"""Size limit of the part that states the byte order, in bytes."""
ROOM = 64_000_000
"""Bytes that tensors may take beyond twice the size of their file: they can share memory there, but not here."""
DEEPEST, MOST_MODULES = 64, 100_000
"""Limits on the nesting and the number of modules."""

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES: Mapping[str, torch.dtype] = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_SCALARS = (str, int, float, bool, bytes, type(None))
"""Types allowed as dictionary keys: hashing other objects could take forever."""


@dataclass(frozen=True, slots=True)
class Name:
    """A reference by module and name. Never looked up, never called."""

    module: str
    name: str


@dataclass(slots=True)
class Stub:
    """Stands in for an object of any class."""

    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Storage:
    """A block of bytes in the file, by its key."""

    key: str
    dtype: torch.dtype | None
    """None: untyped; the tensor has the dtype."""
    length: int
    """Elements."""


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """A tensor whose bytes have not been read yet."""

    storage: Storage
    dtype: torch.dtype
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Its size with memory of its own."""
        return self.dtype.itemsize * prod(self.size)


class _MalformedError(Exception):
    """The file is not in the format that torch writes; the message says why."""


class _Bounded:
    """A file wrapper that reads at most `LARGEST_PICKLE` bytes in total."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._left = file, LARGEST_PICKLE

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= self._left:
            raise _MalformedError(_TOO_LONG)
        self._left -= size
        return self._file.read(size)

    def readline(self) -> bytes:
        line = self._file.readline(self._left + 1)
        if len(line) > self._left:
            raise _MalformedError(_TOO_LONG)
        self._left -= len(line)
        return line

    def readinto(self, buffer: bytearray) -> int:
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)


_TOO_LONG = "its pickle is larger than in any file of weights"
_PythonUnpickler: Any = pickle._Unpickler  # the C implementation looks up names by itself


class InertUnpickler(_PythonUnpickler):  # type: ignore[misc]
    """Reads one pickle into plain values, `Name`, `Stub`, `Storage` and `TensorRecord`."""

    def find_class(self, module: str, name: str) -> Name:
        return Name(module, name)

    def persistent_load(self, pid: Any) -> Storage:
        match pid:
            case ("storage", Name(name=kind), str() | int() as key, _, length, *_):
                return Storage(str(key), _DTYPES.get(kind), _integer(length))
        raise _MalformedError("it refers to something other than a tensor's memory")

    def load_reduce(self) -> None:
        arguments = self.stack.pop()
        self.stack[-1] = _built(self.stack[-1], arguments)

    def load_newobj(self) -> None:
        self.stack.pop()
        self.stack[-1] = _fresh(self.stack[-1])

    def load_newobj_ex(self) -> None:
        del self.stack[-2:]
        self.stack[-1] = _fresh(self.stack[-1])

    def load_inst(self) -> None:
        name = Name(self.readline()[:-1].decode("ascii"), self.readline()[:-1].decode("ascii"))
        self.pop_mark()
        self.append(_fresh(name))

    def load_obj(self) -> None:
        name = self.pop_mark()[0]
        self.append(_fresh(name))

    def load_build(self) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Stub):
            self.stack[-1].state = state

    def load_append(self) -> None:
        self._extend([self.stack.pop()])

    def load_appends(self) -> None:
        self._extend(self.pop_mark())

    def load_additems(self) -> None:
        self.pop_mark()

    def load_empty_set(self) -> None:
        self.append(Stub())

    def load_frozenset(self) -> None:
        self.pop_mark()
        self.append(Stub())

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def load_setitems(self) -> None:
        self._set(self.pop_mark())

    def load_dict(self) -> None:
        pairs = self.pop_mark()
        self.append({})
        self._set(pairs)

    def refuse(self) -> None:
        raise _MalformedError("it holds something that does not belong in a file of weights")

    def _extend(self, values: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(values)

    def _set(self, pairs: list[Any]) -> None:
        owner = self.stack[-1]
        target = owner.items if isinstance(owner, Stub) else owner
        if isinstance(target, dict):
            target.update((k, v) for k, v in zip(pairs[::2], pairs[1::2], strict=False) if isinstance(k, _SCALARS))


_OPCODES: Mapping[bytes, Any] = {
    pickle.REDUCE: InertUnpickler.load_reduce,
    pickle.NEWOBJ: InertUnpickler.load_newobj,
    pickle.NEWOBJ_EX: InertUnpickler.load_newobj_ex,
    pickle.INST: InertUnpickler.load_inst,
    pickle.OBJ: InertUnpickler.load_obj,
    pickle.BUILD: InertUnpickler.load_build,
    pickle.APPEND: InertUnpickler.load_append,
    pickle.APPENDS: InertUnpickler.load_appends,
    pickle.ADDITEMS: InertUnpickler.load_additems,
    pickle.EMPTY_SET: InertUnpickler.load_empty_set,
    pickle.FROZENSET: InertUnpickler.load_frozenset,
    pickle.SETITEM: InertUnpickler.load_setitem,
    pickle.SETITEMS: InertUnpickler.load_setitems,
    pickle.DICT: InertUnpickler.load_dict,
    **dict.fromkeys((pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.PERSID), InertUnpickler.refuse),
    **dict.fromkeys((pickle.BYTEARRAY8, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER), InertUnpickler.refuse),
}
"""Handlers for all opcodes that could call something or allocate memory."""
InertUnpickler.dispatch = {**_PythonUnpickler.dispatch, **{code[0]: load for code, load in _OPCODES.items()}}


def _fresh(name: Any) -> Any:
    """An empty object of the class `name`."""
    return {} if name == Name("collections", "OrderedDict") else Stub()


def _built(name: Any, arguments: Any) -> Any:
    """The result of torch's functions that rebuild tensors; an empty object for all others. Nothing is called."""
    if not isinstance(name, Name) or not isinstance(arguments, tuple):
        return Stub()
    match name, arguments:
        case Name("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2"), (Storage(dtype=torch.dtype()) as s, *rest):
            return _tensor(s, s.dtype, *rest[:3])
        case Name("torch._utils", "_rebuild_tensor_v3"), (Storage() as s, offset, size, stride, _, _, Name() as n, *_):
            return _tensor(s, vars(torch).get(n.name), offset, size, stride)
        case Name("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state"), (TensorRecord() as data, *_):
            return data
        case Name("torch._tensor", "_rebuild_from_type_v2"), (Name() as inner, _, tuple() as within, *_):
            return _built(inner, within)
        case Name("collections", "OrderedDict"), (list() as pairs,):
            return {pair[0]: pair[1] for pair in pairs if isinstance(pair, list | tuple) and _is_item(pair)}
    return _fresh(name)


def _is_item(pair: Any) -> bool:
    return len(pair) == 2 and isinstance(pair[0], _SCALARS)


def _tensor(storage: Storage, dtype: object, offset: Any, size: Any, stride: Any) -> TensorRecord:
    if not isinstance(dtype, torch.dtype):
        raise _MalformedError("a tensor has an unknown dtype")
    if not isinstance(size, tuple) or not isinstance(stride, tuple) or not len(size) == len(stride) <= MOST_DIMENSIONS:
        raise _MalformedError("a tensor's shape is damaged")
    made = TensorRecord(storage, dtype, _integer(offset), tuple(map(_integer, size)), tuple(map(_integer, stride)))
    last = made.offset + sum((n - 1) * step for n, step in zip(made.size, made.stride, strict=True))
    if all(made.size) and last >= storage.length:
        raise _MalformedError("a tensor reaches beyond its memory")
    return made


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**48:
        raise _MalformedError("a tensor has an invalid size")
    return value


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read the pickle file `path`: name → tensor, each with its own memory, and the facts worth keeping.

    Raises ModelError, or OSError if the file cannot be read.
    """
    try:
        with open_to_read(path) as file:
            if foreign := foreign_content(file.read(HEAD), "a pickle file"):
                raise ModelError(f"{path}: this is {foreign[0]}, not a pickle file", code="not_read", hint=foreign[1])
            if tarfile.is_tarfile(path):
                raise _MalformedError("it is a tar archive, the format of torch before version 0.1.10")
            file.seek(0)
            contents, places = (_zip if zipfile.is_zipfile(path) else _legacy)(file)
            records = dict(_weights(contents, DEEPEST))
            most = 2 * path.stat().st_size + ROOM
            if sum(record.bytes for record in records.values()) > most:
                asked = sum(record.bytes for record in records.values()) / 1e9
                raise _MalformedError(f"its tensors would take {asked:,.1f} GB, far more than it holds")
            if not records:
                return {}, {}
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as content:
                tensors = {name: _read(record, places, content) for name, record in records.items()}
        return tensors, _facts(contents)
    except _MalformedError as error:
        raise _damaged(path, str(error)) from error
    except (
        *(pickle.UnpicklingError, zipfile.BadZipFile, EOFError, ValueError, IndexError, KeyError, TypeError),
        *(
            AttributeError,
            RecursionError,
            OverflowError,
            MemoryError,
            AssertionError,
            struct.error,
            NotImplementedError,
            RuntimeError,
        ),
    ) as error:  # invalid bytes can make the unpickler fail in any of these ways
        raise _damaged(path, type(error).__name__) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # seeking to an invalid position
            raise
        raise _damaged(path, "it points outside of itself") from error


def _damaged(path: Path, why: str) -> ModelError:
    return ModelError(
        f"{path}: this file is damaged, or not a file of weights: {why}",
        code="unsafe_pickle",
        hint="download it again, or look for a .safetensors version of it",
    )


Places = Mapping[str, tuple[int, int]]
"""Storage key → offset of its bytes in the file, and their number."""


def _zip(file: IO[bytes]) -> tuple[Any, Places]:
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        main = next((name for name in entries if name.endswith("/data.pkl") or name == "data.pkl"), None)
        if main is None:
            raise _MalformedError("this archive was not written by torch")
        start = main.removesuffix("data.pkl")
        if f"{start}constants.pkl" in entries or any(name.startswith(f"{start}code/") for name in entries):
            raise _MalformedError("it is a TorchScript program, which would have to be run")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
            raise _MalformedError("its parts are compressed, unlike those of torch")
        order = entries.get(f"{start}byteorder")
        if order is not None and order.file_size <= LONGEST_WORD and archive.read(order) == b"big":
            raise _MalformedError("its numbers are big-endian, which is not supported")
        if entries[main].file_size > LARGEST_PICKLE:
            raise _MalformedError(_TOO_LONG)
        contents = _unpickled(BytesIO(archive.read(main)))
        places = {}
        for name, entry in entries.items():
            if name.startswith(f"{start}data/"):
                file.seek(entry.header_offset)
                head = file.read(30)
                begin = entry.header_offset + 30 + int.from_bytes(head[26:28], "little")
                begin += int.from_bytes(head[28:30], "little")
                places[name.removeprefix(f"{start}data/")] = begin, entry.file_size
        return contents, places


def _legacy(file: IO[bytes]) -> tuple[Any, Places]:
    """Read magic number, version, machine, object and storage keys; then each storage's length and bytes."""
    if _unpickled(file) != _LEGACY_MAGIC:
        raise _MalformedError("it was not written by torch")
    _, _, contents, keys = (_unpickled(file) for _ in range(4))
    sizes = {record.storage.key: record.storage for record in dict(_weights(contents, DEEPEST)).values()}
    places = {}
    for key in keys if isinstance(keys, list) else []:
        length = int.from_bytes(file.read(8), "little")
        storage = sizes.get(str(key))
        if storage is None or storage.dtype is None:
            raise _MalformedError("it holds memory that no tensor uses")
        places[str(key)] = file.tell(), length * storage.dtype.itemsize
        file.seek(length * storage.dtype.itemsize, 1)
    return contents, places


def _unpickled(file: IO[bytes]) -> Any:
    return InertUnpickler(_Bounded(file), encoding="utf-8", errors="replace").load()


def _read(record: TensorRecord, places: Places, content: mmap.mmap) -> torch.Tensor:
    begin, size = places.get(record.storage.key, (0, -1))
    item = (record.storage.dtype or record.dtype).itemsize
    if record.storage.length * (item if record.storage.dtype else 1) > size or begin + size > len(content):
        raise _MalformedError("its end is missing")
    if not all(record.size) or not size:
        return torch.empty(record.size, dtype=record.dtype)
    raw = torch.frombuffer(content, dtype=torch.uint8, count=size - size % item, offset=begin)
    if begin % item:
        raw = raw.clone()
    return torch.as_strided(raw.view(record.dtype), record.size, record.stride, record.offset).contiguous().clone()


NESTED = ("state_dict", "params_ema", "params", "model_state_dict", "model", "string_to_param")
"""Keys under which the weights may be nested."""


def _weights(value: Any, depth: int) -> Iterator[tuple[str, TensorRecord]]:
    """Yield name and tensor of a mapping, a nested mapping, or a pickled network."""
    if depth <= 0:
        raise _MalformedError("it contains itself")
    if isinstance(value, Stub) and not value.items:
        yield from _of_module(value, "", depth, count())
        return
    value = value.items if isinstance(value, Stub) else value
    if not isinstance(value, dict):
        return
    for key in NESTED:
        inner = value.get(key)
        if isinstance(inner, dict | Stub):
            found = list(_weights(inner, depth - 1))
            if key == "string_to_param":  # a textual inversion as AUTOMATIC1111 writes it: one vector per token
                found = [("emb_params", record) for _, record in found[:1]]
            yield from found
            return
    for key, record in value.items():
        if isinstance(record, TensorRecord):
            yield str(key), record


def _of_module(stub: Stub, prefix: str, depth: int, seen: Iterator[int]) -> Iterator[tuple[str, TensorRecord]]:
    """Yield the tensors of a torch.nn object under the names of `Module.state_dict`; of another mapping, its items."""
    if depth <= 0 or next(seen) > MOST_MODULES:
        raise _MalformedError("it contains itself")
    state = stub.state if isinstance(stub.state, dict) else {}
    for group in (state.get("_parameters"), state.get("_buffers"), stub.items):
        for key, record in group.items() if isinstance(group, dict) else ():
            if isinstance(record, TensorRecord):
                yield f"{prefix}{key}", record
    modules = state.get("_modules")
    for key, module in modules.items() if isinstance(modules, dict) else ():
        if isinstance(module, Stub):
            yield from _of_module(module, f"{prefix}{key}.", depth - 1, seen)


def _facts(contents: Any) -> dict[str, str]:
    """The name of a textual inversion; the training step, which distinguishes versions of Stable Diffusion 2."""
    if not isinstance(contents, dict):
        return {}
    kept = {key: contents.get(key) for key in ("name", "global_step")}
    return {key: str(value) for key, value in kept.items() if isinstance(value, str | int) and len(str(value)) < 200}
