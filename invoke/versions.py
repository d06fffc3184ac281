"""The versions of the packages that decide about a picture's last bits."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("invoke-shell", "torch", "diffusers", "transformers")


@cache
def versions() -> dict[str, str]:
    """Package → version, with the tag of its build if it has one (`+cpu`), or "not installed"."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
