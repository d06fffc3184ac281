"""Processors of vision-language models without torchvision, which transformers' own need for films.

Pictures are prepared by transformers' Pillow backend; it differs from torchvision's in last bits at most.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from invoke.errors import ModelError
from invoke.models.folder import ModelFolder

QWEN, PIXTRAL = "Qwen2VLProcessor", "PixtralProcessor"


def own_processors(name: str, folder: ModelFolder) -> dict[str, Any]:
    """Part → what takes the place of its processor; empty where torchvision is installed.

    Raises ModelError if a processor is of a kind that needs torchvision.
    """
    if find_spec("torchvision") is not None:
        return {}
    kinds = {part: str(entry[1]) for part, entry in folder.index.items() if isinstance(entry, list) and len(entry) == 2}
    found: dict[str, Any] = {}
    for part, kind in kinds.items():
        if kind == QWEN:
            found[part] = picture_processor().from_pretrained(str(folder.path), subfolder=part, local_files_only=True)
        elif kind == PIXTRAL:  # the pipeline of FLUX.2 gives it texts alone
            found[part] = _tokenizer(folder.path, part)
        elif kind.endswith("VLProcessor"):
            raise ModelError(
                f"{name}: its {kind} needs torchvision, which is not installed",
                code="missing_library",
                hint="pip install torchvision",
            )
    return found


def picture_processor() -> Any:
    """Qwen's processor, for texts and pictures alone."""
    from transformers import Qwen2VLProcessor
    from transformers.processing_utils import ProcessorMixin

    class PictureProcessor(Qwen2VLProcessor):
        def __init__(self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None, **_: Any):
            for kind in ("image", "video"):
                token = getattr(tokenizer, f"{kind}_token", f"<|{kind}_pad|>")
                setattr(self, f"{kind}_token", token)
                setattr(self, f"{kind}_token_id", tokenizer.convert_tokens_to_ids(token))
            initialise: Any = ProcessorMixin.__init__  # Qwen2VLProcessor's own wants a video processor
            initialise(self, image_processor, tokenizer, chat_template=chat_template)

    return PictureProcessor


def _tokenizer(folder: Path, part: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(folder), subfolder=part, local_files_only=True)
