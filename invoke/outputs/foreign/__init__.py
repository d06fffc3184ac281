"""Converts recipes of other programs, and of earlier InvokeAI, to a line, with a list of what that line lacks."""

from collections.abc import Callable, Mapping

from invoke.outputs.foreign import a1111, comfyui, invokeai, others
from invoke.outputs.foreign.recipe import ForeignRecipe, Found, as_object
from invoke.text import LONGEST_LINE, one_line

__all__ = ["ForeignRecipe", "read"]

LARGEST_TEXT = 2**20
"""Maximum length of a text for the graph of ComfyUI; for all others it is LONGEST_LINE."""

XMP = "XML:com.adobe.xmp"
"""Keyword of XMP in a PNG."""

Texts = Mapping[str, str]


def read(texts: Texts) -> ForeignRecipe | None:
    """Read the recipe in the texts of a picture (keyword → text); None if there is neither a recipe nor a program."""
    kept = {
        name: text
        for name, text in texts.items()
        if len(text) <= (LARGEST_TEXT if name in {"prompt", "workflow"} else LONGEST_LINE)
    }
    recipes = [found.recipe() for reader in _READERS if (found := reader(kept)) is not None]
    if recipes:
        return next((recipe for recipe in recipes if recipe.line), recipes[0])
    if "Dream" in texts:
        return ForeignRecipe(invokeai.PROGRAM, left_out=("its line cannot be read",))
    software = one_line(texts.get("Software", ""))
    return ForeignRecipe(software) if software else None


def _of(keyword: str, reader: Callable[[str], Found | None]) -> Callable[[Texts], Found | None]:
    """Apply `reader` to the text of one keyword."""
    return lambda texts: reader(texts[keyword]) if keyword in texts else None


def _easy_diffusion(texts: Texts) -> Found | None:
    return others.easy_diffusion(texts) or others.easy_diffusion(as_object(texts.get(a1111.KEYWORD, "")))


def _workflow(texts: Texts) -> Found | None:
    """A workflow without a graph for the API identifies only the program."""
    if "nodes" not in as_object(texts.get("workflow", "")):
        return None
    return Found(comfyui.PROGRAM).refuse("it has only the editor's workflow")


_READERS: tuple[Callable[[Texts], Found | None], ...] = (
    _of("Dream", invokeai.dream),
    _of("sd-metadata", invokeai.version_2),
    _of("invokeai_metadata", invokeai.version_3),
    others.novelai,
    _of(a1111.KEYWORD, others.swarmui),
    _of(a1111.KEYWORD, others.fooocus),
    _easy_diffusion,
    _of(XMP, others.draw_things),
    _of(a1111.KEYWORD, comfyui.read),
    _of("prompt", comfyui.read),
    _of(a1111.KEYWORD, a1111.read),
    _workflow,
)
"""Tried in order; the first result with a line is used, or else the first."""
