"""COMMANDS: the one table of `!` commands. Shell, help, completion and README are generated from it.

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
"""What completion suggests after the name; `defaults` are the switches that `!set` takes, `entry` is an entry of the
list of models, of any kind."""

YES = "--yes"
"""Answers yes to a command's questions."""
NUMBER = "NNN"
"""The row of `!1`, `!20`, …"""
AGAIN = "!"
"""The row of `!!`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSpec:
    """One row of COMMANDS."""

    name: str
    runs: str = ""
    """Its function: `module.function` in `invoke.commands`; "" if both have the command's name."""
    synonyms: tuple[str, ...] = ()
    argument: Argument = "nothing"
    shown: str = ""
    """The argument in help: `FILE [OUT]`."""
    help: str
    pending: str = ""
    """A feature that is not implemented yet; the command is rejected with this text."""
    in_file: bool = False
    """Whether it is also allowed in a file of lines, and as the only line of a launch."""
    alone: bool = False
    """Whether it is allowed as the only line of a launch, but not in a file, since files may come from others."""
    instead: str = ""
    """What to type instead where it is not allowed."""
    lasts: bool = False
    """Whether it affects only later lines, if it has arguments."""
    numbered: bool = True
    """Whether its line gets a number in the history."""
    changes_files: bool = False
    """Whether it changes files that are not pictures: a dry run only looks it up."""
    recorded: bool = False
    """Whether its line is recorded in the files that it makes, as the line of a picture is."""
    switches: tuple[str, ...] = ()
    """What completion offers after the first word."""
    asks: bool = False
    """Whether it may ask a question, which `--yes` answers."""

    turn: Literal["now", "made", "queue", "beside"] = "now"
    """When it runs at a prompt with a queue. `now`: at once. `made`: at once, but after a queued picture that it names.
    `queue`: after the lines entered before it. `beside`: at once, in a thread of its own, as it may ask something."""

    @property
    def spelling(self) -> str:
        """The form shown to users: `!fetch FILE [OUT]`."""
        return f"!{self.name} {self.shown}".rstrip()


