"""OPTIONS: the one table of launch options: options of `invoke` that are not switches of a line."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from invoke.errors import CommandError
from invoke.language.types import Number
from invoke.options import Offload, Precision, Quantize
from invoke.text import did_you_mean, one_of

Preview = Literal["auto", "off", "blocks", "kitty", "iterm2", "sixel"]
"""How previews are shown in the terminal."""
EditingKeys = Literal["emacs", "vi"]
"""Key bindings of the prompt."""
SHELLS = ("bash", "zsh", "fish")
"""Shells with a completion script."""
OFF = ""
"""The value of a flag that is turned off, which overrides the config file."""
MOST = 4096
"""Maximum number of workers or threads."""
AUTO_WORKERS = "auto"
LOCAL_RAY = "local"
"""Of `--ray`: a cluster of this machine alone, for one batch."""
NOT_WARM = "off"
"""Value of `--warm`: neither use a warm engine nor leave one."""
LONGEST_WARMTH = 7 * 86_400
_DURATION = re.compile(r"(?P<number>\d{1,9}(\.\d{1,3})?)(?P<unit>[smh])?")
_UNITS = {"s": 1, "m": 60, "h": 3600}
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")


DEVICES = ("auto", "cpu", "cuda", "mps")


def _device(name: str) -> str:
    if _DEVICE.fullmatch(name):
        return name
    suggestion = did_you_mean(name, DEVICES)
    raise ValueError(f"must be auto, cpu, cuda, cuda:N or mps, not '{name}'{suggestion}")


def _threads(number: str) -> None:
    if not number.isdecimal() or int(number) > MOST:
        raise ValueError(f"needs a number from 0 (one per core) to {MOST}, not '{number}'")


def _workers(number: str) -> None:
    if number != AUTO_WORKERS and not (number.isdecimal() and 0 < int(number) <= MOST):
        raise ValueError(f"needs a number from 1 to {MOST}, or {AUTO_WORKERS}, not '{number}'")


def _ray(address: str) -> None:
    host, _, port = address.rpartition(":")
    is_address = host and "/" not in host and port.isdecimal() and 0 < int(port) < 65536
    if address != LOCAL_RAY and not is_address:
        raise ValueError(f"needs {LOCAL_RAY} or HOST:PORT, not '{address}'")


def _shard(part: str) -> None:
    index, slash, count = part.partition("/")
    if not slash or not index.isdecimal() or not count.isdecimal() or not 0 < int(index) <= int(count):
        raise ValueError(f"needs I/N (part I of N), such as 3/64, not '{part}'")


def seconds_of(duration: str) -> float:
    """Read a duration: `90s`, `10m`, `8h` or `off` (0). Raises ValueError."""
    found = _DURATION.fullmatch(duration)
    seconds = float(found["number"]) * _UNITS[found["unit"] or "s"] if found else 0.0
    if seconds > LONGEST_WARMTH or (found is None and duration != NOT_WARM):
        raise ValueError(f"needs a time up to 7 days, such as 90s, 10m or 8h, or {NOT_WARM}, not '{duration}'")
    return seconds


def _gigabytes(amount: str) -> float:
    return Number(0).parse((amount,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One row of OPTIONS. Without `metavar` it is a flag."""

    name: str
    short: str = ""
    metavar: str = ""
    choices: tuple[str, ...] = ()
    suggestions: tuple[str, ...] = ()
    """Some of the possible values, for completion."""
    check: Callable[[str], object] = str
    """Raises ValueError for an invalid value."""
    default: str = ""
    """The default; with `choices`, the first is the default."""
    help: str
    once: bool = False
    """Whether it applies to a single launch and is not allowed in the config file."""
    pending: str = ""

    @property
    def is_flag(self) -> bool:
        return not self.metavar

    @property
    def twin(self) -> str:
        """The name that turns a flag off: `no_offline`, `history`."""
        return self.name.removeprefix("no_") if self.name.startswith("no_") else f"no_{self.name}"


