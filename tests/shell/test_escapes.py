"""Terminal features beyond text, chosen by the environment: links, marks, title, progress and bell."""

import io
from pathlib import Path

import pytest

from invoke.shell.escapes import Features, Signs, features, link
from invoke.shell.progress_board import Status
from invoke.shell.terminal import Terminal
from tests.shell.talk import Screen


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Features()),
        ({"TERM": "dumb", "VTE_VERSION": "7000"}, Features()),
        ({"TERM": "linux"}, Features()),
        ({"TERM": "xterm"}, Features(title=True)),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7000"}, Features(links=True, marks=True, title=True)),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7000", "TMUX": "x"}, Features(title=True)),
        ({"TERM": "xterm-kitty"}, Features(links=True, marks=True, title=True)),
        ({"TERM": "xterm-256color", "WT_SESSION": "x"}, Features(links=True, marks=True, title=True, progress=True)),
    ],
)
def test_the_environment_decides_which_sequences_are_used(environment: dict[str, str], expected: Features) -> None:
    assert features(environment) == expected


def test_a_link_contains_no_control_characters(tmp_path: Path) -> None:
    text = link(f"{tmp_path}/a\x1b[2J\x07 b.png", "a b")
    address = text.split("\x1b]8;;")[1].partition("\x1b\\")[0]
    assert address.startswith("file://")
    assert address.endswith("/a%1B%5B2J%07%20b.png")


def test_paths_are_links_on_terminals_that_support_them(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Screen()
    terminal = Terminal(out, io.StringIO())
    terminal.picture("3", "out/1.png", "a cat")
    assert out.getvalue() == "[3] out/1.png: a cat\n"
    terminal.features = Features(links=True)
    terminal.picture("3", "out/1.png", "a \x1b cat")
    assert out.getvalue().endswith("out/1.png\x1b\\out/1.png\x1b]8;;\x1b\\: a \\x1b cat\n")


def test_title_progress_and_bell_are_written_when_they_change() -> None:
    status: list[Status | None] = [None]
    signs = Signs(Features(title=True, progress=True), lambda: status[0])
    assert signs.frame() == "\x1b[22;2t\x1b]2;invoke\x07", "what the title was is kept"
    assert signs.frame() == ""
    status[0] = Status("picture", 3, 12)
    assert signs.frame() == "\x1b]2;25 % invoke\x07\x1b]9;4;1;25\x07"
    assert signs.frame() == ""
    signs.ring()
    assert signs.frame() == "\a"
    assert signs.close() == "\x1b]9;4;0;0\x07\x1b[23;2t"
    assert signs.close() == ""
