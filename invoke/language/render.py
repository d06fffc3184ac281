"""Renders a request as the line that makes it again, whatever the launch defaults are when the line is read."""

from collections.abc import Set
from typing import Any

from invoke.errors import CommandError
from invoke.language.parse import THEN, Draft, parts_of, read
from invoke.language.switches import Switch, by_field
from invoke.language.tokens import OPENING, SPACES, is_blank, quote
from invoke.language.types import looks_like_number
from invoke.request import Request

NO_DEFAULTS = "--no-defaults"


def render(request: Request) -> str:
    """The canonical line: the prompt, then every switch that affects the picture.

    Steps, seed, size, guidance, sampler and model are always included, other switches only if they differ from the
    table's defaults. `--no-defaults` keeps launch and session defaults out when the line is read.
    """
    before = [render(request.before), THEN] if request.before is not None else []
    return " ".join([*before, *part_words(request), NO_DEFAULTS])


def part_words(request: Request, without: Set[str] = frozenset()) -> list[str]:
    """The words of one part of a chain: the prompt, and the switches of all fields except those in `without`."""
    words = [render_prompt(request.prompt)]
    for name, row in by_field().items():
        if name != "prompt" and name not in without and _is_rendered(row, name, request):
            words += [word for value in row.occurrences(getattr(request, name)) for word in render_switch(row, value)]
    return words


def render_prompt(prompt: str) -> str:
    """The prompt, in double quotes if it would not be read back unchanged; `--prompt ""` if it is empty."""
    if is_blank(prompt):
        return f"--prompt {quote(prompt)}"
    try:
        alone = read(prompt)
    except CommandError:
        return quote(prompt)
    as_it_is = isinstance(alone, Draft) and not alone.before and not alone.switches and alone.prompt == prompt
    return prompt if as_it_is and "\n" not in prompt and not _hides_a_chain(prompt) else quote(prompt)


def _hides_a_chain(prompt: str) -> bool:
    """Whether a single quote in `prompt` would hold a `|>` after it, up to the end of a later word: `'tis night`."""
    return len(parts_of(f"{prompt} {THEN} night' night\u2019")) == 1


def render_switch(row: Switch, value: Any) -> list[str]:
    """A switch and its value as words of a line."""
    if row.is_flag:
        return [f"--{row.name}" if value else f"--no-{row.name}"]
    name = f"-{row.short[0]}" if row.short else f"--{row.name}"
    return [name, *(value_word(word) for word in row.type.render(value))]


def value_word(word: str) -> str:
    """Quote `word` if needed to be read as one value after a switch."""
    plain = word and not any(letter in SPACES or letter == '"' for letter in word)
    return word if plain and ((word[0] not in OPENING and word[0] != "-") or looks_like_number(word)) else quote(word)


def _is_rendered(row: Switch, name: str, request: Request) -> bool:
    value = getattr(request, name)
    if name == "strength":
        return request.uses_strength
    if isinstance(value, Request):
        return False
    if row.needs and request.init_image is None:
        return False
    everywhere = row.default is None or name in {"steps", "guidance_scale"}
    return (everywhere and value is not None) or value != row.default
