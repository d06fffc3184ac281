"""Lines typed; output, and the text at the next prompt."""

import logging
import signal
from pathlib import Path

import pytest

from invoke import signals
from invoke.errors import EngineError, ExitStatus
from invoke.events import EngineEvent
from invoke.shell.repl import Entry
from tests.fakes import FakeEngine
from tests.shell.talk import Talk


def test_a_line_makes_a_picture_under_its_number(talk: Talk) -> None:
    assert talk.type("a cat -S 7 -W 256 -H 256") is ExitStatus.OK
    assert talk.out == (
        f"[1] {talk.folder}/out/000001.7.png: a cat -s 2 -S 7 -W 256 -H 256 -C 5 -A ddim -m pocket --no-defaults\n"
    )
    assert talk.err == "txt2img  256×256 · steps 2\nnote: only 2 steps are taken: raise -s\n"
    assert (talk.folder / "out" / "000001.7.png").exists()


def test_summary_and_notes_come_first(talk: Talk) -> None:
    talk.type("a cat -f 0.5 -W 100 -H 100")
    summary, *notes = talk.err.splitlines()
    assert summary == "txt2img  96×96 · steps 2"
    assert "note: -f has no effect without -I" in notes


def test_pictures_of_one_line_share_its_number(talk: Talk) -> None:
    talk.type("# a comment has none", "a cat -n 2 -g", "a dog")
    assert [line.split()[0] for line in talk.out.splitlines()] == ["[1.1]", "[1.2]", "[2]"]
    assert "    grid  " in talk.err


@pytest.mark.parametrize(
    ("line", "column", "said"),
    [
        ("a cat -f 1.5", 9, "error: -f/--strength must be between 0 and 1, not 1.5\n  a cat -f 1.5\n           ^^^\n"),
        ("a cat -strenght 1", 6, "did you mean --strength?\n  a cat -strenght 1\n        ^^^^^^^^^\n"),
        ("a cat -I nowhere.png", 9, "there is no such picture"),
        ('"a cat', 0, "this double quote is never closed"),
        ("!hist", 0, "there is no command !hist, did you mean !history?"),
    ],
)
def test_a_failed_line_returns_with_the_cursor_at_the_error(talk: Talk, line: str, column: int, said: str) -> None:
    talk.type(line)
    assert talk.entry == Entry(line, column)
    assert said in talk.err
    assert talk.lines == [line], "it is in the history as well"


def test_a_failed_line_does_not_replace_typeahead(talk: Talk) -> None:
    talk.type("a cat -f 1.5", ahead=True)
    assert talk.entry == Entry()


@pytest.mark.parametrize("word", ["q", "quit", "exit", "!quit", "!exit"])
def test_words_that_quit_end_the_session(talk: Talk, word: str) -> None:
    assert talk.type(word, "a cat") is ExitStatus.OK
    assert talk.script.typed == ["a cat"]
    assert talk.lines == []


def test_ctrl_c_at_the_prompt_continues(talk: Talk) -> None:
    talk.type(KeyboardInterrupt, "a cat")
    assert "000001" in talk.out


def test_pasted_lines_run_in_order(talk: Talk) -> None:
    talk.type(["a cat", "a dog -f 3", "a fox"])
    assert [line.split()[3] for line in talk.out.splitlines()] == ["cat", "fox"]
    assert talk.lines == ["a cat", "a dog -f 3", "a fox"]


def test_an_engine_error_is_shown_and_the_next_line_runs(talk: Talk) -> None:
    talk.engine.outcomes.append(EngineError("out of memory", hint="lower -W"))
    talk.type("a cat", "a dog")
    assert "error: out of memory\n  lower -W\n" in talk.err
    assert talk.script.entries[1] == Entry("a cat", None)
    assert "a dog" in talk.out


