"""The live prompt while pictures are made, on a terminal emulator: the screen is never garbled."""

import os
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from invoke.shell.previews.placeholders import MARKS, PLACEHOLDER
from tests.patience import PATIENCE
from tests.program import ROOT
from tests.shell.emulator import Emulated
from tests.shell.gate import Gate
from tests.shell.screen import Screen, needs_tmux

PASTE = "\x1b[200~{}\x1b[201~"
KEYS = ("\x1b[D", "\x1b[A", "\x1b[B", "\x01", "\x05", "\x15", "\x7f", "\x1b[3~")
KINDS = ("off", "blocks", "kitty", "sixel")
TORN = "TORN_ACTIONS"
ACTIONS = int(os.environ.get(TORN, "40"))
"""Random actions for each kind of preview; `make torn` does 200."""


def start(folder: Path, *words: object, columns: int = 80, rows: int = 24) -> Emulated:
    """The shell with the engine of the tests; `words` are those of `fake_program`."""
    command = [sys.executable, "-m", "tests.shell.fake_program", *map(str, words)]
    return Emulated(command, folder, {"PYTHONPATH": str(ROOT), "COLORTERM": "truecolor"}, columns=columns, rows=rows)


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """Of the engine of `shell`."""
    return Gate(tmp_path)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Emulated]:
    """An engine that waits for permission before each step."""
    with start(tmp_path, "gate", 0, "emacs", "off") as shell:
        shell.wait_for("·  steps 3")
        yield shell


class InTmux(Screen):
    """The same keys in a real tmux, which re-wraps rows and reports new sizes late."""

    def send(self, keys: str) -> None:
        if keys:
            self._tmux("send-keys", "-H", *(f"{byte:02x}" for byte in keys.encode()))

    def read(self, seconds: float) -> None:
        sleep(seconds)

    def everything(self) -> list[str]:
        return [row.rstrip() for row in self.text().splitlines()]

    settled = everything


def act(shell: Emulated | InTmux, rnd: random.Random) -> int:
    """Do something; how many lines that has entered."""
    match rnd.choice(["type", "type", "enter", "paste", "tab", "resize", "wait", "key", "interrupt"]):
        case "type":
            shell.send("".join(rnd.choice("abcdef ") for _ in range(rnd.randint(1, 30))))
        case "enter":
            shell.send("\x05\x15a cat -W 256 -H 256\r")
            return 1
        case "paste":
            shell.send(PASTE.format("p" * rnd.randint(1, 90)))
        case "tab":
            shell.send("\t")
        case "key":
            shell.send(rnd.choice(KEYS))
        case "interrupt":
            shell.send("x\x03")  # on an empty prompt it would stop the picture
        case "resize":
            shell.resize(rnd.randint(60, 120), rnd.randint(15, 40))
        case "wait":
            shell.read(0.2)
    return 0


def campaign(shell: Emulated | InTmux, actions: int, seed: int, patience: float = PATIENCE) -> list[str]:
    """What is torn, missing or doubled on the screen after random actions while pictures are made.

    Garbled rows stay; missing ones may still come within `patience` seconds.
    """
    rnd = random.Random(seed)
    shell.wait_for("·  steps 3")
    entered = 0
    for _ in range(actions):
        entered += act(shell, rnd)
        shell.read(rnd.choice([0, 0.01, 0.05]))
    shell.send("\x05\x15a cat -W 256 -H 256\r")
    entered += 1
    shell.wait_for(f"outputs/{entered:06}.")
    shell.send("x\x15")  # closes an open menu
    deadline = monotonic() + patience
    while (found := list(faults(shell, entered))) and monotonic() < deadline:
        shell.read(0.1)  # the toolbar may not be there yet
    return found


TYPED = r"[-a-hoptx0-9WHC^ ]*"
"""All letters that are typed: other rows, such as those with `invoke` and `outputs`, contain others."""
ROWS = (
    *(
        r"invoke-shell .*",
        r"pocket is a .*",
        r"  others",
        "note: only 3 steps are taken: raise -s",
        r"txt2img  256×256 · steps 3",
        "▀+",
        f"[{PLACEHOLDER}{MARKS}]+",
    ),
    *(rf"invoke> (![a-z_]*)?{TYPED}", "invoke>", TYPED),
)
"""The valid rows, apart from toolbar and results."""
RESULT = "[0] outputs/0.0.png: a cat -s 0 -S 0 -W 0 -H 0 -C 0 -A ddim -m pocket --no-defaults"
"""Of a line, with 0 in the place of each number."""
TOOLBAR = "pocket on cpu float32  ·  256×256  ·  steps 3"


def faults(shell: Emulated | InTmux, entered: int) -> Iterator[str]:
    """What is wrong after `entered` lines are finished: rows, results, finished pictures, toolbars."""
    rows = shell.everything()
    yield from (f"[{n}] is there {found} times" for n in range(1, entered + 1) if (found := times(rows, n)) != 1)
    rows = shell.settled()
    if (toolbars := rows.count(TOOLBAR)) != 1:
        yield f"{toolbars} toolbars"
    if (pictures := runs(rows)) > entered:
        yield f"{pictures} pictures of {entered}"
    yield from (f"torn: {row!r}" for row in rows if row != TOOLBAR and not is_whole(row))


