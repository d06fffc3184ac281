"""The `!` commands at the prompt."""

import os
import signal
from pathlib import Path

import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from invoke.commands import function_of
from invoke.errors import ExitStatus
from invoke.language.command_table import COMMANDS
from invoke.shell.repl import Entry
from tests.batches import Batches
from tests.fakes import FakeEngine
from tests.shell.talk import Talk


def test_every_command_has_its_function() -> None:
    for row in COMMANDS:
        assert row.pending or function_of(row).__doc__, f"!{row.name}"


@pytest.mark.parametrize("row", [row for row in COMMANDS if row.pending], ids=lambda row: row.name)
def test_pending_commands_are_refused(talk: Talk, row: object) -> None:
    name = row.name  # type: ignore[attr-defined]
    talk.type(f"!{name} x.png")
    assert f"error: !{name}: " in (output := talk.err)
    assert "is not supported yet" in output


def test_command_names_match_exactly(talk: Talk) -> None:
    talk.type("!searchcat", "!fixture of a lamp", "!helpp")
    assert talk.err.count("error: there is no command") == 3


def test_free_unloads_the_models(talk: Talk) -> None:
    talk.type("!free")
    assert talk.err == ("500 MB freed, the engine itself keeps 400 MB (cpu); the next line loads its model\n")


# help


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("!help", "-f/--strength"),
        ("!help -f", "default: 0.75"),
        ("!help strength", "how much of it to redraw"),
        ("!help !fetch", "!fetch FILE [OUT]"),
        ("!help fetch", "!fetch FILE [OUT]"),
        ("!help samplers", "k_heun"),
        ("!help inpainting", "--mask_blur"),
    ],
)
def test_help_prints_pages(talk: Talk, line: str, said: str) -> None:
    talk.type(line)
    assert said in talk.err


def test_help_on_an_unknown_topic_gives_its_column(talk: Talk) -> None:
    talk.type("!help -strenth")
    assert talk.err.startswith(
        "error: there is no help on '-strenth', did you mean --strength?\n  !help -strenth\n        ^^^^^^^^\n"
    )


# history


def test_history_lists_lines_with_numbers(talk: Talk) -> None:
    talk.type("a cat", "a dog", "!history", "!search CAT", "!history fox")
    assert talk.err.splitlines()[-4:] == ["  [1] a cat", "  [2] a dog", "  [1] a cat", "no line contains 'fox'"]


def test_history_lists_only_the_newest_lines(talk: Talk) -> None:
    for number in range(250):
        talk.repl.history.keep(f"line {number}")
    talk.type("!history")
    output = talk.err.splitlines()
    assert output[0] == "  … 150 older ones; !search TEXT finds them"
    assert (output[1], output[-1]) == ("  [151] line 150", "  [250] line 249")


def test_secret_lines_comments_and_history_commands_get_no_number(talk: Talk) -> None:
    talk.type("a cat", " a secret", "# a note", "!history", "!search a", "!1", "", "a cat")
    assert talk.lines == ["a cat", "a cat"]


def test_a_number_recalls_its_line(talk: Talk) -> None:
    talk.type("a cat", "a dog", "!1")
    assert talk.entry == Entry("a cat")
    talk.type("!2 -f 0.5")
    assert talk.entry == Entry("a dog -f 0.5")


@pytest.mark.parametrize("number", ["0", "9", "00", "9" * 20, "9" * 5000])
def test_an_unknown_number_is_refused(talk: Talk, number: str) -> None:
    talk.type("a cat", f"!{number}")
    refusal = talk.err
    assert f"error: there is no line {number[:500]}" in refusal
    assert " in the history: 1 to 1" in refusal


def test_double_mark_runs_the_last_line_with_more_switches(talk: Talk) -> None:
    talk.type("a cat -S 5 -s 2", "!models", "!! -s 3")
    assert "a cat -s 3 -S 5" in talk.out.splitlines()[-1]
    assert "a cat -S 5 -s 2 -s 3" in talk.err
    assert talk.lines[-1] == "a cat -S 5 -s 2 -s 3"


def test_double_mark_that_fails_puts_the_whole_line_back(talk: Talk) -> None:
    talk.type("a cat", "!! -f 3")
    assert talk.entry == Entry("a cat -f 3", 9)


def test_double_mark_without_a_previous_line_is_refused(talk: Talk) -> None:
    talk.type("!!")
    assert "there is no line to repeat yet" in talk.err


