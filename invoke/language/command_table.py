"""COMMANDS: what a line that begins with `!` can ask for. Shell, help, completion and README are functions of it.

To add a command, add a row here and a function in `invoke/commands/` (see CONTRIBUTING.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from typing import Literal

from invoke.errors import CommandError
from invoke.language.parse import CommandCall, Draft, parse
from invoke.language.switches import by_name
from invoke.language.tokens import Word, read_value, skip_spaces

Argument = Literal[
    "nothing", "picture", "text file", "folder", "model", "entry", "pickle", "switches", "defaults", "text", "topic"
]
"""What completion offers after the name; `defaults` are the switches that `!set` takes, an `entry` is
whatever the list of models has, of any kind."""

YES = "--yes"
"""Answers the questions of a command beforehand."""
NUMBER = "NNN"
"""The row of `!1`, `!20`, …"""
AGAIN = "!"
"""The row of `!!`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSpec:
    """One row."""

    name: str
    runs: str = ""
    """Its function: `module.function` in `invoke.commands`; "" where both are called like the command."""
    synonyms: tuple[str, ...] = ()
    argument: Argument = "nothing"
    shown: str = ""
    """The argument in help: `FILE [OUT]`."""
    help: str
    pending: str = ""
    """What this version cannot do yet; the command is refused with it."""
    in_file: bool = False
    """Whether it means something in a file of lines as well, and as the one line of a launch."""
    alone: bool = False
    """Whether it may be the one line of a launch, though not stand in a file: files come from other people, too."""
    instead: str = ""
    """What to type where it means nothing: as the one line of a launch, or outside the prompt at all."""
    lasts: bool = False
    """Whether words after it only change what holds for later lines."""
    numbered: bool = True
    """Whether its line gets a number in the history."""
    changes_files: bool = False
    """Whether it changes files that are not pictures: a dry run only looks it up."""
    recorded: bool = False
    """Whether its line is recorded in the files that it makes, as the line of a picture is."""
    switches: tuple[str, ...] = ()
    """What completion offers after the first word."""
    asks: bool = False
    """Whether it may ask a question, which `--yes` after it answers."""

    turn: Literal["now", "made", "queue", "beside"] = "now"
    """When it runs at a prompt with a queue: at once; at once unless it names a picture of the queue, which has to be
    made first; after the lines entered before it; or at once in a thread of its own, as it may ask something."""

    @property
    def spelling(self) -> str:
        """How it is shown to people: `!fetch FILE [OUT]`."""
        return f"!{self.name} {self.shown}".rstrip()