OPTIONS = (
    Option(name="from_file", metavar="FILE|-", help="run the lines of a file, or of standard input", once=True),
    Option(name="dry_run", help="plan every line, but make and load nothing", once=True),
    Option(name="json", help="events on stdout, one JSON object per line", once=True),
    Option(name="quiet", short="q", help="nothing but the pictures' paths, on stdout"),
    Option(name="stop_on_error", help="end a batch at the first line that fails"),
    Option(name="resume", help="continue a batch: skip pictures that already exist", once=True),
    Option(name="config", metavar="FILE", help="your own models, in the format of configs/models.yaml", once=True),
    Option(
        name="device",
        metavar="NAME",
        check=_device,
        suggestions=DEVICES,
        default="auto",
        help="auto, cpu, cuda, cuda:N or mps",
    ),
    Option(
        name="precision",
        metavar="NAME",
        choices=get_args(Precision),
        help=one_of(get_args(Precision)),
    ),
    Option(
        name="quantize",
        metavar="NAME",
        choices=get_args(Quantize),
        help="quantise models that run in a diffusers pipeline: int8, half the size, or nf4, a quarter (CUDA)",
    ),
    Option(
        name="offload",
        metavar="HOW",
        choices=get_args(Offload),
        help="save GPU memory: model keeps idle networks off the GPU, group also idle blocks, sequential also idle "
        "layers",
    ),
    Option(
        name="compile", help="compile the networks, a minute or so for each size, then faster; by OpenVINO on a CPU"
    ),
    Option(
        name="no_graphs",
        help="run all modules of the denoiser at every call, without CUDA graphs: slower, with the same pictures",
    ),
    Option(name="safety_checker", help="blur pictures that Stable Diffusion's safety checker flags; off if not given"),
    Option(
        name="max_memory",
        metavar="GB",
        check=_gigabytes,
        default="0",
        help="memory that models may use; half of the machine's, or 80% of the GPU's, if not given",
    ),
    Option(
        name="threads",
        metavar="N",
        check=_threads,
        default="0",
        help="threads of each engine on a CPU, which affect a picture's exact bits; one per core if not given",
    ),
    Option(
        name="warm",
        metavar="TIME",
        check=seconds_of,
        suggestions=("10m", "1h", NOT_WARM),
        default=NOT_WARM,
        help="keep the engine waiting this long for the next invoke (90s, 10m, 8h), which then starts faster; Linux",
    ),
    Option(name="no_warm", help="neither use a waiting engine nor leave one", once=True),
    Option(name="cool", help="end all waiting engines", once=True),
    Option(name="offline", help="never use the network"),
    Option(name="yes", help="download missing models without asking"),
    Option(
        name="editing_mode",
        metavar="KEYS",
        choices=get_args(EditingKeys),
        help=f"key bindings of the prompt: {one_of(get_args(EditingKeys))}",
    ),
    Option(name="no_history", help="do not save a history of typed lines"),
    Option(name="no_osc", help="no links, marks, window title or progress in the terminal (OSC sequences)"),
    Option(name="no_bell", help="no bell after a line that took longer than 20 seconds without typing"),
    Option(name="no_pager", help="no pager ($PAGER, or less) for output that is longer than the window"),
    Option(name="no_queue", help="no prompt while a picture is made: each line waits for the previous one"),
    Option(
        name="preview",
        metavar="HOW",
        choices=get_args(Preview),
        help=f"how previews are shown in the terminal: {one_of(get_args(Preview))}",
    ),
    Option(
        name="workers",
        metavar="N|auto",
        check=_workers,
        help="engines that run a batch in parallel; auto: one per GPU, else as many as suit this CPU",
        once=True,
    ),
    Option(
        name="ray",
        metavar="ADDRESS|local",
        check=_ray,
        help="run a batch on a Ray cluster, or a local one; --workers sets the number of workers",
        once=True,
    ),
    Option(
        name="shard",
        metavar="I/N",
        check=_shard,
        help="run part I of N of a file, for job arrays",
        once=True,
    ),
    Option(
        name="print_completion",
        metavar="SHELL",
        choices=SHELLS,
        help=f"print a completion script for {one_of(SHELLS)}",
        once=True,
    ),
    Option(name="install_completion", help="install that script for the current shell", once=True),
    Option(name="print_schema", help="print the JSON Schema of the output of --json", once=True),
    Option(name="version", help="print the version", once=True),
    Option(name="help", short="h", help="this page", once=True),
)


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
here; a line overrides it, and --no-fit undoes --fit. !help in the shell lists the switches.
Defaults and most options can also be set in a config file: invoke '!config' shows where it is."""


def spelled(option: Option) -> str:
    """The form shown to users: `-q, --quiet`."""
    short = f"-{option.short}, " if option.short else ""
    return f"{short}--{option.name.replace('_', '-')} {option.metavar}".rstrip()


def find_option(name: str) -> Option | None:
    """The option with this long name."""
    return next((option for option in OPTIONS if option.name == name), None)


def find_twin(name: str) -> Option | None:
    """The flag that this long name turns off."""
    return next((option for option in OPTIONS if option.is_flag and not option.once and option.twin == name), None)


def check_value(option: Option, value: str, spelling: str) -> str:
    """Return `value` if it is valid for the option. Raises CommandError, which begins with `spelling`."""
    try:
        option.check(value)
        if option.choices and value not in option.choices:
            suggestion = did_you_mean(value, option.choices)
            raise ValueError(f"must be one of {' '.join(option.choices)}, not '{value}'{suggestion}")
    except ValueError as error:
        raise CommandError(f"{spelling} {error}", code="usage") from None
    if option.pending and value not in {"none", "off", "auto"}:
        raise CommandError(f"{spelling}: {option.pending} is not supported yet", code="not_yet")
    return value
