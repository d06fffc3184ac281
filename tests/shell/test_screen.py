"""The shell on a real terminal, driven in tmux. The engine is a fake one, but for the last test."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.program import ROOT
from tests.shell.screen import Screen, needs_tmux

pytestmark = needs_tmux


def start(folder: Path, pause: float = 0.0, *, environment: str = "", rows: int = 30) -> Screen:
    setting = ["env", f"PYTHONPATH={ROOT}", *environment.split()]
    command = [*setting, sys.executable, "-m", "tests.shell.fake_program", str(pause)]
    return Screen(command, folder, rows=rows)


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[Screen]:
    with start(tmp_path) as screen:
        screen.wait_for("invoke>")
        yield screen


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Screen]:
    """An engine that takes its time."""
    with start(tmp_path, 0.4) as screen:
        screen.wait_for("invoke>")
        yield screen


def test_a_sitting(screen: Screen) -> None:
    shown = screen.wait_for("pocket on cpu float32  ·  256×256  ·  3 steps")
    assert "pocket is a small demonstration model" in shown
    screen.enter("a cat -S 7 -W 96 -H 96")
    shown = screen.wait_for("[1] outputs/000001.7.png: a cat -s 3 -S 7 -W 96 -H 96")
    assert "txt2img  96×96 · steps 3" in shown
    screen.press("Up")
    screen.wait_for_line("invoke> a cat -S 7 -W 96 -H 96")
    screen.type(" -f 3")
    screen.press("Enter")
    screen.wait_for("^")
    screen.wait_for_line("invoke> a cat -S 7 -W 96 -H 96 -f 3")
    screen.press("C-c")
    screen.wait_for_line("invoke>")
    screen.press("C-c")
    screen.wait_for("Ctrl-D or !quit leaves")
    screen.enter("!help")
    screen.wait_for("F2 hides the toolbar")
    screen.press("C-d")
    screen.wait_for("status 0")


def test_tab_completes(screen: Screen, tmp_path: Path) -> None:
    (tmp_path / "my pics").mkdir()
    (tmp_path / "my pics" / "a cat.png").touch()
    screen.type("a cat --stre")
    screen.press("Tab")
    screen.wait_for_line("invoke> a cat --strength")
    screen.type(" 0.5 -I my")
    screen.press("Tab")
    screen.wait_for('-I "my pics/"')
    screen.press("Tab")
    screen.wait_for('-I "my pics/a cat.png"')
    screen.type(" -A k_dpmpp_s")
    screen.press("Tab")
    screen.wait_for_line('invoke> a cat --strength 0.5 -I "my pics/a cat.png" -A k_dpmpp_sde')


def test_a_choice_from_the_menu_is_taken_with_enter(screen: Screen) -> None:
    screen.type("a cat -A k_eu")
    screen.press("Tab")
    screen.wait_for("k_euler_a")
    screen.press("Tab")
    screen.press("Tab")
    screen.wait_for_line("invoke> a cat -A k_euler_a")
    screen.press("Enter")
    screen.type(" -S 7")
    screen.press("Enter")
    screen.wait_for("[1] outputs/000001.7.png")


def test_the_toolbar_follows_the_line_and_can_be_hidden(screen: Screen) -> None:
    screen.type("a cat -s 30 -W 512")
    screen.wait_for("512×256  ·  30 steps")
    screen.press("F2")
    screen.type(" -H 512")
    screen.wait_for_line("invoke> a cat -s 30 -W 512 -H 512")
    assert "30 steps" not in screen.text()
    screen.press("F2")
    screen.wait_for("512×512  ·  30 steps")


def test_pasted_lines_are_asked_about_once(screen: Screen) -> None:
    screen.paste("one -S 1\ntwo -S 2\n\nthree -S 3\n")
    screen.wait_for("three")
    screen.press("Enter")
    screen.wait_for("3 lines pasted: run each? [Y/n]")
    screen.press("Enter")
    shown = screen.wait_for("[3] outputs/000003.3.png")
    assert "[1] outputs/000001.1.png" in shown
    assert shown.count("pasted") == 1


def test_one_line_over_several_rows_and_the_editor(screen: Screen) -> None:
    screen.type("a cat")
    screen.press("M-Enter")
    screen.type("asleep -S 7")
    screen.press("C-x", "C-e")
    screen.wait_for("outputs/000001.7.png: a dog asleep -s 3")


def test_what_is_typed_meanwhile_is_not_lost_or_seen(slow: Screen) -> None:
    slow.enter("a cat -S 1")
    slow.wait_for("picture")
    slow.enter("a dog -S 2")
    slow.type("a fo")
    assert "a dog" not in slow.text()
    shown = slow.wait_for("[2] outputs/000002.2.png")
    assert shown.index("000001.1.png") < shown.index("invoke> a dog -S 2")
    slow.wait_for_line("invoke> a fo")


def test_a_bar_counts_the_steps(slow: Screen) -> None:
    slow.enter("a cat -n 2")
    slow.wait_for("picture 1 of 2")
    slow.wait_for("2/3")
    slow.wait_for("picture 2 of 2")
    slow.wait_for(".png: a cat", times=2)
    slow.wait_for_line("invoke>")
    assert "picture 2 of 2" not in slow.text(), "it is cleared"


def test_ctrl_c_stops_after_the_running_step(slow: Screen) -> None:
    slow.enter("a cat -s 20")
    slow.wait_for("1/20")
    slow.type("typed meanwhile")
    slow.press("C-c")
    slow.wait_for("0 of 1 picture made")
    slow.wait_for_line("invoke>")
    slow.enter("a fox -S 3 -s 1")
    slow.wait_for(".3.png: a fox")


def test_a_second_ctrl_c_gives_up(tmp_path: Path) -> None:
    with start(tmp_path, 4.0) as screen:
        screen.wait_for("invoke>")
        screen.enter("a cat -s 20")
        screen.wait_for("0/20")
        screen.press("C-c")
        screen.wait_for("stopping after this step")
        screen.press("C-c")
        screen.wait_for("given up; the engine starts anew", seconds=2)
        screen.wait_for_line("invoke>")


def test_a_terminal_that_is_made_smaller(slow: Screen) -> None:
    slow.enter("a cat -S 1")
    slow.wait_for("picture")
    slow.resize(50, 12)
    slow.wait_for("[1] outputs/000001.1.png")
    slow.type("a dog asleep on a red blanket by the fire, oil painting")
    slow.wait_for("oil painting")
    slow.press("C-c", "C-d")
    slow.wait_for("status 0")


def test_a_dumb_terminal_gets_plain_text(tmp_path: Path) -> None:
    with start(tmp_path, 0.1, environment="TERM=dumb") as screen:
        screen.wait_for("invoke>")
        screen.enter("a cat -S 7 -f 3")
        screen.wait_for("must be between 0 and 1")
        screen.enter("a cat -S 7")
        screen.wait_for("[2] outputs/000001.7.png")
        screen.wait_for("invoke>", times=3)
        screen.press("C-d")
        screen.wait_for("status 0")


def test_a_history_of_ten_thousand_lines_is_at_hand(tmp_path: Path, home: Path) -> None:
    state = home / "state" / "invoke-shell"
    state.mkdir(parents=True)
    (state / "history").write_text("".join(f"line {number}\n" for number in range(10_000)), encoding="utf-8")
    with start(tmp_path) as screen:
        screen.wait_for("invoke>")
        screen.press("Up")
        screen.wait_for_line("invoke> line 9999")
        screen.press("C-c")
        screen.type("line 12")
        screen.press("C-c")
        screen.press("C-r")
        screen.type("ne 345")
        screen.wait_for("line 3459")
        screen.press("Enter")
        screen.wait_for_line("invoke> line 3459")
        screen.press("Enter")
        screen.wait_for("[10001] outputs/000001.")


@pytest.mark.slow
def test_the_real_program(tmp_path: Path) -> None:
    command = ["env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "invoke"]
    with Screen(command, tmp_path) as screen:
        screen.wait_for("invoke>")
        screen.type("a red boat -W 96 -H 96 -s 2 -S 5 --save_inter")
        screen.press("Tab")
        screen.wait_for("--save_intermediates")
        screen.type(" 0")
        screen.press("Enter")
        screen.wait_for("[1] outputs/000001.5.png: a red boat -s 2 -S 5", seconds=180)
        screen.wait_for("pocket on ")
        screen.press("Up")
        screen.wait_for_line("invoke> a red boat -W 96 -H 96 -s 2 -S 5 --save_intermediates 0")
        screen.press("C-c", "C-d")
        screen.wait_for("status 0")
    assert (tmp_path / "outputs" / "000001.5.png").exists()
