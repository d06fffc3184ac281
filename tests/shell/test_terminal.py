"""Output: which text goes to which stream."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke.errors import CommandError, InvokeError
from invoke.shell.terminal import Terminal
from invoke.text import cells, clean
from tests.shell.talk import Screen


def _said(error: InvokeError, line: str, stream: io.StringIO | None = None) -> list[str]:
    err = stream or io.StringIO()
    Terminal(io.StringIO(), err).error(error, line)
    return err.getvalue().splitlines()


def test_an_error_shows_message_place_and_hint() -> None:
    assert _said(CommandError("no such thing", column=6, hint="try another"), "a cat -x 5") == [
        "error: no such thing",
        "  a cat -x 5",
        "        ^^",
        "  try another",
    ]


def test_an_error_without_a_column_does_not_repeat_the_line() -> None:
    assert _said(InvokeError("out of memory"), "a cat") == ["error: out of memory"]


def test_the_mark_is_aligned_with_wide_and_escaped_characters() -> None:
    assert _said(CommandError("no", column=3), "日本 -x")[1:] == ["  日本 -x", "       ^^"]
    assert _said(CommandError("no", column=2), "a\x07b")[1:] == ["  a\\x07b", "       ^"]


def test_a_long_line_is_cut_around_the_marked_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    _, shown, mark = _said(CommandError("no", column=500), "word " * 100 + "-x 5 " + "more " * 100)
    assert cells(shown) <= 40
    start = mark.index("^")
    assert shown[start : start + 2] == "-x"


@given(st.text(max_size=100), st.integers(0, 100))
def test_the_mark_is_aligned_in_any_line(line: str, column: int) -> None:
    output = _said(CommandError("no", column=min(column, len(line))), line)
    assert len(output) == 3
    assert all(clean(text) == text for text in output)
    assert "^" in output[2]


def test_colour_is_used_only_on_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    error = CommandError("no", column=0)
    assert "\x1b[31m" in "".join(_said(error, "x", Screen()))
    assert "\x1b" not in "".join(_said(error, "x", io.StringIO()))
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in "".join(_said(error, "x", Screen()))
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in "".join(_said(error, "x", Screen()))


def test_paths_go_to_stdout_and_messages_to_stderr() -> None:
    """Escaped on a screen; a pipe gets the line verbatim, so that it makes the picture again."""
    out, err, pipe = Screen(), io.StringIO(), io.StringIO()
    terminal = Terminal(out, err)
    Terminal(pipe, err).picture("3", "out/\x1b1.png", "a cat")
    assert pipe.getvalue() == "[3] out/\x1b1.png: a cat\n"
    terminal.picture("3", "out/\x1b1.png", "a cat")
    terminal.picture("", "out/2.png", "a dog")
    terminal.say("one\ntwo\x1b[2J")
    terminal.note("three")
    assert out.getvalue() == "[3] out/\\x1b1.png: a cat\nout/2.png: a dog\n"
    assert err.getvalue() == "one\ntwo\\x1b[2J\nnote: three\n"
