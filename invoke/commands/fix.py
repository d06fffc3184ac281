"""`!fix FILE switches`: enlarges, repairs or extends a finished picture.

It is the line `-I FILE -f 0` with those switches, and the prompt and seed with which FILE was made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from invoke.commands.context import CommandContext
from invoke.commands.picture_arguments import called
from invoke.errors import CommandError, PictureError
from invoke.language.command_table import read_file_line
from invoke.language.parse import CommandCall, Draft, parse
from invoke.language.plan import Plan
from invoke.language.seeds import DrawSeed, random_seed
from invoke.language.switches import by_name
from invoke.language.tokens import read_value, skip_spaces
from invoke.outputs import metadata
from invoke.session import Session

TOOLS = {
    "facetool_strength": "faces",
    "embiggen": "embiggen",
    "embiggen_tiles": "embiggen",
    "upscale": "upscaled",
    "outcrop": "outcrop",
}
"""Switches, at least one of which is required → suffix of the result's name, taken from the first one given."""
REDRAWING = ("outcrop", "embiggen", "embiggen_tiles")
"""Those that run the denoiser, and so allow strength, sampler and the like."""
STEERING = ("strength", "karras", "sampler", "mask_blur", "infill")
"""Switches that have an effect only with the denoiser."""
OTHERS = ("steps", "seed", "cfg_scale", "negative_prompt", "new_prompt", "model")
OUTPUT = ("outdir", "png_compression", "ai_label", "save_intermediates", "strip", "gif")

_FIXED = re.compile(rf"\.({'|'.join(dict.fromkeys(TOOLS.values()))})(-\d\d)?$")


def fix(context: CommandContext, call: CommandCall) -> None:
    """Make the result for each picture that `call` names. Raises InvokeError."""
    context.make(read_file_line(call), partial(plans, context.session, call))


def plans(session: Session, call: CommandCall, draw_seed: DrawSeed = random_seed) -> list[Plan]:
    """A plan for each picture that `call` names. Raises InvokeError."""
    typed = read_file_line(call)
    tool = _tool(typed)
    made = []
    for path in _pictures(session, typed, call.column):
        plan = session.resolve(_draft(session, typed, path, call.column), draw_seed)
        stem = _FIXED.sub("", Path(path).stem).replace("{", "{{").replace("}", "}}")
        made.append(replace(plan, draft=typed, output=replace(plan.output, fnformat=f"{stem}.{tool}.png")))
    return made


def _draft(session: Session, typed: Draft, path: str, column: int) -> Draft:
    """The line `-I PATH -f 0` with the switches of `typed`."""
    recorded = _recorded(path)
    taken_over = {name: recorded[name] for name in ("seed", "negative_prompt") if name in recorded}
    in_force = {name: value for name, value in session.defaults.items() if _is_allowed(name, typed.switches)}
    kept = {} if _redraws(typed.switches) else {"strength": 0.0}
    switches = {"defaults": False, "grid": False} | in_force | taken_over | kept | dict(typed.switches)
    prompt = switches.pop("new_prompt", recorded.get("prompt"))
    return replace(
        typed,
        prompt=prompt,
        switches=switches | {"init_img": path},
        columns={**typed.columns, "init_img": column},
        values={**typed.values, "init_img": column},
    )


def _tool(typed: Draft) -> str:
    """The suffix of the result's name. Raises CommandError if there is nothing to do or a switch does not fit."""
    for name in typed.switches:
        if not _is_allowed(name, typed.switches) and not by_name()[name].obsolete:
            why = "without -c or -embiggen: nothing is redrawn" if name in STEERING else "in !fix"
            raise CommandError(
                f"{by_name()[name].spelling} cannot be used {why}",
                code="bad_switch",
                column=typed.columns.get(name),
                hint="a line that starts from the picture takes every switch: -I FILE",
            )
    for name, called_so in TOOLS.items():
        if typed.switches.get(name):
            return called_so
    raise CommandError(
        "!fix does not know what to do with the picture",
        code="missing_value",
        column=0,
        hint="-U 2 enlarges it, -G 0.8 repairs faces, -c top 64 extends it; !help fix",
    )


def _is_allowed(name: str, switches: Mapping[str, Any]) -> bool:
    if name in STEERING:
        return _redraws(switches)
    is_finish = by_name()[name].group == "finish" and name != "init_color"
    return is_finish or name in (*TOOLS, *OTHERS, *OUTPUT)


def _redraws(switches: Mapping[str, Any]) -> bool:
    return any(switches.get(name) for name in REDRAWING)


def _pictures(session: Session, typed: Draft, column: int) -> Iterator[str]:
    """One name, which may contain spaces, or several; each may be a pattern, or -1 for the newest picture."""
    assert typed.prompt is not None
    named = called(typed.prompt, session, column)
    for name in [typed.prompt] if named else _names(typed.prompt):
        found = named or called(name, session, column)
        if not found:
            raise PictureError(f"{name}: there is no such picture", code="picture_missing", column=column)
        yield from found


def _names(text: str) -> Iterator[str]:
    """The words of `text`, quoted or not."""
    position = 0
    while (start := skip_spaces(text, position)) < len(text):
        word = read_value(text, start)
        yield word.text
        position = word.end


def _recorded(path: str) -> dict[str, Any]:
    """Prompt, negative prompt and seed from the recipe of the picture at `path`, as far as known."""
    try:
        recipe = metadata.read(path)
        draft = parse(recipe.line) if recipe is not None else None
    except (PictureError, CommandError):
        return {}
    return {} if draft is None else {**draft.switches, "prompt": draft.prompt}
