"""`!help`, `!models`, `!triggers`, `!config`: commands that show information."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from invoke.commands.context import CommandContext
from invoke.errors import CommandError, ModelError
from invoke.language.command_table import argument
from invoke.language.config_file import read_settings, write_commented
from invoke.language.help import page
from invoke.language.help.pages import page_width
from invoke.language.parse import CommandCall
from invoke.models import Kind, ModelSpec
from invoke.models.hub.cache import hub_address, hub_cache, is_on_disk
from invoke.models.hub.consent import size_shown
from invoke.models.spec import BELONGS
from invoke.paths import HISTORY, LOG, OPENVINO, cache_folder, config_file, expanded, is_there, state_folder
from invoke.session import Session

TITLES: Mapping[Kind, str] = {
    "model": "models",
    "controlnet": "ControlNets",
    "detector": "detectors",
    "ip-adapter": "IP-Adapters",
    "lora": "LoRAs",
    "embedding": "textual inversions",
    "upscaler": "upscalers",
    "text-mask": "masks from words",
    "face": "faces",
    "vae": "VAEs",
    "image-encoder": "image encoders",
    "safety": "safety checkers",
}


def show_help(context: CommandContext, call: CommandCall) -> None:
    """`!help [TOPIC]`. Raises CommandError if there is no such page."""
    try:
        context.say(page(call.rest, page_width(context.columns)))
    except CommandError as error:
        error.column = call.column
        raise


def list_models(context: CommandContext, call: CommandCall) -> None:
    """`!models [TEXT]`: list entries that contain TEXT, by kind. Raises ModelError if there are none."""
    session = context.session
    listed = [spec for spec in _all(session) if call.rest.lower() in _text(spec).lower()]
    if not listed:
        raise ModelError(f"no entry contains '{call.rest}'", hint="!models lists all", column=call.column)
    name_width = max(len(spec.name) for spec in listed)
    rows = []
    for kind in get_args(Kind):
        group = [spec for spec in listed if spec.kind == kind]
        if group:
            rows.append(f"{TITLES[kind]}: {BELONGS[kind][1]}")
        for spec in group:
            active = "*" if spec.name == session.model else " "
            where = whereabouts(spec, session.engine.in_memory)
            rows.append(f"{active} {spec.name:<{name_width}}  {where:<18}  {_about(spec)}")
    context.say("\n".join(rows))


def list_triggers(context: CommandContext, call: CommandCall) -> None:
    """`!triggers [TEXT]`: list trigger words of LoRAs and textual inversions. Raises ModelError if there are none."""
    lines = list(_trigger_lines(context.session, call.rest.lower()))
    if not lines:
        raise ModelError(
            f"no LoRA or textual inversion with '{call.rest}' is on the list"
            if call.rest
            else "no LoRA or textual inversion is on the list",
            hint="!import_model FILE adds one, !edit_model NAME triggers WORD,WORD sets its words",
        )
    context.say("\n".join(lines))


def _trigger_lines(session: Session, text: str) -> Iterator[str]:
    for spec in session.models:
        if spec.kind in {"lora", "embedding"} and text in _text(spec).lower():
            typed = f"<{spec.name}>" if spec.kind == "embedding" else f"withLora({spec.name},1)"
            yield f"  {typed}  {', '.join(spec.triggers) or spec.description}".rstrip()


def _all(session: Session) -> list[ModelSpec]:
    """The list, plus the active model if it is given by a path or hub id."""
    listed = list(session.models)
    if session.model not in session.models:
        listed.append(session.models.find(session.model))
    return listed


def _text(spec: ModelSpec) -> str:
    return " ".join((spec.name, spec.kind, spec.family, spec.weights, spec.description, spec.licence, *spec.triggers))


def _about(spec: ModelSpec) -> str:
    """The description, or else the location, and the licence."""
    return " · ".join(part for part in (spec.description or spec.weights, spec.licence) if part)


def whereabouts(spec: ModelSpec, in_memory: tuple[str, ...]) -> str:
    """`in memory`, `on disk`, `2.1 GB to download`, or `missing`."""
    if spec.name in in_memory:
        return "in memory"
    if hub_address(spec.weights) is None:
        return "on disk" if is_there(expanded(spec.weights)) else "missing"
    if is_on_disk(spec):
        return "on disk"
    return f"{size_shown(spec.megabytes)} to download" if spec.megabytes else "to download"


INIT = "init"


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder of the user."""

    what: str
    path: Path
    made_by: str = ""
    """How it is created."""

    @property
    def exists(self) -> bool:
        return self.path.exists()

    def __str__(self) -> str:
        missing = f"not there{f': {self.made_by}' if self.made_by else ''}"
        return f"{self.what:<12}{self.path}" + ("" if self.exists else f"  ({missing})")


def config(context: CommandContext, call: CommandCall) -> None:
    """`!config`; `!config init` writes the user's file first. Raises CommandError or RequestError."""
    if call.rest:
        if argument(call, INIT) != INIT:
            raise CommandError(
                f"!config takes nothing, or {INIT}", column=call.column, hint="!config init writes a file to fill in"
            )
        if context.dry_run:
            return
        write_commented(config_file())
        context.confirm(f"written: {config_file()}; each setting in it is a comment: remove the # of those you want")
    settings = read_settings(config_file())
    context.say(
        "\n".join([*map(str, places(context.session)), f"{'it sets':<12}{' '.join(settings.words()) or 'nothing'}"])
    )


def places(session: Session) -> Iterator[Place]:
    yield Place("defaults", config_file(), "!config init writes it")
    if session.models_file is not None:
        yield Place("models", session.models_file, "!import_model writes it")
    for folder in session.wildcards:
        yield Place("wildcards", folder.absolute(), "for --wild")
    yield Place("history", state_folder() / HISTORY)
    yield Place("errors", state_folder() / LOG)
    yield Place("downloads", hub_cache())
    yield Place("compiled", cache_folder() / OPENVINO, "for --compile on a CPU")
