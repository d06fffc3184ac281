"""Metadata: writes the recipe of a picture into its file and reads it back.

The chunk `invoke` holds everything as JSON, `Dream` the line, `parameters` the form that other tools read, and XMP the
AI label. Law: the request that is read equals the request that was written, and the line that is read makes it. Files
of other programs are read by `outputs.foreign`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

from invoke.errors import CommandError, PictureError
from invoke.events import Finished, RunInfo
from invoke.images import read_bytes
from invoke.language.command_table import by_command
from invoke.language.parse import CommandCall, Draft
from invoke.language.parse import read as read_line
from invoke.language.render import render
from invoke.language.switches import Switch, by_name
from invoke.outputs import foreign, iptc, png
from invoke.outputs.foreign import a1111, embedded
from invoke.outputs.metadata_json import facts_from, request_from
from invoke.request import Request
from invoke.text import UNTYPABLE, one_line

Template = Mapping[str, str]
"""`prompt` and `negative_prompt` as typed, if `--wild` drew from them."""
NO_TEMPLATE: Template = MappingProxyType({})

KEYWORD = "invoke"
VERSION = 1
OLDEST_ANCESTOR = 8
"""Maximum generations of init pictures whose recipes are kept."""
LARGEST_ANCESTRY = 32_768
"""Maximum size of their recipes, in bytes."""
LARGEST_LINE = 65_536


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a picture was made.

    Texts are unescaped: they must go through `text.clean` before they are shown in a terminal.
    """

    line: str
    """The line that makes it again, in one row; it may not be valid for every model."""
    request: Request | None = None
    """None for pictures of other programs, or of other versions of this one."""
    facts: RunInfo | None = None
    parent: Recipe | None = None
    """The recipe of its init picture, if that was one of ours."""
    template: Template = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    """What the line lacks, each with its name: `seed 9007199254740993`; or why there is no line."""
    program: str = ""
    """The other program that made it, if any."""


def texts(
    finished: Finished,
    line: str,
    *,
    ai_label: bool = True,
    template: Template = NO_TEMPLATE,
    recorded: Request | None = None,
) -> list[png.Text]:
    """The text chunks for a picture made by `line`.

    `recorded` is the request with the user's paths, if the engine read copies of the files.
    """
    recorded = recorded or finished.request
    parent = _parent(finished.request, finished.facts)
    recipe = Recipe(line, recorded, finished.facts, parent, template)
    found = [
        (KEYWORD, _json(recipe)),
        ("Dream", line),
        (a1111.KEYWORD, a1111.render(recorded, finished.facts)),
    ]
    source_type = _source_type(recipe)
    if ai_label and source_type:
        found.append(iptc.text(source_type))
    return found


def line_texts(line: str, *, ai_label: bool = True) -> list[png.Text]:
    """The text chunks for files without a request of their own: sheets, and results of `!mask`."""
    found = [(KEYWORD, json.dumps({"version": VERSION, "line": line}, ensure_ascii=False)), ("Dream", line)]
    found = found if line else []
    return [*found, iptc.text(iptc.MADE)] if ai_label else found


def read(path: str | Path) -> Recipe | None:
    """Read how the picture at `path` was made; None if it has no recipe.

    Raises PictureError if the file cannot be read or its recipe is invalid.
    """
    try:
        return _recipe(read_bytes(path))
    except ValueError as error:
        raise PictureError(f"{path}: its recipe is damaged: {error}", code="bad_recipe") from error


def _recipe(data: bytes) -> Recipe | None:
    """Raises ValueError."""
    found = embedded.texts(data)
    if KEYWORD in found:
        try:
            recipe = _from_json(json.loads(found[KEYWORD]))
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        if UNTYPABLE.search(recipe.line):
            return replace(recipe, line="", left_out=("its line, because it contains a name that cannot be typed",))
        return recipe if recipe.line else _of_our_line(recipe, found.get("Dream", ""))
    other = foreign.read(found)
    return Recipe(other.line, left_out=other.left_out, program=other.program) if other is not None else None


