"""`--ip_adapter [MODEL] PICTURE [scale]`: finds the IP-Adapter and the picture."""

from collections.abc import Iterator, Mapping
from typing import Any

from invoke.errors import ModelError
from invoke.images import describe
from invoke.language.parse import Draft
from invoke.language.resolve.init_image import picture_path
from invoke.language.resolve.line_context import ErrorColumn, LineContext
from invoke.language.switches import in_force
from invoke.models import DEFAULT_MODEL, ModelSpec, Registry
from invoke.models.hub.cache import hub_address
from invoke.models.ip_adapters import encoder_of
from invoke.models.support import FITTED, is_known


def read_ip_adapters(
    draft: Draft, settings: Mapping[str, Any], context: LineContext, spec: ModelSpec
) -> Iterator[tuple[str, str, float]]:
    """Name, picture and scale of each IP-Adapter. Raises ModelError, RequestError or PictureError with the column."""
    for number, (name, image, scale) in enumerate(in_force("ip_adapter", settings), start=1):
        with ErrorColumn(draft, f"ip_adapter {number}"):
            adapter = _fitting(name, context.models, spec)
            path = picture_path("ip_adapter", image, context, in_force("outdir", settings))
            describe(path)
            yield adapter.name, path, scale


def _fitting(name: str, models: Registry, model: ModelSpec) -> ModelSpec:
    """Find the IP-Adapter called `name`, or the first on the list that fits `model`. Raises ModelError."""
    if is_known(model) and model.family not in FITTED:
        raise ModelError(
            f"--ip_adapter: no IP-Adapter fits {model.name}",
            code="wrong_ip_adapter",
            hint="they are made for Stable Diffusion 1 and XL",
        )
    fitting = [spec for spec in models if (spec.kind, spec.family) == ("ip-adapter", model.family)]
    if not name and not fitting:
        raise ModelError(
            f"--ip_adapter: no IP-Adapter for {model.name} is on the list",
            code="wrong_ip_adapter",
            hint="name one before the picture: --ip_adapter FILE.safetensors picture.png",
        )
    found = models.find(name, "ip-adapter") if name else fitting[0]
    if model.name == DEFAULT_MODEL and hub_address(found.weights):
        raise ModelError(
            f"--ip_adapter: {found.name} is made for Stable Diffusion at full size, which {model.name} is not",
            code="wrong_ip_adapter",
            hint="name another model, such as -m sd-1.5",
        )
    if "auto" not in {found.family, model.family} and found.family != model.family:
        names = ", ".join(spec.name for spec in fitting)
        raise ModelError(
            f"--ip_adapter: {found.name} is made for {FITTED[found.family]}, which {model.name} is not",
            code="wrong_ip_adapter",
            hint=f"these fit it: {names}" if names else "",
        )
    if not hub_address(found.weights):
        encoder_of(found)
    return found
