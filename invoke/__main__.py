"""The entry point: what happens before anything slow is imported."""

import signal
import sys
from importlib.util import find_spec

OLDEST_PYTHON = (3, 11)
LIBRARIES = (
    "accelerate",
    "diffusers",
    "huggingface_hub",
    "numpy",
    "PIL",
    "platformdirs",
    "prompt_toolkit",
    "psutil",
    "ruamel.yaml",
    "safetensors",
    "torch",
    "tqdm",
    "transformers",
    "yaml",
)
"""The modules of the packages that pyproject.toml requires."""


def main() -> int:
    """Run `invoke`; a Ctrl-C during the imports ends it at once, without a traceback."""
    if reason := _what_is_missing():
        sys.stderr.write(f"invoke: {reason}\n")
        return 3
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # a caller that ignores Ctrl-C, as `nohup … &` does, keeps it ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from invoke.cli.main import main as run

    signal.signal(signal.SIGINT, before)
    return run()


def _what_is_missing() -> str:
    """A sentence on why the program cannot run here; empty where it can."""
    if sys.platform == "win32":
        return "Windows itself is not supported; wsl --install, then install invoke-shell there (the GPU works in WSL)"
    if sys.version_info < OLDEST_PYTHON:
        oldest, this = (".".join(map(str, version[:2])) for version in (OLDEST_PYTHON, sys.version_info))
        return f"needs Python {oldest} or newer, and this is {this}: pipx install --python python{oldest} invoke-shell"
    missing = [name for name in LIBRARIES if not _is_installed(name)]
    if missing:
        repair = f"{sys.executable} -m pip install invoke-shell"
        return f"the installation is incomplete, without {', '.join(missing)}: {repair}"
    return ""


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


if __name__ == "__main__":
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]  # python -m puts the working folder there: what lies in it is not imported
    sys.exit(main())