@pytest.mark.parametrize("name", ["clear", "free", "quit"])
def test_commands_without_arguments_refuse_arguments(talk: Talk, name: str) -> None:
    talk.type("a cat", f"!{name} castle")
    assert f"error: !{name} takes no arguments" in talk.err
    assert talk.lines[0] == "a cat"
    assert talk.entry == Entry(f"!{name} castle", len(name) + 2)


def test_clear_empties_the_history(talk: Talk) -> None:
    talk.type("a cat", "a dog", "!clear")
    assert talk.err.splitlines()[-1] == "cleared: 3 lines"
    assert talk.lines == []


# files of lines


def _file(text: str | bytes, name: str = "lines.txt") -> Path:
    path = Path(name)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_replay_runs_the_lines_of_a_file(talk: Talk) -> None:
    _file("a cat -S 1\n# a comment\n\na dog -S 2\n", "my lines.txt")
    talk.type("!replay my lines.txt")
    assert [line.split(":")[0].rpartition("/")[2] for line in talk.out.splitlines()] == [
        "000001.1.png",
        "000002.2.png",
    ]
    assert "line 4: a dog -S 2" in talk.err
    assert talk.lines == ["!replay my lines.txt"]


def test_a_log_can_be_replayed(talk: Talk) -> None:
    talk.type("a cat -S 1 -s 3", "a dog -S 2", "!replay out/invoke_log.txt")
    made = [line.partition(".png: ")[2] for line in talk.out.splitlines()]
    assert made[2:] == made[:2]


def test_run_is_a_synonym_of_replay(talk: Talk) -> None:
    _file("a cat")
    talk.type('!run "lines.txt"')
    assert "a cat" in talk.out


def test_replay_reports_a_bad_line_and_continues(talk: Talk) -> None:
    _file(b"a cat -f 3\n\xff\na dog\n")
    talk.type("!replay lines.txt")
    output = talk.err
    assert "line 1: a cat -f 3\nerror: -f/--strength" in output
    assert "line 2\nerror: the line is not UTF-8" in output
    assert output.endswith("2 lines of lines.txt failed\n")
    assert "a dog" in talk.out
    assert talk.entry == Entry()


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ("a cat\na dog\na fox -f 3\n", "2 lines of lines.txt not run\n"),
        ("a cat\n# a comment\n\n!set -s 4\n", "1 line of lines.txt not run\n"),
        ("a cat\n\n", "0 of 1 picture made\n"),
    ],
)
def test_ctrl_c_during_replay_counts_the_remaining_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, left: str
) -> None:
    monkeypatch.chdir(tmp_path)
    talk = Talk(tmp_path, FakeEngine(at_step=lambda index: signal.raise_signal(signal.SIGINT) if index == 1 else None))
    _file(lines)
    talk.type("!replay lines.txt")
    assert "stopped\n0 of 1 picture made\n" in (output := talk.err)
    assert output.endswith(left)
    assert talk.out == ""


def test_set_in_a_replayed_file_applies_to_its_lines_and_quit_ends_it(talk: Talk) -> None:
    _file("!set -s 4\na cat\nq\na dog\n")
    talk.type("!replay lines.txt", "a fox")
    assert "a cat -s 4" in (shown := talk.out)
    assert "a dog" not in shown
    assert "a fox" in shown


@pytest.mark.parametrize("line", ["!replay lines.txt", "!run other.txt", "!history", "!!", "!1"])
def test_commands_of_the_prompt_are_refused_in_a_replayed_file(talk: Talk, line: str) -> None:
    _file(line)
    talk.type("!replay lines.txt")
    assert "works only at the prompt, not in a file of lines" in talk.err


def test_only_regular_files_are_replayed(talk: Talk) -> None:
    os.mkfifo("fifo")
    Path("folder").mkdir()
    talk.type("!replay fifo", "!replay folder", "!replay nowhere.txt", "!replay /dev/zero", "!replay")
    output = talk.err
    assert output.count("is not a regular file") == 3
    assert "nowhere.txt: cannot be read: No such file or directory" in output
    assert "!replay needs a file of lines" in output


# settings


def test_set_shows_and_changes_defaults(talk: Talk) -> None:
    talk.type("!set", "!set -s 3 -C 5", "a cat", "a dog -s 4")
    assert f"-m pocket -o {talk.folder}/out -s 2\n" in talk.err
    first, second = talk.out.splitlines()
    assert "a cat -s 3" in first
    assert "-C 5" in first
    assert "a dog -s 4" in second


