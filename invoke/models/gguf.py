"""GGUF files, which hold the quantised weights of a transformer; the rest of the model comes from its entry."""

from importlib.util import find_spec
from pathlib import Path

from invoke.errors import ModelError
from invoke.files import open_to_read

SUFFIX = ".gguf"
PART = "transformer"
"""The part of a model folder that a GGUF file replaces."""
_MAGIC = b"GGUF"


def check_gguf(name: str, file: Path, family: str) -> None:
    """Raise ModelError if the model `name`, of this `family`, cannot take its transformer from `file`."""
    if family != "auto":
        raise ModelError(
            f"{name}: GGUF files work only with models that run in a diffusers pipeline",
            code="not_taken",
            hint=f"!edit_model {name} gguf= uses its own weights again; --precision float16 halves the memory",
        )
    try:
        with open_to_read(file) as stream:
            magic = stream.read(len(_MAGIC))
    except FileNotFoundError:
        raise ModelError(f"{name}: there is no file {file}") from None
    except OSError as error:
        raise ModelError(f"{name}: {file} cannot be read: {error.strerror or error}") from None
    if magic != _MAGIC:
        raise ModelError(f"{name}: {file} is not a GGUF file", hint="download it again, or name another one")
    if find_spec("gguf") is None:
        raise ModelError(
            f"{name}: its GGUF file needs the library gguf, which is not installed",
            code="missing_library",
            hint="pip install 'invoke-shell[gguf]'",
        )


def named_alone(name: str) -> ModelError:
    """The error for a GGUF file that is named as if it were a whole model."""
    return ModelError(
        f"{name}: a GGUF file holds one network of a model, not a whole one",
        code="wrong_kind",
        hint=f"add it to an entry that has the rest: !edit_model flux-schnell gguf {name}",
    )
