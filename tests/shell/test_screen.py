"""The shell on a real terminal, driven in tmux. The engine is a fake one, but for the last test."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.patience import until
from tests.program import ROOT
from tests.shell.gate import Gate
from tests.shell.screen import Screen, needs_tmux, preloaded_command

pytestmark = needs_tmux


def start(folder: Path, *settings: object, environment: str = "", rows: int = 30) -> Screen:
    """The shell in `folder`; `settings` are those of `fake_program`, in its order."""
    setting = ["env", f"PYTHONPATH={ROOT}", "PAGER=cat", *environment.split()]
    command = [*setting, sys.executable, "-m", "tests.shell.fake_program", *map(str, settings or (0,))]
    return Screen(command, folder, rows=rows)


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[Screen]:
    with start(tmp_path) as screen:
        screen.wait_for("invoke>")
        yield screen


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """The gate of such an engine."""
    return Gate(tmp_path)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Screen]:
    """An engine that waits at the gate."""
    with start(tmp_path, "gate") as screen:
        screen.wait_for("invoke>")
        yield screen


def test_a_help_page_uses_the_width_of_the_window(screen: Screen) -> None:
    screen.resize(60, 30)
    screen.enter("!help variations")
    lines = screen.wait_for("turns it off").splitlines()
    assert 50 < max(len(line) for line in lines if not line.startswith(("    ", "pocket", "invoke"))) <= 60


def test_a_long_output_is_paged_while_a_picture_is_made(tmp_path: Path, gate: Gate) -> None:
    with start(tmp_path, "gate", environment="PAGER=less", rows=24) as screen:
        screen.wait_for("invoke>")
        screen.enter("a cat -S 1")
        screen.enter("!help")
        shown = screen.wait_for("line 1  -  space: more  -  q: back to the prompt")
        assert "F2 hides" not in shown
        screen.press("C-c")  # does not stop the picture
        screen.wait_for("line 1  -  space: more", times=2)  # less redraws its window
        screen.type("G")
        screen.wait_for("F2 hides")
        screen.type("q")
        gate.open()
        screen.wait_for("[1] outputs/000001.1.png")
        screen.wait_for_line("invoke>")
        screen.enter("!queue")  # short ones stand where they are asked for
        screen.wait_for("no line is waiting")
        screen.enter("a fox -S 3 -s 1")
        screen.wait_for(".3.png: a fox")


def test_a_missing_device_is_reported_above_the_prompt(tmp_path: Path) -> None:
    with Screen([*preloaded_command(), "--device", "cuda:99", "--no-history"], tmp_path) as screen:
        screen.wait_for("invoke>")
        screen.type("a cat -s 4")
        shown = screen.wait_for("\n--device cuda:99: this machine has no such device")
        assert shown.index("--device cuda:99") < shown.index("invoke>")
        screen.wait_for_line("invoke> a cat -s 4")
        screen.press("Enter")
        screen.wait_for("error: --device cuda:99: this machine has no such device")


def test_a_session_from_first_line_to_quit(screen: Screen) -> None:
    shown = screen.wait_for("pocket on cpu float32  ·  256×256  ·  steps 3")
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
    screen.wait_for("F2 hides the")
    screen.press("C-d")
    screen.wait_for("status 0")


def test_tab_completes_a_switch(screen: Screen, tmp_path: Path) -> None:
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


def test_the_completion_menu_shows_the_size_of_pictures(screen: Screen, tmp_path: Path) -> None:
    for side in (400, 800):
        Image.new("RGB", (side, 300)).save(tmp_path / f"my fire {side}.png")
    screen.type("a cat -I my")
    screen.press("Tab")
    shown = screen.wait_for('"my fire 800.png"')
    assert "400×300" in shown
    assert "800×300" in shown
    screen.press("Tab")
    screen.wait_for_line('invoke> a cat -I "my fire 400.png"')
    screen.type(" -f 0.5")
    screen.wait_for("steps 3 × 0.5 → 1")


def test_a_wrong_word_is_underlined_while_typing_the_next(screen: Screen) -> None:
    screen.wait_for("·  steps 3")
    screen.type("a cat -f 3")
    screen.wait_for_line("invoke> a cat -f 3")
    assert screen.underlined() == []
    screen.type(" -A k_heun")
    screen.wait_for("-f/--strength must be between 0 and 1, not 3")
    screen.wait_for_underlined("3")
    screen.press("F2")
    screen.wait_for_no("must be")
    assert screen.underlined() == ["3"]
    screen.press("F2", *["Left"] * len(" -A k_heun"))
    screen.wait_for_underlined()
    screen.press("BSpace")
    screen.type("0.3")
    screen.press("End")
    screen.wait_for_line("invoke> a cat -f 0.3 -A k_heun")
    screen.wait_for("256×256  ·  steps 3")
    screen.wait_for_underlined()


def test_a_failed_line_returns_with_the_cursor_at_the_wrong_word(screen: Screen) -> None:
    screen.enter("a cat -f 3 -S 7")
    screen.wait_for_underlined("3")
    screen.press("Delete")
    screen.type("0.3")
    screen.press("Enter")
    screen.wait_for("[2] outputs/000001.7.png: a cat -s 3 -S 7")


def test_without_colours_errors_and_suggestions_are_still_distinct(tmp_path: Path) -> None:
    with start(tmp_path, environment="NO_COLOR=1") as screen:
        screen.wait_for("invoke>")
        screen.type("a cat -strenght 1")
        screen.wait_for("did you mean --strength?")
        screen.wait_for_underlined("-strenght")
        screen.press("C-u")
        screen.enter("a fox -S 7")
        screen.wait_for("000001.7.png")
        screen.type("a f")
        screen.wait_for_line("invoke> a fox -S 7")
        assert "a f\x1b[2mox -S 7" in screen.styled()
        assert not re.search(r"\x1b\[[\d;]*3[0-7]", screen.styled())


def test_a_picture_dropped_on_the_terminal_becomes_the_init_picture(screen: Screen, tmp_path: Path) -> None:
    Image.new("RGB", (96, 96)).save(tmp_path / "my fire.png")
    screen.type("a cat")
    screen.paste(f"'{tmp_path}/my fire.png' ")
    screen.wait_for("96×96  ·  steps 3 × 0.75 → 2")
    screen.type("-S 7")
    screen.press("Enter")
    shown = screen.wait_for("[1] outputs/000001.7.png")
    assert f'-I "{tmp_path}/my fire.png" -f 0.75' in shown


def test_enter_accepts_a_choice_from_the_menu(screen: Screen) -> None:
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
    screen.wait_for("512×256  ·  steps 30")
    screen.press("F2")
    screen.type(" -H 512")
    screen.wait_for_line("invoke> a cat -s 30 -W 512 -H 512")
    assert "·  steps 30" not in screen.text()
    screen.press("F2")
    screen.wait_for("512×512  ·  steps 30")


def test_pasting_lines_asks_once(screen: Screen) -> None:
    screen.paste("one -S 1\ntwo -S 2\n\nthree -S 3\n")
    screen.wait_for("three")
    screen.press("Enter")
    screen.wait_for("3 lines pasted: run each? [Y/n]")
    screen.press("Enter")
    shown = screen.wait_for("[3] outputs/000003.3.png")
    assert "[1] outputs/000001.1.png" in shown
    assert "pasted" not in shown, "the question is gone"


def test_pasting_lines_while_a_picture_is_made_asks_too(slow: Screen, gate: Gate) -> None:
    slow.enter("a cat -S 1")
    slow.wait_for("picture")
    slow.paste("two -S 2\nthree -S 3")
    slow.wait_for("invoke> two -S 2")
    gate.open()
    slow.wait_for("[1] outputs/000001.1.png")
    slow.wait_for("invoke> two -S 2")
    slow.press("Enter")
    slow.wait_for("2 lines pasted: run each? [Y/n]")
    slow.press("Enter")
    slow.wait_for("[3] outputs/000003.3.png")


def test_a_line_can_span_rows_and_be_edited_in_the_editor(screen: Screen) -> None:
    screen.type("a cat")
    screen.press("M-Enter")
    screen.type("asleep -S 7")
    screen.press("C-x", "C-e")
    screen.wait_for("outputs/000001.7.png: a dog asleep -s 3")


def test_the_editor_does_not_enter_the_line(screen: Screen) -> None:
    screen.type("a cat asleep")
    screen.press("F4")
    screen.wait_for_line("invoke> a dog asleep")
    screen.type(" -S 7")
    screen.press("Enter")
    screen.wait_for("outputs/000001.7.png: a dog asleep -s 3")


def test_vi_keys_work_on_a_terminal(tmp_path: Path) -> None:
    with start(tmp_path, 0, 0, "vi") as screen:
        screen.wait_for("invoke>")
        screen.type("a big cat -S 7 -f 3 -s 5")
        screen.wait_for("[insert]  -f/--strength must be between 0 and 1, not 3")
        screen.press("Escape")
        screen.wait_for("[normal]  -f/--strength must be between 0 and 1, not 3")
        screen.type("T7D")
        screen.type("0wcwred")  # without the space after it
        screen.press("Escape")
        screen.type("0cwone")  # one letter is a word
        screen.wait_for_line("invoke> one red cat -S 7")
        screen.press("Enter")
        screen.wait_for("outputs/000001.7.png: one red cat")


def test_lines_can_be_typed_while_pictures_are_made(slow: Screen, gate: Gate) -> None:
    slow.enter("a cat -S 1")
    slow.wait_for("picture")
    slow.enter("a dog -S 2")
    slow.wait_for("1 waiting")
    slow.type("a fo")
    slow.wait_for_line("invoke> a fo")
    gate.open()
    shown = slow.wait_for("[2] outputs/000002.2.png")
    assert shown.index("invoke> a dog -S 2") < shown.index("[1] outputs/000001.1.png")
    slow.wait_for_line("invoke> a fo")


def test_without_a_queue_typeahead_is_kept_and_not_echoed(tmp_path: Path, gate: Gate) -> None:
    with start(tmp_path, "gate", 0, "emacs", "plain") as slow:
        slow.wait_for("invoke>")
        slow.enter("a cat -S 1")
        slow.wait_for("picture")
        slow.enter("a dog -S 2")
        slow.type("a fo")
        assert "a dog" not in slow.text()
        gate.open()
        shown = slow.wait_for("[2] outputs/000002.2.png")
        assert shown.index("000001.1.png") < shown.index("invoke> a dog -S 2")
        slow.wait_for_line("invoke> a fo")


def test_text_typed_right_after_ctrl_c_appears_once(screen: Screen) -> None:
    for number in range(5):
        screen.type("half a line")
        screen.press("C-c")
        screen.type(f"a cat {number}")  # another one each time: the screen may still show the last one
        screen.wait_for_line(f"invoke> a cat {number}")
        screen.press("C-u")
    screen.wait_for_line("invoke>")
    typed = [line.rstrip() for line in screen.text().splitlines() if line.startswith("invoke>")]
    assert typed == ["invoke> half a line^C"] * 5 + ["invoke>"]


def test_ctrl_z_and_fg_work_while_a_picture_is_made(tmp_path: Path, gate: Gate) -> None:
    shell = ["env", f"PYTHONPATH={ROOT}", "PS1=shell: ", "bash", "--norc", "-i"]
    with Screen(shell, tmp_path, columns=60, rows=15) as screen:
        screen.wait_for("shell:")
        screen.enter(f"{sys.executable} -m tests.shell.fake_program gate 0 emacs off")
        screen.wait_for("·  steps 3")
        screen.enter("a cat -S 1 -s 9")
        gate.let(2)
        screen.wait_for("1/9")
        screen.type("half a li")
        screen.wait_for_line("invoke> half a li")
        screen.press("C-z")
        screen.wait_for("Stopped")
        screen.enter("echo $((6 * 7))")
        screen.wait_for("\n42\n")
        assert "[1] outputs" not in screen.text()
        screen.enter("fg")
        screen.wait_for("fg\n")
        screen.wait_for_line("invoke> half a li")
        screen.type("ne")
        screen.wait_for_line("invoke> half a line")
        gate.open()
        shown = screen.wait_for("[1] outputs/000001.1.png")
        assert shown.count("invoke> half a li") == 1
        screen.wait_for_no("━")


def test_a_bar_counts_the_steps(slow: Screen, gate: Gate) -> None:
    slow.enter("a cat -n 2")
    slow.wait_for("picture 1 of 2")
    slow.wait_for("0/3")
    gate.let(3)
    slow.wait_for("2/3")
    gate.let(1)
    slow.wait_for("picture 2 of 2")
    gate.open()
    slow.wait_for(".png: a cat", times=2)
    slow.wait_for_line("invoke>")
    assert "picture 2 of 2" not in slow.text(), "it is cleared"


def test_a_preview_is_shown_above_the_bar_and_stays(slow: Screen, gate: Gate) -> None:
    slow.enter("a cat -S 1 -n 2 --save_intermediates 0")
    gate.let(2)
    slow.wait_for("1/3")
    until(lambda: re.search(f"{'▀' * 30}[^\n]*\npicture 1 of 2", slow.text()), slow.text)
    gate.open()
    slow.wait_for("[1.2] outputs/000001.2.png")
    slow.wait_for_no("picture 2 of 2")
    rows = [line[:30] for line in slow.text().splitlines()]
    assert rows.count("▀" * 30) == 2 * 15, "two pictures, each drawn once"


def test_ctrl_c_erases_an_unfinished_preview(slow: Screen, gate: Gate) -> None:
    def left() -> list[str]:
        return [line for line in slow.text().splitlines() if "▀" in line or "picture " in line]

    slow.enter("a cat -s 20")
    gate.let(2)
    slow.wait_for("▀")
    slow.press("C-c")
    slow.wait_for("stopping after this step")
    gate.let(1)
    slow.wait_for("0 of 1 picture made")
    until(lambda: left() == ["0 of 1 picture made"], slow.text)
    slow.wait_for_line("invoke>")


@pytest.mark.parametrize("setting", ["NO_COLOR=1", "TERM=vt100 LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0"])
def test_without_colours_or_blocks_there_is_no_preview(tmp_path: Path, setting: str) -> None:
    with start(tmp_path, 0, environment=setting) as screen:
        screen.wait_for("invoke>")
        screen.enter("a cat -S 7")
        screen.wait_for("[1] outputs/000001.7.png")
        assert "▀" not in screen.text()


def test_ctrl_c_stops_after_the_running_step(slow: Screen, gate: Gate) -> None:
    slow.enter("a cat -s 20")
    gate.let(2)
    slow.wait_for("1/20")
    slow.type("typed meanwhile")
    slow.wait_for_line("invoke> typed meanwhile")
    slow.press("C-c")
    slow.wait_for_line("invoke>")
    slow.press("C-c")
    slow.wait_for("stopping after this step")
    gate.let(1)
    slow.wait_for("0 of 1 picture made")
    gate.open()
    slow.wait_for_line("invoke>")
    slow.enter("a fox -S 3 -s 1")
    slow.wait_for(".3.png: a fox")


def test_ctrl_c_works_while_the_model_is_loaded(tmp_path: Path) -> None:
    with start(tmp_path, 0, 60) as screen:
        screen.wait_for("invoke>")
        screen.wait_for("loading pocket")
        screen.type("half a line")
        screen.press("C-c")
        screen.wait_for_line("invoke>")
        screen.enter("a cat")
        screen.wait_for("\nloading pocket 0:0")
        screen.press("C-c")
        screen.wait_for("stopped", seconds=5)
        screen.wait_for_line("invoke>")
        screen.press("C-d")
        screen.wait_for("status 0")


def test_a_second_ctrl_c_restarts_the_engine(tmp_path: Path) -> None:
    with start(tmp_path, "gate") as screen:
        screen.wait_for("invoke>")
        screen.enter("a cat -s 20")
        screen.wait_for("0/20")
        screen.press("C-c")
        screen.wait_for("stopping after this step")
        screen.press("C-c")
        screen.wait_for("aborted; restarting the engine")
        screen.wait_for_line("invoke>")


def test_a_terminal_can_be_made_smaller(slow: Screen, gate: Gate) -> None:
    slow.enter("a cat -S 1")
    slow.wait_for("picture")
    slow.resize(50, 12)
    gate.open()
    slow.wait_for("[1] outputs/000001.1.png")
    slow.type("a dog asleep on a red blanket by the fire, oil painting")
    slow.wait_for("oil painting")
    slow.press("C-c", "C-d")
    slow.wait_for("status 0")


def test_a_dumb_terminal_gets_plain_text(tmp_path: Path) -> None:
    with start(tmp_path, 0, environment="TERM=dumb") as screen:
        screen.wait_for("invoke>")
        screen.enter("a cat -S 7 -f 3")
        screen.wait_for("must be between 0 and 1")
        screen.enter("a cat -S 7")
        screen.wait_for("[2] outputs/000001.7.png")
        screen.wait_for("invoke>", times=3)
        screen.press("C-d")
        screen.wait_for("status 0")


def test_a_history_of_ten_thousand_lines_can_be_searched(tmp_path: Path, home: Path) -> None:
    state = home / "state" / "invoke-shell"
    state.mkdir(parents=True)
    (state / "history").write_text("".join(f"line {number}\n" for number in range(10_000)), encoding="utf-8")
    with start(tmp_path) as screen:
        screen.wait_for("invoke>")
        screen.press("Up")
        screen.wait_for_line("invoke> line 9999")
        screen.press("C-c")
        screen.wait_for_line("invoke>")
        screen.type("line 12")
        screen.wait_for_line("invoke> line 1299")  # the rest is suggested
        screen.press("C-c")
        screen.wait_for_line("invoke>")
        screen.press("C-r")
        screen.type("ne 345")
        screen.wait_for("line 3459")
        screen.press("Enter")
        screen.wait_for_line("invoke> line 3459")
        screen.press("Enter")
        screen.wait_for("[10001] outputs/000001.")


@pytest.mark.slow
def test_the_real_program_makes_a_picture(tmp_path: Path) -> None:
    with Screen(preloaded_command(), tmp_path) as screen:
        screen.wait_for("invoke>")
        screen.enter("a blue boat -s 900")
        screen.wait_for("━")
        screen.press("C-c")
        screen.wait_for("0 of 1 picture made")
        screen.type("a red boat -W 96 -H 96 -s 2 -S 5 --save_inter")
        screen.press("Tab")
        screen.wait_for("--save_intermediates")
        screen.type(" 0")
        screen.press("Enter")
        screen.wait_for(".5.png: a red boat -s 2 -S 5")
        screen.wait_for("pocket on ")
        screen.press("Up")
        screen.wait_for_line("invoke> a red boat -W 96 -H 96 -s 2 -S 5 --save_intermediates 0")
        screen.press("C-c", "C-d")
        screen.wait_for("status 0")
    assert len(list((tmp_path / "outputs").glob("*.5.png"))) == 1
