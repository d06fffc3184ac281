"""`!import_model`, `!edit_model`, `!del_model`: the user's own list of models. The shipped one is never changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.answers.whereabouts import whereabouts
from invoke.command.commands import arguments, expect
from invoke.command.draft import Bang
from invoke.errors import ModelError
from invoke.models import ModelSpec, read_registry
from invoke.models.naming import check_name
from invoke.models.tables import DEFAULTS, HIDDEN, read_rows, shipped_rows
from invoke.models.userfile import remove_entry, set_entry
from invoke.shell.discarding import offer_to_delete
from invoke.shell.discovery import discovered

if TYPE_CHECKING:
    from invoke.session import Session
    from invoke.shell.sitting import Sitting

ADDED = ("controlnet", "lora", "embedding", "vae")
"""The kinds that fit the models of one family."""


def import_model(sitting: Sitting, bang: Bang) -> None:
    """`!import_model X [NAME]`: X is a hub id, a folder, a file, or a folder of these."""
    expect(bang, "a hub id, a folder or a file")
    words = [word.text for word in arguments(bang)]
    if len(words) > 2:
        raise ModelError(
            f"!import_model expects one thing and a name for it, not {len(words)} words",
            code="bad_value",
            column=bang.column,
            hint="a path with blanks needs quotes",
        )
    if not add(sitting, *words):
        raise ModelError(f"{words[0]}: nothing was added", column=bang.column)


def add(sitting: Sitting, what: str, name: str = "") -> int:
    """Put what `what` holds on the list and say so; how many entries that gave. Raises ModelError."""
    added = 0
    for found in discovered(what, name, sitting.session.models):
        if isinstance(found, ModelError):
            sitting.terminal.note(f"{found.message}{f' ({found.hint})' if found.hint else ''}")
            continue
        change(sitting, found.name, fields_of(found))
        sitting.terminal.say(f"added: {_line(found, sitting.session)}")
        added += 1
    return added


def edit_model(sitting: Sitting, bang: Bang) -> None:
    """`!edit_model NAME [field value | field=value]…`: alone, shows the entry."""
    expect(bang, "a model and what is to change: !edit_model NAME sampler ddim width 640")
    name, *words = [word.text for word in arguments(bang)]
    session = sitting.session
    rows, shipped = read_rows(_file(session)), shipped_rows()
    if name not in rows and name not in shipped:
        session.models.named(name)  # says what is near
    if not words:
        for key, value in {**shipped.get(name, {}), **rows.get(name, {})}.items():
            sitting.terminal.say(f"  {key}: {', '.join(value) if isinstance(value, list) else value}")
        return
    change(sitting, name, {**rows.get(name, {}), **_changes(words, bang)})
    told = whereabouts(session.models.named(name), session.engine.in_memory) if name in session.models else "hidden"
    sitting.terminal.say(f"changed: {name} ({told})")
    if name == session.model:
        session.engine.load(name)


def del_model(sitting: Sitting, bang: Bang) -> None:
    """`!del_model NAME`: off the list; its weights only after another yes."""
    expect(bang, "a model")
    name = " ".join(word.text for word in arguments(bang))
    session, terminal = sitting.session, sitting.terminal
    if name == session.model:
        raise ModelError(f"{name} is in use", hint="!switch to another one first", column=bang.column)
    rows, shipped = read_rows(_file(session)), shipped_rows()
    if name not in rows and name not in shipped:
        session.models.named(name)  # says what is near
    weights = str({**shipped.get(name, {}), **rows.get(name, {})}.get("weights", ""))
    if name in rows and name in shipped:
        question, told = f"forget your changes to {name}?", f"{name} is as it was shipped"
    elif name in rows:
        question, told = f"take {name} off the list?", f"{name} is off the list"
    else:
        question, told = f"{name} is shipped with the program: hide it?", f"hidden; !edit_model {name} hidden=false"
    if not terminal.ask(question):
        terminal.say("nothing was changed")
        return
    change(sitting, name, None if name in rows else {HIDDEN: True})
    terminal.say(told)
    offer_to_delete(sitting, weights)


def change(sitting: Sitting, name: str, fields: Mapping[str, Any] | None) -> None:
    """Change the list and use it. Raises ModelError, with the list as it was."""
    file = _file(sitting.session)
    if fields is not None:
        check_name(name)
    kept = remove_entry(file, name) if fields is None else set_entry(file, name, fields)
    if not kept:
        sitting.terminal.note(f"{file} was written anew: its comments are gone")
    sitting.session.know(read_registry(file))


def fields_of(spec: ModelSpec) -> dict[str, Any]:
    """What an entry says of `spec`: all that is not said by saying nothing."""
    fields = {key: getattr(spec, key) for key, default in DEFAULTS.items() if getattr(spec, key) != default}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in fields.items()}


def _file(session: Session) -> Path:
    assert session.models_file is not None
    return session.models_file


def _changes(words: list[str], bang: Bang) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    queue = list(words)
    while queue:
        key, equals, text = queue.pop(0).partition("=")
        if not equals:
            if not queue:
                raise ModelError(f"{key}: expects a value", code="bad_field", column=bang.column)
            text = queue.pop(0)
        changes[key] = _value(key, text, bang)
    return changes


def _value(key: str, text: str, bang: Bang) -> Any:
    """`text` as the field `key` has it; what cannot be one is refused when it is written."""
    default = False if key == HIDDEN else DEFAULTS.get(key)
    try:
        match default:
            case bool():
                return {"true": True, "yes": True, "false": False, "no": False}[text.lower()]
            case int():
                return int(text)
            case float():
                return float(text)
            case tuple():
                return [word.strip() for word in text.split(",") if word.strip()]
    except (KeyError, ValueError):
        what = "true or false" if isinstance(default, bool) else "a number"
        raise ModelError(f"{key} must be {what}, not '{text}'", code="bad_field", column=bang.column) from None
    return text


def _line(spec: ModelSpec, session: Session) -> str:
    if spec.kind == "model":
        what = f"{spec.family}, {spec.width}×{spec.height}"
    else:
        what = f"{spec.kind} for {spec.family}" if spec.kind in ADDED else spec.kind
    return f"{spec.name} ({what}), {whereabouts(spec, session.engine.in_memory)}"