def is_whole(row: str) -> bool:
    """Whether the row is one thing: a picture's, something typed, or a part of one result, which may be wrapped."""
    plain = re.sub(r"\d+", "0", row)
    is_result = plain in RESULT and ("outputs" not in row or row.startswith("["))
    return is_result or any(re.fullmatch(kind, row) for kind in ROWS)


def runs(rows: list[str]) -> int:
    """How many pictures of half blocks there are, one above the other."""
    return sum("▀" in row and "▀" not in before for before, row in zip(["", *rows], rows, strict=False))


def times(rows: list[str], number: int) -> int:
    """How often the result of a line stands at the start of a row."""
    return sum(row.startswith(f"[{number}] outputs/{number:06}.") for row in rows)


@pytest.mark.parametrize("kind", KINDS)
def test_random_typing_never_garbles_the_screen(kind: str, tmp_path: Path) -> None:
    with start(tmp_path, 0.02, 0, "emacs", kind) as shell:
        assert campaign(shell, ACTIONS, seed=len(kind)) == []
        assert shell.queries == 0, "a terminal that is asked answers into what is typed"


@needs_tmux
@pytest.mark.skipif(
    TORN not in os.environ, reason="a program that waits for a busy machine lags behind tmux: make torn"
)
@pytest.mark.parametrize("kind", KINDS)
def test_random_typing_never_garbles_the_screen_in_tmux(kind: str, tmp_path: Path) -> None:
    settings = ("PAGER=cat", "COLORTERM=truecolor", f"PYTHONPATH={ROOT}", f"XDG_STATE_HOME={tmp_path}")
    program = (sys.executable, "-m", "tests.shell.fake_program", "0.02", "0", "emacs", kind)
    with InTmux(["env", *settings, *program], tmp_path, columns=80, rows=24) as shell:
        assert campaign(shell, ACTIONS, seed=len(kind)) == []


def test_the_check_detects_a_garbled_screen(tmp_path: Path) -> None:
    """The control: the same program, bypassing the renderer."""
    with start(tmp_path, 0.02, 0, "emacs", "off", "torn") as shell:
        shell.wait_for("·  steps 3")
        try:
            assert campaign(shell, 15, seed=1, patience=1.0) != []
        except AssertionError as error:
            assert "did not appear" in str(error)


def test_typeahead_of_150_lines_arrives_in_order(shell: Emulated) -> None:
    shell.send("".join(f"# line {number}\r" for number in range(150)))
    shell.wait_for("# line 149")
    typed = [row for row in shell.everything() if row.startswith("invoke> # line ")]
    assert typed == [f"invoke> # line {number}" for number in range(150)]


def test_pasting_500_lines_asks_once_and_runs_them(shell: Emulated) -> None:
    shell.send(PASTE.format("\n".join(f"cat {number} -W 256 -H 256" for number in range(500))))
    shell.send("\r")
    shell.wait_for("500 lines pasted: run each? [Y/n]")
    shell.send("\r")
    shell.wait_for("invoke> cat 499 ")
    typed = [row for row in shell.everything() if row.startswith("invoke> cat ")]
    assert typed == [f"invoke> cat {number} -W 256 -H 256" for number in range(500)]


def test_quitting_with_a_queue_asks(shell: Emulated, gate: Gate) -> None:
    for number in range(3):
        shell.send(f"cat {number} -W 256 -H 256\r")
    shell.wait_for("2 waiting")
    shell.send("\x04\x04")  # twice is asked once
    shell.wait_for("3 lines not finished: [w]ait for them, [c]ancel or [s]tay?")
    shell.send("s\r")
    shell.wait_for_no("not finished")
    shell.send("!quit\r")
    shell.wait_for("not finished")
    shell.send("c\r")
    gate.open()
    assert shell.wait_for_end() == 0
    assert not any("━" in row or "─" in row for row in shell.everything())


def test_choosing_wait_when_quitting_makes_every_picture(shell: Emulated, gate: Gate) -> None:
    shell.send("cat 1 -W 256 -H 256\rcat 2 -W 256 -H 256\r")
    shell.wait_for("1 waiting")
    shell.send("\x04")
    shell.wait_for("not finished")
    shell.send("w\r")
    gate.open()
    shell.wait_for("outputs/000002.")
    assert shell.wait_for_end() == 0


def test_an_idle_prompt_writes_nothing(shell: Emulated) -> None:
    shell.wait_for(TOOLBAR)

    def written(seconds: float) -> int:
        before = shell.bytes
        shell.read(seconds)
        return shell.bytes - before

    assert 0 in (written(2) for _ in range(10)), "what is late on a busy machine comes once"


def test_a_full_disk_pauses_the_queue_until_resume(tmp_path: Path) -> None:
    with start(tmp_path, 0.02, 0, "emacs", "off", "full") as shell:
        shell.wait_for("·  steps 3")
        shell.send("a cat -W 256 -H 256\ra dog -W 256 -H 256\r")
        shell.wait_for("[1] error: ")
        shell.wait_for("the queue is paused and keeps this line: free some space, then !resume")
        shell.wait_for("2 waiting, the disk is full (!resume)")
        assert not any("run it again" in row for row in shell.everything())
        shell.send("!resume\r")
        shell.wait_for("[2] outputs/")
        assert [row.split()[0] for row in shell.everything() if "] outputs/" in row] == ["[1]", "[2]"]