def test_an_internal_error_is_logged_and_the_session_continues(talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    talk.engine.outcomes.append(ZeroDivisionError("division by zero"))
    with caplog.at_level(logging.ERROR):
        talk.type("a cat", "a dog")
    assert "internal error: ZeroDivisionError: division by zero\n" in (output := talk.err)
    assert f"the details are in {talk.folder / 'errors.log'}" in output
    assert "Traceback" not in output
    assert "Traceback" in caplog.text
    assert "a dog" in talk.out


def test_control_characters_are_escaped(talk: Talk) -> None:
    talk.type("a cat -I \x1b]0;title\x07.png", "!search \x1b[2J")
    assert "\x1b" not in talk.err


# Ctrl-C while a picture is made


def _pressing(*steps: int) -> FakeEngine:
    """Ctrl-C is pressed at these steps of every picture."""

    def press(index: int) -> None:
        if index in steps:
            signal.raise_signal(signal.SIGINT)

    return FakeEngine(at_step=press)


def test_ctrl_c_stops_after_the_running_step(tmp_path: Path) -> None:
    talk = Talk(tmp_path, _pressing(1))
    talk.type("a cat -s 5 -n 3", "a dog -s 1")
    assert talk.engine.stopped == 2
    assert "stopping after this step" in (output := talk.err)
    assert "stopped\n0 of 3 pictures made\n" in output
    assert talk.out == ""
    assert talk.engine.killed == 0
    assert talk.script.forgotten == 2, "what was typed ahead is dropped"
    assert talk.entry == Entry(), "the line is in the history, not on the prompt"


def test_a_picture_that_is_finished_is_saved_before_the_stop(tmp_path: Path) -> None:
    talk = Talk(tmp_path, _pressing(5))
    talk.type("a cat -s 5 -n 3")
    assert talk.out.count("000001.") == 1 or talk.engine.finished == 0
    assert "of 3 pictures made" in talk.err


def test_ctrl_c_while_the_last_picture_is_saved_loses_nothing(tmp_path: Path) -> None:
    class Late(FakeEngine):
        def draw(self, *arguments: object, **more: object):  # type: ignore[no-untyped-def, override]
            event: EngineEvent
            for event in super().draw(*arguments, **more):  # type: ignore[arg-type]
                if type(event).__name__ == "Finished":
                    signal.raise_signal(signal.SIGINT)
                yield event

    talk = Talk(tmp_path, Late())
    talk.type("a cat -n 2")
    assert talk.out.count(".png: a cat") == 1
    assert "stopped\n1 of 2 pictures made\n" in talk.err


def test_a_second_ctrl_c_aborts_the_engine(tmp_path: Path) -> None:
    def press_twice(index: int) -> None:
        if index == 1:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    talk = Talk(tmp_path, FakeEngine(at_step=press_twice))
    talk.type("a cat -s 5")
    assert talk.engine.killed == 1
    assert talk.engine.loaded == ["pocket"], "a new engine loads the model again"
    assert "aborted; restarting the engine" in talk.err


def test_ctrl_c_before_the_first_step_does_not_wait(tmp_path: Path) -> None:
    class Loading(FakeEngine):
        def draw(self, *arguments: object, **more: object):  # type: ignore[no-untyped-def, override]
            signal.raise_signal(signal.SIGINT)
            signals.check()  # as every engine does while it waits
            yield from super().draw(*arguments, **more)  # type: ignore[arg-type]

    talk = Talk(tmp_path, Loading())
    talk.type("a cat")
    assert talk.engine.requests == []
    assert talk.engine.killed == 0, "the model goes on loading"
    assert "stopped" in talk.err


def test_the_ctrl_c_handler_is_restored_after_the_picture(talk: Talk) -> None:
    before = signal.getsignal(signal.SIGINT)
    talk.type("a cat")
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("word", ["help", "?", "-h", "--help", " Help "])
def test_question_marks_and_help_get_an_answer(talk: Talk, word: str) -> None:
    talk.type(word)
    assert "commands" in talk.err
    assert talk.engine.requests == []
