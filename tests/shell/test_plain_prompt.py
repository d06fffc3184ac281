"""The line editor, fed with keys through a pipe. Only whole lines: completion runs in parallel."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from invoke.language.complete.sources import Sources
from invoke.language.launch_options import EditingKeys
from invoke.shell.completer import RecalledHistory, TableCompleter
from invoke.shell.history import History
from invoke.shell.plain_prompt import LEAVE_HINT, PlainPrompt
from invoke.shell.repl import Entry

UP, HOME, F2, ALT_ENTER = "\x1b[A", "\x1b[H", "\x1bOQ", "\x1b\r"
CTRL_C, CTRL_D, ESCAPE = "\x03", "\x04", "\x1b"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a picture in it."""
    monkeypatch.chdir(tmp_path)
    Path("my fire.png").touch()
    return tmp_path


@contextmanager
def typing(
    keys: str, *, lines: tuple[str, ...] = (), editing_keys: EditingKeys = "emacs"
) -> Iterator[tuple[PlainPrompt, list[str], PipeInput]]:
    """A prompt at which `keys` are pressed, and what it says."""
    output: list[str] = []
    history = History()
    for line in lines:
        history.keep(line)
    with create_pipe_input() as pipe:
        pipe.send_text(keys)
        prompt = PlainPrompt(
            history=history,
            sources=Sources,
            resolve=lambda draft: None,
            toolbar=lambda line: line,
            changing=lambda: False,
            say=output.append,
            editing_keys=editing_keys,
            input=pipe,
            output=DummyOutput(),
        )
        yield prompt, output, pipe


def read(keys: str, entry: Entry | None = None, **more: tuple[str, ...] | EditingKeys) -> list[str]:
    with typing(keys, **more) as (prompt, _, _):  # type: ignore[arg-type]
        return list(prompt.read(entry or Entry()))


def paste(text: str) -> str:
    return f"\x1b[200~{text}\x1b[201~"


@pytest.mark.parametrize(
    ("keys", "lines"),
    [
        ("a cat\r", ["a cat"]),
        ("\r", [""]),
        (f"a cat{ALT_ENTER}-s 5\r", ["a cat\n-s 5"]),
        (paste("a cat\n") + "\r", ["a cat"]),
        (paste("a cat\r\na dog\n\n") + "\ry\r", ["a cat", "a dog"]),
        (paste("a cat\na dog") + "\r\r", ["a cat", "a dog"]),
        (paste("a cat\n-s 5") + "\rn\r", ["a cat\n-s 5"]),
        (paste("a cat\n# a comment\na dog") + "\ry\r", ["a cat", "a dog"]),
        (paste("a cat\n# a comment") + "\r", ["a cat\n# a comment"]),
        (f"{UP}\r", ["a fox"]),
        (f"a c{UP}\r", ["a cat"]),
        (f"{F2}a cat{F2}\r", ["a cat"]),
    ],
)
def test_entered_keys_give_a_line(keys: str, lines: list[str]) -> None:
    assert read(keys, lines=("a cat", "a dog", "a fox")) == lines


def test_a_pasted_picture_becomes_the_init_picture(folder: Path) -> None:
    picture = paste("'my fire.png'")
    assert read(f"a cat{picture}-f 0.5\r") == ['a cat -I "my fire.png" -f 0.5']
    assert read(f"a cat -I {picture} -f 0.5\r") == ['a cat -I "my fire.png" -f 0.5']
    assert read(f"a cat -f 0.5{HOME}{picture}\r") == ['-I "my fire.png" a cat -f 0.5']


def test_a_line_with_only_a_picture_waits_for_a_prompt(folder: Path) -> None:
    """Terminals without bracketed paste type the text."""
    assert read("my\\ fire.png \ra cat\r") == ['-I "my fire.png" a cat']
    assert read('"my fire.png"\r') == ['"my fire.png"'], "quoted, it is what to paint"


def test_a_returned_line_has_the_cursor_at_the_error() -> None:
    assert read("0.5\r", Entry("a cat -f ", 9)) == ["a cat -f 0.5"]
    assert read("-\r", Entry("a cat f 1", 6)) == ["a cat -f 1"]
    assert read(" now\r", Entry("a cat")) == ["a cat now"]


def test_vi_keys_edit_the_line() -> None:
    assert read(f"a cat{ESCAPE}0xxia big \r", editing_keys="vi") == ["a big cat"]


def test_on_a_dumb_terminal_the_line_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with typing("a dog\r") as (prompt, said, _):
        assert list(prompt.read(Entry("a cat -f 3", 9))) == ["a dog"]
        assert said == ["a cat -f 3"]


def test_ctrl_c_clears_the_line_and_hints_on_an_empty_one() -> None:
    with typing(f"a cat{CTRL_C}") as (prompt, said, pipe):
        with pytest.raises(KeyboardInterrupt):
            prompt.read(Entry())
        assert said == []
        pipe.send_text(CTRL_C)
        with pytest.raises(KeyboardInterrupt):
            prompt.read(Entry())
        assert said == [LEAVE_HINT]


def test_ctrl_d_quits() -> None:
    with typing(CTRL_D) as (prompt, _, _), pytest.raises(EOFError):
        prompt.read(Entry())


def test_ctrl_d_on_an_empty_line_quits_even_after_a_question() -> None:
    with typing(paste("a\nb") + "\r" + CTRL_C) as (prompt, _, _), pytest.raises(KeyboardInterrupt):
        prompt.read(Entry())


def test_ctrl_c_at_the_question_returns_the_paste() -> None:
    with typing(paste("a cat\na dog") + "\r" + CTRL_C) as (prompt, _, pipe):
        with pytest.raises(KeyboardInterrupt):
            prompt.read(Entry())
        pipe.send_text("\r\r")
        assert list(prompt.read(Entry())) == ["a cat", "a dog"]


def test_lines_typed_ahead_are_read_one_by_one() -> None:
    with typing("a cat\ra dog\r") as (prompt, _, _):
        assert list(prompt.read(Entry())) == ["a cat"]
        assert prompt.has_typed_ahead()
        assert list(prompt.read(Entry())) == ["a dog"]
        assert not prompt.has_typed_ahead()


def test_typeahead_can_be_discarded() -> None:
    with typing("a cat\ra dog") as (prompt, _, _):
        prompt.read(Entry())
        prompt.forget_typed()
        assert not prompt.has_typed_ahead()


def test_completions_are_placed_at_the_start_of_the_word() -> None:
    completer = TableCompleter(lambda: Sources(models={"pocket": "small\x1b"}))
    found = list(completer.get_completions(Document("a cat -m po"), CompleteEvent()))
    assert [(each.text, each.start_position, each.display_meta_text) for each in found] == [
        ("pocket ", -2, "small\\x1b")
    ]


def test_the_editor_cannot_change_the_history() -> None:
    history = History()
    history.keep("a cat")
    recalled = RecalledHistory(history)
    recalled.append_string("a dog")
    recalled.store_string("a dog")
    assert list(recalled.load_history_strings()) == ["a cat"]
    assert recalled.get_strings() == ["a cat"]
