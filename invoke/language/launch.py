"""Reads the arguments of `invoke`: launch options, defaults, and possibly one line."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import chain
from typing import Any, cast

from invoke.errors import CommandError
from invoke.language.launch_options import (
    NOT_WARM,
    OFF,
    OPTIONS,
    EditingKeys,
    Option,
    Preview,
    check_value,
    find_option,
    find_twin,
    seconds_of,
    spelled,
    usage,
)
from invoke.language.parse import Draft, parse
from invoke.language.render import render_switch, value_word
from invoke.language.switches import Switch, by_name, by_short
from invoke.language.tokens import quote
from invoke.options import EngineOptions, Offload, Precision, Quantize

DOCTOR = "doctor"
"""The only command that works without its `!`: `invoke doctor`."""
LINE = "--"
"""Ends the launch options: everything after it is the line."""


@dataclass(frozen=True, slots=True)
class Launch:
    """The parsed arguments of `invoke`."""

    options: Mapping[str, str]
    """Name → value. Flags have the value "yes" if given, OFF if turned off."""
    line: str | None = None
    """The line to run, if there is one."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Long name of a switch → default value for every line."""

    def on(self, name: str) -> bool:
        """Whether the option `name` is given and not turned off."""
        return self.options.get(name, OFF) != OFF

    def over(self, below: "Launch") -> "Launch":
        """Merge with `below`; where both have a value, this one wins."""
        return Launch({**below.options, **self.options}, self.line, {**below.defaults, **self.defaults})

    def words(self) -> Iterator[str]:
        """The options and defaults in the form in which they are typed."""
        for option in OPTIONS:
            if (value := self.options.get(option.name)) is not None:
                yield f"--{option.twin if value == OFF else option.name}".replace("_", "-")
                yield from () if option.is_flag else (value_word(value),)
        for name, value in self.defaults.items():
            yield from render_switch(by_name()[name], value)


def engine_options(launch: Launch) -> EngineOptions:
    """The engine's options, from the launch options."""
    return EngineOptions(
        device=launch.options.get("device", "auto"),
        precision=cast(Precision, launch.options.get("precision", "auto")),
        quantize=cast(Quantize, launch.options.get("quantize", "none")),
        offload=cast(Offload, launch.options.get("offload", "none")),
        compile=launch.on("compile"),
        graphs=not launch.on("no_graphs"),
        safety_checker=launch.on("safety_checker"),
        max_memory=float(launch.options.get("max_memory", 0)),
        offline=launch.on("offline"),
        threads=int(launch.options.get("threads", 0)),
    )


def warmth(launch: Launch) -> float | None:
    """How many seconds the engine waits for the next program (0: leave a warm engine's waiting time unchanged).

    None: warm engines are neither used nor left behind.
    """
    duration = launch.options.get("warm")
    if launch.on("no_warm") or duration == NOT_WARM:
        return None
    return seconds_of(duration) if duration else 0.0


def read_arguments(arguments: Sequence[str]) -> Launch:
    """Parse the arguments of `invoke`.

    Words that do not belong to a switch, or `-I`, make it a single line. Switches before those words become defaults if
    they make sense for any line; so do switches without a line. After `--` everything belongs to the line.
    Raises CommandError, also if a switch cannot be a default (`-S`).
    """
    options: dict[str, str] = {}
    ahead: list[list[str]] = []
    words: list[str] = []
    only_line = False
    queue = list(arguments)
    while queue:
        argument = queue.pop(0)
        if argument == LINE and not only_line:
            only_line = True
            continue
        option, value = (None, None) if only_line else _find_option(argument)
        if option is not None:
            options[option.name] = value if value == OFF else _option_value(option, value, queue)
            continue
        row, glued = _find_row(argument)
        if row is None and not _is_dash_word(argument):
            words.append(argument)
            continue
        switch = [_switch_word(argument)]
        if row is None:
            _refuse_unknown(*switch)
        elif not glued:
            switch += map(value_word, _take_values(row, queue))
        if words or only_line:
            words += switch
        else:
            ahead.append(switch)
    if not words:
        return _without_text(options, " ".join(chain(*ahead)))
    if words == [DOCTOR] and not ahead:
        return Launch(options, f"!{DOCTOR}")
    if words[0].startswith("!"):  # a command takes all switches, also those before it: -o out '!fix a.png'
        return Launch(options, " ".join([*words, *chain(*ahead)]))
    line_words, defaults = _parted(ahead)
    return Launch(options, " ".join([*line_words, *words]), defaults)