def _of_our_line(recipe: Recipe, line: str) -> Recipe:
    """`recipe` with the `line` that another version of this program wrote."""
    try:
        parsed = read_line(line) if len(line) <= LARGEST_LINE else None
    except CommandError:
        return replace(recipe, left_out=(f"its line, which this version cannot read: {one_line(line)}",))
    if isinstance(parsed, CommandCall) and (row := by_command().get(parsed.name)) is not None and row.recorded:
        return replace(recipe, line=line)
    if not isinstance(parsed, Draft):
        return recipe
    lost = [name for part in parsed.parts for name in part.switches if not _is_ours(by_name()[name])]
    if lost:
        return replace(recipe, left_out=(f"its line, because it has --{lost[0]}",))
    return replace(recipe, line=line)


def _is_ours(row: Switch) -> bool:
    """Whether a line in a file may have this switch: it affects pictures, but not where they are saved."""
    return bool(row.field) or row.group in {"variations", "init picture"} or row.name in {"grid", "defaults"}


def _from_json(data: Any, generation: int = 0) -> Recipe:
    if not isinstance(data, dict) or type(data.get("version")) is not int:
        raise ValueError("it has no version")
    if data["version"] != VERSION:
        return Recipe("")
    parent = data.get("parent")
    ours = parent is not None and generation < OLDEST_ANCESTOR
    if "line" in data:
        return _of_our_line(Recipe(""), str(data["line"]))
    request = request_from(data.get("request"))
    return Recipe(
        line=render(request) if request is not None else "",
        request=request,
        facts=facts_from(data.get("facts")),
        parent=_from_json(parent, generation + 1) if ours else None,
        template=_template(data.get("template", {})),
    )


def _template(data: object) -> Template:
    if not isinstance(data, dict) or not all(isinstance(text, str) for text in data.values()):
        raise ValueError("template must contain texts")
    return data


def _json(recipe: Recipe) -> str:
    """Everything except the time it took, so that equal pictures have equal files."""
    generations = [_generation(ancestor) for ancestor in _lineage(recipe)][: OLDEST_ANCESTOR + 1]
    while len(_dumped(generations[1:])) > LARGEST_ANCESTRY:
        generations.pop()
    for child, parent in reversed(list(pairwise(generations))):
        child["parent"] = parent
    return _dumped(generations[0])


def _generation(recipe: Recipe) -> dict[str, Any]:
    data: dict[str, Any] = {"version": VERSION}
    if recipe.request is not None:
        data["request"] = asdict(recipe.request)
    if recipe.template:
        data["template"] = dict(recipe.template)
    if recipe.facts is not None:
        data["facts"] = {name: value for name, value in asdict(recipe.facts).items() if name != "seconds"}
    return data


def _lineage(recipe: Recipe) -> Iterator[Recipe]:
    at: Recipe | None = recipe
    while at is not None:
        yield at
        at = at.parent


def _dumped(data: object) -> str:
    text = json.dumps(data, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a path whose name is not UTF-8
        return json.dumps(data)
    return text


def _parent(request: Request, facts: RunInfo) -> Recipe | None:
    digest = facts.hashes.get("init_image", "")
    if request.init_path is None or not digest:
        return None
    return _recipe_of(request.init_path, digest)


@lru_cache(maxsize=16)
def _recipe_of(path: str, digest: str) -> Recipe | None:
    """The recipe of the picture at `path`, if it still has this SHA-256 and is ours."""
    try:
        data = read_bytes(path)
        recipe = _recipe(data) if sha256(data).hexdigest() == digest else None
    except (PictureError, ValueError):
        return None
    return recipe if recipe is not None and recipe.request is not None else None


def _source_type(recipe: Recipe) -> str:
    """The IPTC digital source type; "" if no model was involved."""
    if recipe.request is None or recipe.facts is None:
        return ""
    if recipe.facts.mode == "txt2img":
        return iptc.MADE
    if not recipe.request.is_drawn:
        before = _source_type(recipe.parent) if recipe.parent else ""
        is_finished = any(name.startswith(("upscaler ", "face ")) for name in recipe.facts.hashes)
        return before or (iptc.COMPOSITE if is_finished else "")
    return iptc.COMPOSITE if recipe.facts.mode == "inpaint" else iptc.MADE
