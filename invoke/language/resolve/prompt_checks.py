"""Checks the texts of a picture, and draws them with `--wild`."""

import re
from collections.abc import Iterator
from dataclasses import replace
from unicodedata import category

from invoke.errors import CommandError, ModelError, RequestError
from invoke.language.command_table import by_command
from invoke.language.parse import LEAVING, Draft, column_in_line
from invoke.language.resolve.line_context import LineContext
from invoke.language.resolve.wildcards import draw
from invoke.language.tokens import SPACES, is_blank
from invoke.models import ModelSpec, Registry
from invoke.models.vocabulary import vocabulary
from invoke.prompts import foreign, read_prompt
from invoke.request import Request

DRAWN = ("prompt", "negative_prompt")
"""The fields that `--wild` draws."""

_TRIGGER = re.compile(r"<[\w.-]+>")
_NOT_WORDS = re.compile(
    r'(?:with|use)Lora\((?:"[^"]*"|[^")])*\)'
    r"|<[^<>]*>|\.(?:swap|blend|and)\(|[st]_(?:start|end) *=|shape_freedom|no_normalize"
)
"""Syntax with letters that are not words of the prompt."""
_JOINERS = "\u200c\u200d"
_JOINED = frozenset({"Mn", "Mc"})
"""Unicode categories of combining signs, such as vowels in Hindi and Thai."""
MOST_UNKNOWN = 5
"""How many unknown words are listed."""


COMMAND_LIKE = re.compile(
    r"[:/\\?](?:[a-z]{1,12}!?|\?)?|[a-z]{1,12}\(\)|-\?|python3?|bash|ls|cd|pwd|man|h|cls|dir|sudo|vim|nano|git|pip|logout"
    r"|version|commands|settings|options|help \S+",
    re.ASCII,
)
"""Commands of other programs, which are not prompts: `:q`, `/help`, `?`, `exit()`, `ls`."""


def check_prompt(draft: Draft, *, redraws: bool | None) -> Iterator[str]:
    """Notes about a missing prompt. Raises CommandError if the line needs one.

    `redraws`: whether an init picture is redrawn; None if nothing is drawn at all.
    """
    word = (draft.prompt or "").strip(SPACES)
    if not draft.switches and draft.before is None and draft.line.strip(SPACES) == word:
        _refuse_command(word)
    if not is_blank(word) or "prompt" in draft.columns:
        return
    if redraws:
        yield "there is no prompt, so the picture is redrawn without one: type what it should show"
    elif redraws is False:
        raise CommandError(
            "there is no prompt",
            code="no_prompt",
            column=0,
            hint='type what to paint, such as: a lighthouse at dusk -s 20; to paint without words: --prompt ""',
        )


def _refuse_command(word: str) -> None:
    """Raise CommandError for a line that is just the name of a command, or a command of another program."""
    name = word.lower().rstrip(".!;") if len(word) > 1 else word  # `help!`, `exit;`
    name = name.rstrip("?") or name
    full_width = by_command().get(name[1:].partition(" ")[0]) if name.startswith("\uff01") else None
    command = by_command().get(name)
    if full_width is not None:
        advice = f"type {full_width.spelling} with a plain exclamation mark"
    elif command is not None and len(name) > 1:
        advice = f"type {command.spelling}"
    elif name in LEAVING or name in {"bye", ":q", ":q!", ":wq", ":x", "exit()", "quit()", "q!", "/quit", "/exit"}:
        advice = "type !quit to leave"
    elif COMMAND_LIKE.fullmatch(name):
        advice = "type !help for a list of commands"
    else:
        return
    raise CommandError(
        f"{word}: {advice}",
        code="bare_command",
        column=0,
        hint=f'to paint the word, put it in double quotes: "{word}"',
    )


def unknown_words(text: str, spec: ModelSpec, models: Registry) -> Iterator[str]:
    """A note about words of `text` that `spec`, if it has its own vocabulary, does not know."""
    own_words = vocabulary(spec)
    if own_words is None:
        return
    taught = {word for other in models for trigger in other.triggers for word in _words(trigger)}
    unknown = dict.fromkeys(word for word in _words(text) if word not in own_words | taught)
    if not unknown:
        return
    first = [f"'{word}'" for word in list(unknown)[:MOST_UNKNOWN]]
    more = f" and {len(unknown) - len(first)} more" if len(unknown) > len(first) else ""
    yield f"{spec.name} does not know {', '.join(first)}{more}; for its words and other models: !help models"


def _words(text: str) -> list[str]:
    text = _NOT_WORDS.sub(" ", text).lower()
    spaced = "".join(
        letter if letter.isalpha() or letter in _JOINERS or category(letter) in _JOINED else " " for letter in text
    )
    words = (word.strip(_JOINERS) for word in spaced.split())
    return [word for word in words if len(word) > 1 or not word.isascii()]


def draw_texts(request: Request, draft: Draft, context: LineContext) -> Request:
    """Replace the texts of `request` with those that its seed draws. Raises RequestError with the column."""
    texts = {name: _drawn(name, getattr(request, name), request.seed, draft, context) for name in DRAWN}
    return replace(request, prompt=texts["prompt"], negative_prompt=texts["negative_prompt"])


def check_texts(prompt: str, negative_prompt: str, draft: Draft, models: Registry) -> list[str]:
    """Notes about the texts of a picture. Raises CommandError or ModelError with the column."""
    try:
        loras = read_prompt(prompt, negative_prompt).loras
    except CommandError as error:
        if error.column is None:
            error.column = draft.values.get("negative_prompt")
        elif prompt == (draft.prompt or ""):
            error.column = column_in_line(draft, error.column)
        else:
            error.column = column_in_line(draft, 0)
            error.message += f" (drawn: {prompt})"
        raise
    for name, _ in loras:
        try:
            models.find(name, "lora")
        except ModelError as error:
            typed = re.search(rf"Lora\(\s*{re.escape(name)}", draft.line)
            error.column = typed.start() if typed else None
            raise
    text = f"{prompt} {negative_prompt}"
    return [*foreign(text), *_unknown_triggers(text, models)]


def _drawn(name: str, text: str, seed: int, draft: Draft, context: LineContext) -> str:
    try:
        return draw(text, seed, context.wildcards, salt=name)
    except RequestError as error:
        place = error.column or 0
        error.column = column_in_line(draft, place) if name == "prompt" else draft.values.get(name)
        raise


def _unknown_triggers(text: str, models: Registry) -> Iterator[str]:
    triggers = {f"<{spec.name}>" for spec in models if spec.kind == "embedding"}
    triggers |= {trigger for spec in models for trigger in spec.triggers}
    for word in dict.fromkeys(_TRIGGER.findall(text)):
        if word not in triggers:
            yield f"{word}: no textual inversion has this trigger, so it is read as text (!triggers lists them)"
