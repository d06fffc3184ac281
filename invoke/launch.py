"""The words behind `invoke` in the system shell: launch options, defaults for every line, or one line."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal, get_args

from invoke.command.draft import Draft
from invoke.command.parse import parse
from invoke.command.render import render_switch, value_word
from invoke.command.tokens import quote
from invoke.engine.options import Offload, Precision
from invoke.errors import CommandError
from invoke.switch_types import Number
from invoke.switches import Switch, by_name, by_short
from invoke.wording import did_you_mean, one_of

Preview = Literal["auto", "off", "blocks", "kitty", "iterm2"]
"""How a picture is shown at the terminal while it is made."""
EditingKeys = Literal["emacs", "vi"]
"""Of the prompt."""
SHELLS = ("bash", "zsh", "fish")
"""That can complete the words behind `invoke`."""
OFF = ""
"""The value of a flag that is turned off: what the user's file says of it does not hold."""
LINE = "--"
"""Ends the launch options: what follows is the line, whatever it looks like."""
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")


def _device(name: str) -> str:
    if _DEVICE.fullmatch(name):
        return name
    meant = did_you_mean(name, ("auto", "cpu", "cuda", "mps"))
    raise ValueError(f"must be auto, cpu, cuda, cuda:N or mps, not '{name}'{meant}")