COMMANDS = (
    CommandSpec(
        name="help",
        runs="info.show_help",
        argument="topic",
        shown="[TOPIC]",
        help="this list, or a page: !help -f, !help samplers",
        in_file=True,
    ),
    CommandSpec(
        name="history",
        runs="recall.history",
        argument="text",
        shown="[TEXT]",
        help="the lines typed so far, or those that contain TEXT",
        numbered=False,
    ),
    CommandSpec(
        name="search",
        runs="recall.search",
        argument="text",
        shown="TEXT",
        help="the lines typed so far that contain TEXT",
        numbered=False,
    ),
    CommandSpec(
        name=NUMBER,
        runs="recall.recall",
        argument="switches",
        help="line NNN of the history, put on the prompt for editing",
        numbered=False,
    ),
    CommandSpec(
        name=AGAIN,
        runs="recall.again",
        argument="switches",
        shown="[switches]",
        help="the last line again, with more switches: !! -f 0.4",
        numbered=False,
    ),
    CommandSpec(
        name="clear",
        runs="recall.clear",
        help="forget the history",
        instead="delete its file: invoke '!config' names it",
    ),
    CommandSpec(
        name="fetch",
        argument="picture",
        shown="FILE [OUT]",
        help="the line that made a picture, for editing; the lines of many (outputs/*.png) into a file OUT",
        alone=True,
    ),
    CommandSpec(
        name="replay",
        turn="queue",
        synonyms=("run",),
        argument="text file",
        shown="FILE",
        help="make the lines of a file now",
        instead="invoke --from-file FILE",
    ),
    CommandSpec(
        name="verify",
        turn="queue",
        argument="picture",
        shown="FILE",
        help="make a picture again, or each of several (outputs/*.png), and say whether it is the same",
        in_file=True,
    ),
    CommandSpec(
        name="fix",
        argument="picture",
        shown="FILE switches",
        help="enlarge (-U), repair (-G) or extend (-c) a finished picture",
        in_file=True,
        switches=tuple(by_name()),
        turn="made",
    ),
    CommandSpec(
        name="mask",
        turn="queue",
        argument="picture",
        shown="FILE -tm TEXT [T]",
        help="what a text mask selects, as three pictures: selected, deselected, masked",
        in_file=True,
        recorded=True,
        switches=("text_mask", "outdir"),
    ),
    CommandSpec(
        name="models",
        runs="info.list_models",
        argument="text",
        shown="[TEXT]",
        help="the models that can be named, and where each is: in memory, on disk, or to download; with TEXT, those "
        "whose entry contains it",
        in_file=True,
    ),
    CommandSpec(
        name="switch",
        runs="model_list.switch",
        argument="model",
        shown="NAME",
        help="use another model; it loads in the background",
        in_file=True,
        lasts=True,
        instead="invoke -m NAME 'a castle', or model: NAME in config.yaml",
    ),
    CommandSpec(
        name="import_model",
        runs="model_list.import_model",
        turn="beside",
        synonyms=("import",),
        changes_files=True,
        argument="model",
        shown="X [NAME]",
        help="add a hub id, a folder, a file, or everything in a folder of files to the list of models",
        alone=True,
        asks=True,
    ),
    CommandSpec(
        name="edit_model",
        runs="model_list.edit_model",
        turn="beside",
        argument="entry",
        shown="NAME [field value …]",
        help="show an entry of the list, or change it: !edit_model sd-1.5 vae vae-ft-mse",
        alone=True,
        changes_files=True,
    ),
    CommandSpec(
        name="del_model",
        runs="model_list.del_model",
        turn="beside",
        argument="entry",
        shown="NAME",
        help="remove an entry from the list; its weights are kept unless you agree to delete them",
        alone=True,
        asks=True,
        changes_files=True,
    ),
    CommandSpec(
        name="optimize_model",
        turn="queue",
        synonyms=("convert_model",),
        changes_files=True,
        argument="pickle",
        shown="FILE or NAME",
        help="convert weights in a pickle file (.ckpt, .pt, .bin) to .safetensors, without running what it holds",
        alone=True,
        asks=True,
    ),
    CommandSpec(
        name="triggers",
        runs="info.list_triggers",
        argument="text",
        shown="[TEXT]",
        help="the words that LoRAs and textual inversions on the list were taught",
        in_file=True,
    ),
    CommandSpec(
        name="set",
        runs="session_settings.set_defaults",
        argument="defaults",
        shown="[reset] [switches]",
        help="defaults of this session: !set -s 20 --fit; !set reset undoes them, !set reset -s that one; "
        "!set alone shows them",
        in_file=True,
        lasts=True,
        instead="switches before the line, or in config.yaml: invoke -s 20 'a castle'",
    ),
    CommandSpec(
        name="config",
        runs="info.config",
        shown="[init]",
        help="where the settings, models, wildcards and history are, and what is set; init writes a file to fill in",
        in_file=True,
    ),
    CommandSpec(
        name="gallery",
        runs="folders.gallery",
        turn="queue",
        argument="folder",
        shown="[FOLDER]",
        help="one page of all pictures in the output folder, or in FOLDER, with their lines: FOLDER/gallery.html",
        in_file=True,
    ),
    CommandSpec(
        name="check",
        runs="folders.check",
        turn="queue",
        argument="folder",
        shown="[FOLDER]",
        help="compare the output folder, or FOLDER, with its logs, ledger and numbers: what is missing, damaged or "
        "duplicated, and how to repair it",
        in_file=True,
    ),
    CommandSpec(
        name="show",
        runs="album.show",
        argument="picture",
        shown="[N, N.K, -1 or FILE]",
        help="show a picture in the terminal, with its details: of line N, its Kth, the newest, or a file",
    ),
    CommandSpec(
        name="open",
        runs="album.open_picture",
        argument="picture",
        shown="[PICTURE]",
        help="open a picture in the desktop's viewer",
    ),
    CommandSpec(
        name="compare",
        runs="album.compare",
        argument="picture",
        shown="A B",
        help="two pictures side by side, the differences between their recipes, and how similar they are (PSNR)",
    ),
    CommandSpec(
        name="keep", runs="album.keep", argument="picture", shown="[PICTURE]", help="move a picture into kept/"
    ),
    CommandSpec(
        name="drop",
        runs="album.drop",
        argument="picture",
        shown="[PICTURE]",
        help="move a picture into .trash/, from which !undo brings it back",
    ),
    CommandSpec(name="undo", runs="album.undo", help="bring the picture that was dropped last back"),
    CommandSpec(
        name="preset",
        runs="presets.preset",
        argument="switches",
        shown="save NAME line",
        help="keep words and switches under a name, which +NAME in a line adds; … is where the line's own words go: "
        '!preset save oil -s 30 "…, oil painting"; !preset NAME shows one, !preset delete NAME removes it',
        in_file=True,
        changes_files=True,
    ),
    CommandSpec(
        name="presets", runs="presets.list_presets", help="the presets, and the file that they are in", in_file=True
    ),
    CommandSpec(
        name="queue",
        runs="queue.queue",
        argument="text",
        shown="[move N first]",
        help="the lines that are not finished, with their numbers and the time left; or have line N run next",
        numbered=False,
    ),
    CommandSpec(
        name="cancel",
        runs="queue.cancel",
        argument="text",
        shown="[N or all]",
        help="take line N out of the queue, or all lines; alone, the one entered last",
        numbered=False,
    ),
    CommandSpec(name="pause", runs="queue.pause", help="begin no further line until !resume", numbered=False),
    CommandSpec(name="resume", runs="queue.resume", help="resume the waiting lines", numbered=False),
    CommandSpec(
        name="free",
        runs="session_settings.free",
        turn="queue",
        help="unload all models and free their memory; the next line loads its model again",
    ),
    CommandSpec(
        name="doctor",
        help="what a bug report needs: versions, device, memory, terminal, folders; also invoke doctor",
        in_file=True,
        turn="beside",
    ),
    CommandSpec(
        name="example",
        help="copy the pictures that the docs start from into test-pictures/ in the working folder",
        alone=True,
        changes_files=True,
    ),
    CommandSpec(
        name="quit",
        runs="session_settings.leave",
        synonyms=("exit", "q"),
        numbered=False,
        help="leave; so do Ctrl-D and quit",
        in_file=True,
    ),
)