COMMANDS = (
    CommandSpec(
        name="help",
        runs="info.show_help",
        argument="topic",
        shown="[TOPIC]",
        help="show this list, or a page: !help -f, !help samplers",
        in_file=True,
    ),
    CommandSpec(
        name="history",
        runs="recall.history",
        argument="text",
        shown="[TEXT]",
        help="list the lines typed so far, or those that contain TEXT",
        numbered=False,
    ),
    CommandSpec(
        name="search",
        runs="recall.search",
        argument="text",
        shown="TEXT",
        help="list the lines typed so far that contain TEXT",
        numbered=False,
    ),
    CommandSpec(
        name=NUMBER,
        runs="recall.recall",
        argument="switches",
        help="put line NNN of the history on the prompt for editing",
        numbered=False,
    ),
    CommandSpec(
        name=AGAIN,
        runs="recall.again",
        argument="switches",
        shown="[switches]",
        help="repeat the last line, with more switches: !! -f 0.4",
        numbered=False,
    ),
    CommandSpec(
        name="clear",
        runs="recall.clear",
        help="clear the history",
        instead="delete its file; invoke '!config' shows where it is",
    ),
    CommandSpec(
        name="fetch",
        argument="picture",
        shown="FILE [OUT]",
        help="put the line that made a picture on the prompt; write the lines of many (outputs/*.png) to a file OUT",
        alone=True,
    ),
    CommandSpec(
        name="replay",
        turn="queue",
        synonyms=("run",),
        argument="text file",
        shown="FILE",
        help="run the lines of a file",
        instead="invoke --from-file FILE",
    ),
    CommandSpec(
        name="verify",
        turn="queue",
        argument="picture",
        shown="FILE",
        help="make a picture, or each of several (outputs/*.png), again and report whether it is the same",
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
        help="show what a text mask selects, as three pictures: selected, deselected, masked",
        in_file=True,
        recorded=True,
        switches=("text_mask", "outdir"),
    ),
    CommandSpec(
        name="models",
        runs="info.list_models",
        argument="text",
        shown="[TEXT]",
        help="list the models and where each is: in memory, on disk, or to download; with TEXT, those whose entry "
        "contains it",
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
        help="convert weights in a pickle file (.ckpt, .pt, .bin) to .safetensors, without running code in it",
        alone=True,
        asks=True,
    ),
    CommandSpec(
        name="triggers",
        runs="info.list_triggers",
        argument="text",
        shown="[TEXT]",
        help="list the trigger words of LoRAs and textual inversions",
        in_file=True,
    ),
    CommandSpec(
        name="set",
        runs="session_settings.set_defaults",
        argument="defaults",
        shown="[reset] [switches]",
        help="set defaults of this session: !set -s 20 --fit; !set reset resets all, !set reset -s only that one; "
        "!set alone shows them",
        in_file=True,
        lasts=True,
        instead="switches before the line, or in config.yaml: invoke -s 20 'a castle'",
    ),
    CommandSpec(
        name="config",
        runs="info.config",
        shown="[init]",
        help="show where settings, models, wildcards and history are, and what is set; init writes a config file to "
        "fill in",
        in_file=True,
    ),
    CommandSpec(
        name="gallery",
        runs="folders.gallery",
        turn="queue",
        argument="folder",
        shown="[FOLDER]",
        help="write a page with all pictures in the output folder, or in FOLDER, and their lines: FOLDER/gallery.html",
        in_file=True,
    ),
    CommandSpec(
        name="check",
        runs="folders.check",
        turn="queue",
        argument="folder",
        shown="[FOLDER]",
        help="check the output folder, or FOLDER, against its logs, ledger and numbers: what is missing, damaged or "
        "duplicated, and how to repair it",
        in_file=True,
    ),
    CommandSpec(
        name="show",
        runs="album.show",
        argument="picture",
        shown="[N, N.K, -1 or FILE]",
        help="show a picture with its details: of line N, its Kth, the most recent, or a file",
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
        help="compare two pictures: side by side, differences between their recipes, and similarity (PSNR)",
    ),
    CommandSpec(
        name="keep", runs="album.keep", argument="picture", shown="[PICTURE]", help="move a picture into kept/"
    ),
    CommandSpec(
        name="drop",
        runs="album.drop",
        argument="picture",
        shown="[PICTURE]",
        help="move a picture into .trash/; !undo restores it",
    ),
    CommandSpec(name="undo", runs="album.undo", help="restore the last dropped picture"),
    CommandSpec(
        name="preset",
        runs="presets.preset",
        argument="switches",
        shown="save NAME line",
        help="save words and switches under a name; +NAME in a line adds them, with … for the line's own words: "
        '!preset save oil -s 30 "…, oil painting"; !preset NAME shows one, !preset delete NAME removes it',
        in_file=True,
        changes_files=True,
    ),
    CommandSpec(
        name="presets", runs="presets.list_presets", help="list the presets, and the file they are in", in_file=True
    ),
    CommandSpec(
        name="queue",
        runs="queue.queue",
        argument="text",
        shown="[move N first]",
        help="list the unfinished lines, with their numbers and the time left; or make line N run next",
        numbered=False,
    ),
    CommandSpec(
        name="cancel",
        runs="queue.cancel",
        argument="text",
        shown="[N or all]",
        help="remove line N, or all lines, from the queue; alone, the one entered last",
        numbered=False,
    ),
    CommandSpec(
        name="pause", runs="queue.pause", help="pause the queue after the running line, until !resume", numbered=False
    ),
    CommandSpec(name="resume", runs="queue.resume", help="resume the queue", numbered=False),
    CommandSpec(
        name="free",
        runs="session_settings.free",
        turn="queue",
        help="unload all models and free their memory; the next line loads its model again",
    ),
    CommandSpec(
        name="doctor",
        help="show what a bug report needs: versions, device, memory, terminal, folders; also invoke doctor",
        in_file=True,
        turn="beside",
    ),
    CommandSpec(
        name="example",
        help="copy the example pictures of the docs into test-pictures/ in the working folder",
        alone=True,
        changes_files=True,
    ),
    CommandSpec(
        name="quit",
        runs="session_settings.leave",
        synonyms=("exit", "q"),
        numbered=False,
        help="quit; so do Ctrl-D and quit",
        in_file=True,
    ),
)


@cache
def by_command() -> Mapping[str, CommandSpec]:
    """Name or synonym → row."""
    return {name: row for row in COMMANDS for name in (row.name, *row.synonyms)}


def find(call: CommandCall, *, in_file: bool = False, alone: bool = False) -> CommandSpec:
    """The row of `call`, if it is allowed here: in a file of lines, or as the only line of a launch (`alone`).

    Raises CommandError, with the most similar name if it is unknown.
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
            f"!{call.name} works only at the prompt, not in a file of lines or as the line of a launch",
            code="bad_command",
            column=0,
            hint=row.instead or "invoke without arguments opens the prompt",
        )
    if alone and row.lasts and call.rest:
        raise CommandError(
            f"!{call.name} affects only later lines, but this is the only line",
            code="bad_command",
            column=0,
            hint=row.instead,
        )
    if row.pending:
        raise CommandError(f"!{row.name}: {row.pending} is not supported yet", code="not_yet", column=0)
    if call.rest and row.argument == "nothing" and not row.shown:
        raise CommandError(f"!{call.name} takes no arguments", code="bad_command", column=call.column)
    return row


def arguments(call: CommandCall) -> list[Word]:
    """The words after the command, without quotes, with their positions in the line.

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
    """Everything after the command: a single word without its quotes, or several as typed.

    Raises CommandError, which says that `what` is expected, if there is nothing.
    """
    expect(call, what)
    words = arguments(call)
    return words[0].text if len(words) == 1 else call.rest


def expect(call: CommandCall, what: str) -> None:
    """Raise CommandError if there is nothing after the command."""
    if not call.rest:
        raise CommandError(f"!{call.name} needs {what}", code="missing_value", column=0)


def read_file_line(call: CommandCall) -> Draft:
    """Read `!fix FILE switches` as a draft whose prompt is FILE (spaces allowed, quotes optional).

    Raises CommandError, also if no file is named.
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
    """The line with the command replaced by spaces, so that columns refer to the whole line."""
    return " " * call.column + call.rest