def _gigabytes(amount: str) -> float:
    return Number(0).parse((amount,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One launch option that is no switch of a line. Without `metavar` it is a flag."""

    name: str
    short: str = ""
    metavar: str = ""
    choices: tuple[str, ...] = ()
    check: Callable[[str], object] = str
    """Raises ValueError for what is no value."""
    default: str = ""
    """What holds where nobody says; of choices, the first one does."""
    help: str
    once: bool = False
    """Whether it belongs to one launch, and not into the user's file of settings."""
    pending: str = ""

    @property
    def is_flag(self) -> bool:
        return not self.metavar

    @property
    def twin(self) -> str:
        """The name that turns a flag off: `no_offline`, `history`."""
        return self.name.removeprefix("no_") if self.name.startswith("no_") else f"no_{self.name}"


OPTIONS = (
    Option(name="from_file", metavar="FILE|-", help="make the lines of a file, or of the standard input", once=True),
    Option(name="dry_run", help="plan every line, make nothing, load nothing", once=True),
    Option(name="json", help="events on stdout, one JSON object a line", once=True),
    Option(name="quiet", short="q", help="nothing but the pictures' paths, on stdout"),
    Option(name="stop_on_error", help="end a batch at the first line that fails"),
    Option(name="resume", help="go on with a batch: skip what is made already", once=True),
    Option(name="config", metavar="FILE", help="models of your own, in the form of configs/models.yaml", once=True),
    Option(name="device", metavar="NAME", check=_device, default="auto", help="auto, cpu, cuda, cuda:N or mps"),
    Option(
        name="precision",
        metavar="NAME",
        choices=get_args(Precision),
        help=one_of(get_args(Precision)),
    ),
    Option(
        name="offload",
        metavar="HOW",
        choices=get_args(Offload),
        help="where networks wait on a GPU with little memory: none there, model or sequential off it",
    ),
    Option(name="compile", help="compile the UNet: slow the first time at each size, then faster"),
    Option(name="no_graphs", help="on CUDA, launch every kernel by itself: slower, and the same pictures"),
    Option(name="safety_checker", help="blur what Stable Diffusion's safety checker objects to; off if not given"),
    Option(
        name="max_memory",
        metavar="GB",
        check=_gigabytes,
        default="0",
        help="memory that models may fill; half of what there is if not given",
    ),
    Option(name="offline", help="never reach for the network"),
    Option(name="yes", help="download models that are not on this disk, without asking"),
    Option(
        name="editing_mode",
        metavar="KEYS",
        choices=get_args(EditingKeys),
        help=f"the keys of the prompt: {one_of(get_args(EditingKeys))}",
    ),
    Option(name="no_history", help="keep no history of what is typed"),
    Option(
        name="preview",
        metavar="HOW",
        choices=get_args(Preview),
        help=f"how a picture is shown at the terminal while it is made: {one_of(get_args(Preview))}",
    ),
    Option(name="ray", metavar="ADDRESS|local", help="make a batch on a Ray cluster", pending="Ray"),
    Option(
        name="print_completion",
        metavar="SHELL",
        choices=SHELLS,
        help=f"a script by which {one_of(SHELLS)} complete these words",
        once=True,
    ),
    Option(name="version", help="say which version this is", once=True),
    Option(name="help", short="h", help="this page", once=True),
)


@dataclass(frozen=True, slots=True)
class Launch:
    """What the words behind `invoke` say."""

    options: Mapping[str, str]
    """Name → value; a flag that is given has the value "yes", one that is turned off OFF."""
    line: str | None = None
    """The one line to make, or None."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Long name → value, for every line."""

    def on(self, name: str) -> bool:
        """Whether the option `name` is given, and not turned off."""
        return self.options.get(name, OFF) != OFF

    def over(self, below: "Launch") -> "Launch":
        """What this says, and where it is silent what `below` does."""
        return Launch({**below.options, **self.options}, self.line, {**below.defaults, **self.defaults})

    def words(self) -> Iterator[str]:
        """The options and defaults as they would be typed."""
        for option in OPTIONS:
            if (value := self.options.get(option.name)) is not None:
                yield f"--{option.twin if value == OFF else option.name}".replace("_", "-")
                yield from () if option.is_flag else (value_word(value),)
        for name, value in self.defaults.items():
            yield from render_switch(by_name()[name], value)


def read_arguments(arguments: Sequence[str]) -> Launch:
    """The launch that `arguments` ask for.

    Words that belong to no switch make it a single line, and so does `-I`; other switches alone are defaults for
    all lines; behind `--` everything belongs to the line. Raises CommandError, also where a switch can only belong to
    a line (`-S`).
    """
    options: dict[str, str] = {}
    words: list[str] = []
    has_text = has_rest = only_line = False
    queue = list(arguments)
    while queue:
        argument = queue.pop(0)
        if argument == LINE and not only_line:
            only_line, has_rest = True, bool(queue)
            continue
        option, value = (None, None) if only_line else _find_option(argument)
        if option is not None:
            options[option.name] = value if value == OFF else _option_value(option, value, queue)
            continue
        row, glued = _find_row(argument)
        if row is None and not _is_dash_word(argument):
            # a command stands first, whatever was said before it: -o out '!fix a.png -U 2'
            words.insert(0 if argument.startswith("!") and not has_text else len(words), argument)
            has_text = True
            continue
        words.append(_switch_word(argument))
        if row is None:
            _refuse_unknown(words[-1])
        elif not glued:
            words += [value_word(word) for word in _take_values(row, queue)]
    line = " ".join(words)
    if has_text or has_rest:
        return Launch(options, line)
    draft = _parse_switches(line)
    own = [by_name()[name] for name in draft.switches if not by_name()[name].launch]
    if not own and draft.prompt is None:
        return Launch(options, None, draft.switches)
    if draft.prompt is None and ("init_img" not in draft.switches or "from_file" in options):
        raise CommandError(
            f"{own[0].spelling} belongs in a line, it is no default for all",
            code="usage",
            hint=f"invoke 'a fire {line}' makes one line",
        )
    return Launch(options, line)


def usage() -> str:
    """The page of `invoke --help`."""
    rows = [(spelled(option), option.help) for option in OPTIONS]
    width = max(len(spelling) for spelling, _ in rows)
    options = "\n".join(f"  {spelling:<{width}}  {text}" for spelling, text in rows)
    return f"""\
invoke                          opens the shell
invoke 'a fire -I fire.png'     makes one line's pictures
invoke --from-file FILE         makes every line of a file; so does a pipe

{options}

Every switch that makes sense for all lines (-s -C -A -W -H -f -n -o -z --fit --grid -m …) sets a default
here; what a line says wins, and --no-fit undoes --fit. !help in the shell lists the switches.
They and most options can stand in a file of settings: invoke '!config' tells where it is."""


def spelled(option: Option) -> str:
    """How it is shown to people: `-q, --quiet`."""
    short = f"-{option.short}, " if option.short else ""
    return f"{short}--{option.name.replace('_', '-')} {option.metavar}".rstrip()


def find_option(name: str) -> Option | None:
    """The option of this long name."""
    return next((option for option in OPTIONS if option.name == name), None)


def find_twin(name: str) -> Option | None:
    """The flag that this long name turns off."""
    return next((option for option in OPTIONS if option.is_flag and not option.once and option.twin == name), None)


def check_value(option: Option, value: str, spelling: str) -> str:
    """`value`, which the option can have. Raises CommandError, which begins with `spelling`."""
    try:
        option.check(value)
        if option.choices and value not in option.choices:
            meant = did_you_mean(value, option.choices)
            raise ValueError(f"must be one of {' '.join(option.choices)}, not '{value}'{meant}")
    except ValueError as error:
        raise CommandError(f"{spelling} {error}", code="usage") from None
    if option.pending and value not in {"none", "off", "auto"}:
        raise CommandError(f"{spelling}: {option.pending} cannot be done yet", code="not_yet")
    return value


def _find_option(argument: str) -> tuple[Option | None, str | None]:
    """The option that a word names, with the value that stands in it; OFF for the twin of a flag."""
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
                raise CommandError(f"{spelling} expects {option.metavar}", code="usage")
            value = queue.pop(0)
        return check_value(option, value, spelling)
    if value is not None:
        raise CommandError(f"{spelling} takes no value", code="usage")
    return "yes"


def _find_row(argument: str) -> tuple[Switch | None, bool]:
    """The row of a switch that stands alone or with `=`, and whether its value is in the same word."""
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
    """`-f`, `--fit`, `-Imy photo.png`; not `-f 0.7 fire`, which is a line."""
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
    """Raises CommandError for what is no switch, with the nearest option or switch."""
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