@cache
def by_command() -> Mapping[str, CommandSpec]:
    """Every name and synonym → its row."""
    return {name: row for row in COMMANDS for name in (row.name, *row.synonyms)}


def find(call: CommandCall, *, in_file: bool = False, alone: bool = False) -> CommandSpec:
    """The row of `call`, which this version can do, from a file of lines or at the prompt; `alone`: of a launch.

    Raises CommandError with the nearest name.
    """
    name = NUMBER if call.name.isdecimal() else call.name
    row = by_command().get(name)
    if row is None:
        starts = [command for command in by_command() if len(name) > 1 and command.startswith(name)]
        near = starts or get_close_matches(name, by_command(), 1)
        suggestion = f", did you mean !{near[0]}?" if near else ""
        raise CommandError(
            f"there is no command !{name}{suggestion}",
            code="unknown_command",
            column=0,
            hint="!help lists them; a prompt that begins with ! goes in double quotes",
        )
    if in_file and not row.in_file and not (alone and row.alone):
        raise CommandError(
            f"!{call.name} belongs to the prompt, not to a line at launch or a file of lines",
            code="bad_command",
            column=0,
            hint=row.instead or "invoke alone opens the prompt",
        )
    if alone and row.lasts and call.rest:
        raise CommandError(
            f"!{call.name} changes later lines only, and this is the only one",
            code="bad_command",
            column=0,
            hint=row.instead,
        )
    if row.pending:
        raise CommandError(f"!{row.name}: {row.pending} cannot be done yet", code="not_yet", column=0)
    if call.rest and row.argument == "nothing" and not row.shown:
        raise CommandError(f"!{call.name} takes no arguments", code="bad_command", column=call.column)
    return row


def arguments(call: CommandCall) -> list[Word]:
    """The words after the command, without their quotes, each where it stands in the line.

    Raises CommandError at a quote that is never closed.
    """
    line = in_place(call)
    words: list[Word] = []
    position = call.column
    while (start := skip_spaces(line, position)) < len(line):
        words.append(read_value(line, start))
        position = words[-1].end
    return words


def argument(call: CommandCall, what: str) -> str:
    """All that stands after the command: one word without its quotes, or several as they are.

    Raises CommandError, which names `what` is expected, where there is nothing.
    """
    expect(call, what)
    words = arguments(call)
    return words[0].text if len(words) == 1 else call.rest


def expect(call: CommandCall, what: str) -> None:
    """Raises CommandError where nothing stands after the command."""
    if not call.rest:
        raise CommandError(f"!{call.name} needs {what}", code="missing_value", column=0)


def read_file_line(call: CommandCall) -> Draft:
    """`!fix FILE switches` as a draft whose prompt is FILE (spaces allowed, quotes optional).

    Raises CommandError, also where no file is named.
    """
    draft = parse(in_place(call))
    for name, column in draft.presets:
        raise CommandError(f"!{call.name} takes no presets, such as +{name}", code="bad_value", column=column)
    if not draft.prompt:
        raise CommandError(f"!{call.name} needs a picture", code="missing_value", column=call.column)
    unneeded = by_name()["new_prompt"].spelling
    notes = tuple(note for note in draft.notes if not note.startswith(unneeded))
    return replace(draft, line=f"!{call.name}".ljust(call.column) + call.rest, notes=notes)


def in_place(call: CommandCall) -> str:
    """The line with spaces instead of the command, so that columns are those of the line."""
    return " " * call.column + call.rest
