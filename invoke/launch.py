"""The words behind `invoke` in the system shell: launch options, defaults for every line, or one line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from invoke.command.draft import Draft
from invoke.command.parse import parse
from invoke.command.render import value_word
from invoke.command.tokens import quote
from invoke.errors import CommandError
from invoke.switches import Switch, by_name, by_short
from invoke.wording import did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One launch option that is no switch of a line. Without `metavar` it is a flag."""

    name: str
    short: str = ""
    metavar: str = ""
    choices: tuple[str, ...] = ()
    help: str
    pending: str = ""


OPTIONS = (
    Option(name="from_file", metavar="FILE|-", help="make the lines of a file, or of the standard input"),
    Option(name="dry_run", help="plan every line, make nothing, load nothing"),
    Option(name="json", help="events on stdout, one JSON object a line"),
    Option(name="quiet", short="q", help="nothing but the pictures' paths, on stdout"),
    Option(name="stop_on_error", help="end a batch at the first line that fails"),
    Option(name="resume", help="go on with a batch: skip what is made already"),
    Option(name="config", metavar="FILE", help="models of your own, in the form of configs/models.yaml"),
    Option(name="device", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps"),
    Option(
        name="precision",
        metavar="NAME",
        choices=("auto", "float32", "tf32", "float16", "bfloat16"),
        help="auto, float32, tf32, float16 or bfloat16",
    ),
    Option(
        name="offload",
        metavar="HOW",
        choices=("none", "model", "sequential"),
        help="where networks wait on a GPU with little memory: none there, model or sequential off it",
    ),
    Option(name="compile", help="compile the UNet: slow the first time at each size, then faster"),
    Option(name="no_graphs", help="on CUDA, launch every kernel by itself: slower, and the same pictures"),
    Option(name="safety_checker", help="blur what Stable Diffusion's safety checker objects to; off if not given"),
    Option(name="max_memory", metavar="GB", help="memory that models may fill; half of what there is if not given"),
    Option(name="offline", help="never reach for the network"),
    Option(name="yes", help="download models that are not on this disk, without asking"),
    Option(
        name="editing_mode",
        metavar="KEYS",
        choices=("emacs", "vi"),
        help="the keys of the prompt: emacs or vi",
    ),
    Option(name="no_history", help="keep no history of what is typed"),
    Option(
        name="preview",
        metavar="HOW",
        choices=("auto", "off", "blocks", "kitty", "iterm2"),
        help="how a picture is shown at the terminal while it is made: auto, off, blocks, kitty or iterm2",
    ),
    Option(name="ray", metavar="ADDRESS|local", help="make a batch on a Ray cluster", pending="Ray"),
    Option(
        name="print_completion",
        metavar="SHELL",
        choices=("bash", "zsh", "fish"),
        help="a script by which bash, zsh or fish complete these words",
    ),
    Option(name="version", help="say which version this is"),
    Option(name="help", short="h", help="this page"),
)


@dataclass(frozen=True, slots=True)
class Launch:
    """What the words behind `invoke` say."""

    options: Mapping[str, str]
    """Name → value; a flag that is given has the value "yes"."""
    line: str | None = None
    """The one line to make, or None."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Long name → value, for every line."""

    def on(self, name: str) -> bool:
        """Whether the flag `name` is given."""
        return name in self.options


def read_arguments(arguments: Sequence[str]) -> Launch:
    """The launch that `arguments` ask for.

    Words that belong to no switch make it a single line, and so does `-I`; other switches alone are defaults for
    all lines. Raises CommandError, also where one of those can only belong to a line (`-S`).
    """
    options: dict[str, str] = {}
    words: list[str] = []
    has_text = False
    queue = list(arguments)
    while queue:
        argument = queue.pop(0)
        option, value = _find_option(argument)
        if option is not None:
            options[option.name] = _option_value(option, value, queue)
            continue
        row, glued = _find_row(argument)
        if row is None and not _is_dash_word(argument):
            # a command stands first, whatever was said before it: -o out '!fix a.png -U 2'
            words.insert(0 if argument.startswith("!") and not has_text else len(words), argument)
            has_text = True
            continue
        words.append(_switch_word(argument))
        if row is None:
            _parse_switches(words[-1])  # refuse what is no switch
        elif not glued:
            words += [value_word(word) for word in _take_values(row, queue)]
    line = " ".join(words)
    if has_text:
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
here; what a line says wins, and --no-fit undoes --fit. !help in the shell lists the switches."""


def spelled(option: Option) -> str:
    """How it is shown to people: `-q, --quiet`."""
    short = f"-{option.short}, " if option.short else ""
    return f"{short}--{option.name.replace('_', '-')} {option.metavar}".rstrip()


def _find_option(argument: str) -> tuple[Option | None, str | None]:
    name, equals, value = argument.partition("=")
    for option in OPTIONS:
        long = argument.startswith("--") and name[2:].replace("-", "_") == option.name
        if long or (option.short and argument == f"-{option.short}"):
            return option, value if equals else None
    return None, None


def _option_value(option: Option, value: str | None, queue: list[str]) -> str:
    spelling = f"--{option.name.replace('_', '-')}"
    if option.metavar:
        if value is None:
            if not queue:
                raise CommandError(f"{spelling} expects {option.metavar}", code="usage")
            value = queue.pop(0)
        if option.choices and value not in option.choices:
            meant = did_you_mean(value, option.choices)
            raise CommandError(
                f"{spelling} must be one of {' '.join(option.choices)}, not '{value}'{meant}", code="usage"
            )
    elif value is not None:
        raise CommandError(f"{spelling} takes no value", code="usage")
    if option.pending and value not in {"none", "off", "auto"}:
        raise CommandError(f"{spelling}: {option.pending} cannot be done yet", code="not_yet")
    return value or "yes"


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


def _parse_switches(line: str) -> Draft:
    try:
        return parse(line)
    except CommandError as error:
        raise _with_launch_hint(error) from None


def _with_launch_hint(error: CommandError) -> CommandError:
    hint = "invoke --help lists the options" if error.code == "unknown_switch" else error.hint
    return CommandError(error.message, code=error.code, hint=hint)
