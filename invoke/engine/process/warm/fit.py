"""The fit of an engine: everything that must be equal for another program's pictures to come out as its own would.

What can be changed in a running process (working folder, umask, the rest of the environment) is not part of it, nor
are the models: their files are looked at again for every program.
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
"""Of variables that libraries read once, when they are imported."""
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
"""Files of a control group that limit what is in it."""

Fit = Mapping[str, str]
"""The name of each part → a digest of its value: names can be shown, values may be secrets."""


def read_fit(options: EngineOptions, module: str) -> Fit:
    """The fit of an engine that this process would start now. `module` is what runs in its process."""
    parts = {"module": module, **_files(), **_surroundings()}
    parts |= {f"--{field.name.replace('_', '-')}": getattr(options, field.name) for field in fields(options)}
    parts |= {name: value for name, value in os.environ.items() if _counts(name)}
    return {name: _digest(value) for name, value in parts.items()}


def read_files() -> Fit:
    """The part of the fit that an upgrade changes while an engine waits."""
    return {name: _digest(value) for name, value in _files().items()}


def digest(fit: Fit) -> str:
    """All of a fit in 16 letters."""
    return _digest(sorted(fit.items()))


def differences(one: Fit, other: Fit) -> list[str]:
    """The names of the parts that differ."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def _digest(value: object) -> str:
    return sha256(repr(value).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _counts(name: str) -> bool:
    return name.startswith(PREFIXES) or name in VARIABLES or name.lower().endswith(SUFFIX)


def _files() -> dict[str, object]:
    """Stamps of our own code, and of the folders in which packages are installed."""
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
        return os.readlink(path)  # noqa: PTH115 - it names no file
    except OSError:
        return ""


def _cgroup_limits() -> Iterator[tuple[str, str]]:
    """What the control groups of this process limit, and those around them; not where they are."""
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
    """What a small file of the kernel says; "" where there is none."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
