"""The versions of the packages that decide about a picture's last bits."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("invoke-shell", "torch", "diffusers", "transformers")


@cache
def versions() -> dict[str, str]:
    """Package → version, with the tag of its build if it has one (`+cpu`), or "not installed"."""
    return {name: version_of(name) or "not installed" for name in PACKAGES}


def version_of(package: str) -> str:
    """The version of an installed package, else ""."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
