"""What is recorded of a picture, beyond its request."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version

from invoke.engine.images import Prepared
from invoke.engine.model import AnyModel
from invoke.events import Facts
from invoke.request import Mode


def mode_of(prepared: Prepared | None) -> Mode:
    if prepared is None:
        return "txt2img"
    return "img2img" if prepared.hole is None else "inpaint"


def facts_of(
    model: AnyModel, prepared: Prepared | None, *, steps_taken: int, hashes: dict[str, str], seconds: float
) -> Facts:
    """Of a picture that `model` drew."""
    return Facts(
        mode=mode_of(prepared),
        steps_taken=steps_taken,
        painted=prepared.painted if prepared else 1.0,
        device=model.place.device_name,
        dtype=model.place.dtype_name,
        versions=versions(),
        hashes=hashes | _hashes(model),
        seconds=seconds,
    )


def _hashes(model: AnyModel) -> dict[str, str]:
    vae = getattr(model, "vae_hash", None)
    return {"model": model.weights_hash.result()} | ({"vae": vae.result()} if vae else {})


def facts_of_untouched(prepared: Prepared) -> Facts:
    """Of a picture that is its prepared original."""
    return Facts(
        mode=mode_of(prepared),
        steps_taken=0,
        painted=0.0,
        device="none",
        dtype="none",
        versions=versions(),
        hashes=prepared.hashes,
    )


@cache
def versions() -> dict[str, str]:
    """What can change a picture's last bits: the libraries that compute it."""
    found = {}
    for name in ("invoke-shell", "torch", "diffusers", "transformers"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