def _without_text(options: Mapping[str, str], line: str) -> Launch:
    """The launch for arguments without text. Raises CommandError."""
    draft = _parse_switches(line)
    line_switches = [by_name()[name] for name in draft.switches if not by_name()[name].launch]
    if not line_switches and draft.prompt is None:
        return Launch(options, None, draft.switches)
    if draft.prompt is None and ("init_img" not in draft.switches or "from_file" in options):
        raise CommandError(
            f"{line_switches[0].spelling} belongs in a line; it cannot be a default",
            code="usage",
            hint=f"invoke 'a fire {line}' runs it as a line",
        )
    return Launch(options, line)


def _parted(ahead: Sequence[Sequence[str]]) -> tuple[list[str], dict[str, Any]]:
    """Split the switches before a line: those for this line only, as words, and those that are defaults."""
    line_words: list[str] = []
    defaults: dict[str, Any] = {}
    for switch in ahead:
        try:
            draft = parse(" ".join(switch))
        except CommandError:  # parsing the line raises it again
            draft = None
        if isinstance(draft, Draft) and draft.prompt is None and all(by_name()[name].launch for name in draft.switches):
            defaults |= draft.switches
        else:
            line_words += switch
    return line_words, defaults


def _find_option(argument: str) -> tuple[Option | None, str | None]:
    """The option that a word names, and the value in the same word if any; OFF for the `no_` twin of a flag."""
    name, equals, value = argument.partition("=")
    if not argument.startswith("--"):
        return next((option for option in OPTIONS if option.short and argument == f"-{option.short}"), None), None
    name = name[2:].replace("-", "_")
    if not equals and (flag := find_twin(name)):
        return flag, OFF
    return find_option(name), value if equals else None


def _option_value(option: Option, value: str | None, queue: list[str]) -> str:
    spelling = f"--{option.name.replace('_', '-')}"
    if option.metavar:
        if value is None:
            if not queue:
                raise CommandError(f"{spelling} needs {option.metavar}", code="usage")
            value = queue.pop(0)
        return check_value(option, value, spelling)
    if value is not None:
        raise CommandError(f"{spelling} takes no value", code="usage")
    return "yes"


def _find_row(argument: str) -> tuple[Switch | None, bool]:
    """The switch that a word names, and whether its value is in the same word."""
    if not _is_dash_word(argument):
        return None, False
    name, equals, _ = argument.lstrip("-").partition("=")
    rows = by_name() if argument.startswith("--") else by_short()
    if argument.startswith("--"):
        name = name.replace("-", "_")
        twin = rows.get(name.removeprefix("no_"))
        if name not in rows and twin is not None and twin.is_flag:
            return twin, True
    row = rows.get(name)
    return row, bool(equals) or row is None or row.is_flag


def _is_dash_word(argument: str) -> bool:
    """Whether it is a switch, such as `-f`, `--fit` or `-Imy photo.png`, not a line such as `-f 0.7 fire`."""
    letters = argument.lstrip("-")
    dashes = len(argument) - len(letters)
    return dashes in {1, 2} and letters[:1].isalpha() and letters[1:2] != " "


def _switch_word(argument: str) -> str:
    if " " not in argument:
        return argument
    name, equals, value = argument.partition("=")
    if equals and " " not in name:
        return f"{name}={quote(value)}"
    return argument if argument.startswith("--") else argument[:2] + quote(argument[2:])


def _take_values(row: Switch, queue: list[str]) -> list[str]:
    taken: list[str] = []
    while queue and not _is_dash_word(queue[0]):
        if len(taken) >= row.type.needs and not row.type.takes(tuple(taken), queue[0]):
            break
        taken.append(queue.pop(0))
    return taken


def _refuse_unknown(word: str) -> None:
    """Raise CommandError for a word that is not a switch, suggesting the most similar option or switch."""
    name = word.partition("=")[0].lstrip("-").replace("-", "_")
    near = get_close_matches(name, [*(option.name for option in OPTIONS), *by_name()], 1)
    try:
        _parse_switches(word)
    except CommandError as error:
        if error.code == "unknown_switch" and (option := find_option(near[0] if near else "")):
            error.message = f"there is no switch {word}, did you mean {spelled(option)}?"
        raise


def _parse_switches(line: str) -> Draft:
    try:
        return parse(line)
    except CommandError as error:
        raise _with_launch_hint(error) from None


def _with_launch_hint(error: CommandError) -> CommandError:
    hint = "invoke --help lists the options" if error.code == "unknown_switch" else error.hint
    return CommandError(error.message, code=error.code, hint=hint)


__all__ = [
    "OFF",
    "OPTIONS",
    "EditingKeys",
    "Launch",
    "Option",
    "Preview",
    "check_value",
    "find_option",
    "find_twin",
    "read_arguments",
    "spelled",
    "usage",
]
