"""The fit of an engine: everything that must match for another program to get the same pictures from it.

It excludes what can be changed in a running process (working folder, umask, the rest of the environment), and the
models, whose files are checked again for every program.
"""

import os
import resource
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from hashlib import sha256
from pathlib import Path

from invoke.options import EngineOptions

PREFIXES = (
    "ACCELERATE_",
    "CUBLAS_",
    "CUDA",
    "CUDNN_",
    "DIFFUSERS_",
    "DNNL_",
    "GLIBC_",
    "GOMP_",
    "HF_",
    "HUGGINGFACE_",
    "INVOKE_",
    "KMP_",
    "LC_",
    "LD_",
    "MALLOC_",
    "MKL_",
    "NCCL_",
    "NUMEXPR_",
    "NVIDIA_",
    "OMP_",
    "ONEDNN_",
    "OPENBLAS_",
    "OPENCV_",
    "OPENVINO_",
    "OV_",
    "PYTHON",
    "PYTORCH_",
    "SAFETENSORS_",
    "SSL_",
    "TOKENIZERS_",
    "TORCH",
    "TRANSFORMERS_",
    "TRITON_",
)
"""Prefixes of environment variables that libraries read only once, when they are imported."""
VARIABLES = {
    "CURL_CA_BUNDLE",
    "HOME",
    "LANG",
    "LANGUAGE",
    "REQUESTS_CA_BUNDLE",
    "TMPDIR",
    "TZ",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
}
SUFFIX = "_proxy"
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
_CGROUPS = Path("/sys/fs/cgroup")
_LIMITS = {
    "cpu.max",
    "cpu.cfs_quota_us",
    "cpuset.cpus",
    "memory.high",
    "memory.limit_in_bytes",
    "memory.max",
}
"""Files of a control group that set limits."""

Fit = Mapping[str, str]
"""Name of each part → digest of its value. Names can be shown; values may be secret."""


def read_fit(options: EngineOptions, module: str) -> Fit:
    """The fit of an engine that this process would start now. `module` is its main module."""
    parts = {"module": module, **_files(), **_surroundings()}
    parts |= {f"--{field.name.replace('_', '-')}": getattr(options, field.name) for field in fields(options)}
    parts |= {name: value for name, value in os.environ.items() if _counts(name)}
    return {name: _digest(value) for name, value in parts.items()}


def read_files() -> Fit:
    """The part of the fit that can change while an engine waits: installed files."""
    return {name: _digest(value) for name, value in _files().items()}


def digest(fit: Fit) -> str:
    """A digest of the whole fit, 16 hex digits."""
    return _digest(sorted(fit.items()))


def differences(one: Fit, other: Fit) -> list[str]:
    """Names of the parts that differ."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def _digest(value: object) -> str:
    return sha256(repr(value).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _counts(name: str) -> bool:
    return name.startswith(PREFIXES) or name in VARIABLES or name.lower().endswith(SUFFIX)


def _files() -> dict[str, object]:
    """Stamps of our own code, and of the folders with installed packages."""
    packages = (Path(place) for place in sys.path if Path(place).name in {"site-packages", "dist-packages"})
    return {
        "this program": sorted(_stamps(Path(__file__).parents[3])),
        "installed packages": [(str(folder), *_stamp(folder)) for folder in packages if folder.is_dir()],
    }


def _stamps(folder: Path) -> Iterator[tuple[object, ...]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":
                    yield from _stamps(Path(entry.path))
            elif entry.name.endswith(".py"):
                found = entry.stat()
                yield entry.path, found.st_ino, found.st_mtime_ns, found.st_size


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


def _surroundings() -> dict[str, object]:
    return {
        "Python": (sys.version, os.path.realpath(sys.executable)),
        "user": (os.getresuid(), os.getresgid(), sorted(os.getgroups())),
        "niceness": os.getpriority(os.PRIO_PROCESS, 0),
        "processors": sorted(os.sched_getaffinity(0)),
        "limits (ulimit)": [(name, _limit(name)) for name in sorted(vars(resource)) if name.startswith("RLIMIT_")],
        "limits (cgroup)": sorted(_cgroup_limits()),
        "namespaces": [_link(f"/proc/self/ns/{name}") for name in _NAMESPACES],
        "root folder": _stamp(Path("/"))[0],
    }


def _limit(name: str) -> tuple[int, int]:
    return resource.getrlimit(getattr(resource, name))


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - not the path of a file
    except OSError:
        return ""


def _cgroup_limits() -> Iterator[tuple[str, str]]:
    """The limits of this process's control groups and their parents, without their paths."""
    try:
        rows = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    for row in rows:
        _, controllers, path = row.split(":", 2)
        folder = _CGROUPS / controllers / path.strip("/") if controllers else _CGROUPS / path.strip("/")
        for group in (folder, *folder.parents):
            if not group.is_relative_to(_CGROUPS):
                break
            for name in _LIMITS:
                value = read_kernel_file(group / name)
                if value and value.split()[0] not in {"max", "-1"}:
                    yield name, value


def read_kernel_file(path: Path) -> str:
    """The content of a small kernel file; "" if there is none."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