def test_set_reset_restores_defaults(talk: Talk) -> None:
    talk.type("!set -s 3 -C 5 --fit -m sd-1.5", "!set reset -s --fit model")
    assert talk.err.splitlines()[-1] == f"-m pocket -o {talk.folder}/out -s 2 -C 5"
    talk.type("!set -W 64", "!set reset", "a cat")
    assert talk.err.splitlines()[1] == f"-m pocket -o {talk.folder}/out -s 2"
    assert "a cat -s 2" in talk.out
    talk.type("!set -C 5 -W 64", "!set reset -widht")
    assert (
        "error: there is no switch -widht, did you mean --width?\n  !set reset -widht\n             ^^^^^^" in talk.err
    )


def test_set_reset_works_in_a_replayed_file(talk: Talk) -> None:
    _file("!set -s 4\n!set reset\na cat\n")
    talk.type("!replay lines.txt")
    assert "a cat -s 2" in talk.out


def test_set_refuses_invalid_switches_with_a_column(talk: Talk) -> None:
    talk.type("!set -s 20 -I x.png")
    assert talk.entry == Entry("!set -s 20 -I x.png", 11)
    talk.type("!set a cat")
    assert "only switches can be set\n  !set a cat\n       ^" in talk.err


def test_verify_in_a_file_accepts_a_pattern(batches: Batches) -> None:
    batches.run(["a cat -S 7 -n 2 -g"])
    result = batches.run([f"!verify {batches.folder}/*.png"])
    first, second, sheet = batches.pictures
    assert result.stdout == f"{first}: same\n{second}: same\n"
    assert f"note: {sheet}: this file has no recipe" in result.stderr
    assert result.status is ExitStatus.OK
    assert batches.run([f"!verify {sheet}"]).status is ExitStatus.FAILED
    missing = batches.run([f"!verify {second} nowhere.png {first}"])
    assert missing.stdout == f"{second}: same\n{first}: same\n"
    assert "nowhere.png: there is no such picture" in missing.stderr
    assert missing.status is ExitStatus.FAILED


def test_verify_with_a_difference_ends_a_batch_with_stop_on_error(batches: Batches, tmp_path: Path) -> None:
    batches.run(["a cat -S 7"])
    (picture,) = batches.pictures
    with Image.open(picture) as opened:
        opened.load()
        texts = PngInfo()
        for name, text in opened.text.items():  # type: ignore[attr-defined]
            texts.add_text(name, text)
        ImageOps.invert(opened.convert("RGB")).save(picture, pnginfo=texts)
    result = batches.run([f"!verify {picture}", "a dog -S 8"], stop_on_error=True)
    assert f"{picture}: different" in result.stdout
    assert result.status is ExitStatus.FAILED
    assert batches.pictures == [picture]


def test_verify_in_a_dry_run_reports_unusable_files(batches: Batches) -> None:
    result = batches.run(["!verify nowhere.png"], dry_run=True)
    assert "nowhere.png: there is no such picture" in result.stderr
    assert result.status is ExitStatus.FAILED


def test_verify_continues_after_a_sheet(talk: Talk) -> None:
    talk.type("a cat -S 7 -n 2 -g", "!verify out/*.png", "!verify nowhere.png")
    output = talk.err.splitlines()
    verified = [line for line in output if line.endswith(": same")]
    assert len(verified) == 2
    assert any(line.startswith("note:") and "grid.png: this file has no recipe" in line for line in output)
    assert output[-2:] == ["  !verify nowhere.png", "          ^^^^^^^^^^^"]


def test_verify_and_mask_accept_minus_1(talk: Talk) -> None:
    talk.type("a cat -S 7", "!verify -1")
    assert talk.err.splitlines()[-1].endswith("000001.7.png: same")
    talk.type("!mask -2 -tm cat")
    assert "picture -2: only 1 picture was made in this session" in talk.err
    assert talk.entry == Entry("!mask -2 -tm cat", 6)


def test_verify_makes_a_picture_again(talk: Talk) -> None:
    talk.type("a cat -S 7", "!verify 000001.7.png", "!verify nowhere.png")
    output = talk.err
    assert f"{talk.folder}/out/000001.7.png: same\n" in output
    assert "there is no such picture" in output
