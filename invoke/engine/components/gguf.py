"""Reads the transformer of a model from a GGUF file, through diffusers."""

from pathlib import Path
from typing import Any

from invoke.engine.components.devices import Placement
from invoke.errors import ModelError
from invoke.models.folder import ModelFolder
from invoke.models.gguf import PART, check_gguf


def read_gguf(name: str, file: Path, folder: ModelFolder, place: Placement) -> Any:
    """Read the transformer of the model `name`: weights from `file`, config from `folder`.

    The weights of its linear layers stay quantised; each is dequantised when its layer runs. Raises ModelError.
    """
    import diffusers
    from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES

    check_gguf(name, file, folder.family)
    kind = folder.kinds.get(PART, "none")
    if kind not in SINGLE_FILE_LOADABLE_CLASSES:
        raise ModelError(
            f"{name}: diffusers cannot read GGUF files of its transformer ({kind})",
            code="not_taken",
            hint=f"!edit_model {name} gguf= uses its own weights again; --quantize int8 halves them",
        )
    try:
        return getattr(diffusers, kind).from_single_file(
            str(file),
            config=str(folder.path),
            subfolder=PART,
            quantization_config=diffusers.GGUFQuantizationConfig(place.dtype),  # type: ignore[no-untyped-call]
            dtype=place.dtype,
            local_files_only=True,
        )
    except (
        ValueError,
        LookupError,
        NotImplementedError,
    ) as error:  # other names or shapes, or weights that are missing
        raise ModelError(f"{name}: {file.name} does not fit its transformer ({kind})") from error
