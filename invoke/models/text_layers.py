"""Determines how many layers of a model's text encoders can be skipped (`--clip_skip`), without loading it."""

from invoke.errors import RequestError
from invoke.models.folder import read_json
from invoke.models.hub.cache import located
from invoke.models.spec import ModelSpec

_ENCODERS = ("text_encoder", "text_encoder_2")


def most_skipped(spec: ModelSpec) -> int | None:
    """The largest valid `--clip_skip`; None if the model's folder is not on this disk.

    Raises ModelError if a config in it cannot be read.
    """
    path = located(spec.weights)
    files = [path / part / "config.json" for part in _ENCODERS] if path is not None and path.is_dir() else []
    layers = [read_json(spec.name, file).get("num_hidden_layers", 0) for file in files if file.is_file()]
    kept = 1 if spec.family == "sd" else 2  # XL never uses the last layer
    return max(0, min(map(int, layers)) - kept) if layers else None


def too_many_skipped(spec: ModelSpec, skip: int, most: int, column: int | None = None) -> RequestError:
    """The error for a `--clip_skip` that is too large."""
    return RequestError(
        f"--clip_skip {skip}: {spec.name} can skip at most {most} layers",
        code="not_taken",
        column=column,
        hint=f"--clip_skip {most} or less",
    )
