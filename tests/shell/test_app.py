"""Starting the shell: imports, logs and the greeting."""

import io
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings

from invoke.errors import ExitStatus, ModelError
from invoke.events import EngineState
from invoke.paths import LogFile, keep_log
from invoke.shell import app
from invoke.shell.app import loop
from invoke.shell.toolbar import is_settled
from tests.fakes import FakeEngine
from tests.program import ROOT
from tests.shell.talk import Script, Talk
from tests.strategies import lines


@pytest.fixture(autouse=True)
def log() -> Iterator[logging.Logger]:
    """The program's logger, put back as it was."""
    log = logging.getLogger("invoke")
    before, propagate = list(log.handlers), log.propagate
    yield log
    for handler in set(log.handlers) - set(before):
        if isinstance(handler, LogFile):  # pytest has handlers of its own
            log.removeHandler(handler)
            handler.close()
    log.propagate = propagate


def test_the_prompt_needs_neither_torch_nor_pillow_nor_rich() -> None:
    heavy = ("torch", "diffusers", "transformers", "PIL", "numpy", "rich")
    program = f"import sys, invoke.shell, invoke.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=ROOT, text=True, check=True)
    assert done.stdout == "[]\n"


def _run(monkeypatch: pytest.MonkeyPatch, talk: Talk, *typed: str, history: bool = True) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    script = Script(typed)
    monkeypatch.setattr(app, "PlainPrompt", script.with_parts)
    assert app.run(talk.session, history=history) is ExitStatus.OK
    assert script.closed
    return out.getvalue(), err.getvalue()


def test_the_shell_greets_and_starts_loading(monkeypatch: pytest.MonkeyPatch, talk: Talk) -> None:
    _, said = _run(monkeypatch, talk)
    first, second = said.splitlines()
    assert first == "invoke-shell 0.2.0 · model pocket · !help lists what you can type"
    assert second.startswith("pocket is a small demonstration model")
    assert talk.engine.loaded == ["pocket"]


def test_a_model_that_cannot_be_loaded_does_not_block_the_prompt(monkeypatch: pytest.MonkeyPatch, talk: Talk) -> None:
    def fail(model: str) -> None:
        raise ModelError("pocket: its folder is gone")

    monkeypatch.setattr(talk.engine, "load", fail)
    _, said = _run(monkeypatch, talk, "!models")
    assert "error: pocket: its folder is gone" in said
    assert "* pocket" in said


def test_history_and_log_are_private(monkeypatch: pytest.MonkeyPatch, talk: Talk, home: Path) -> None:
    talk.engine.outcomes.append(ZeroDivisionError("division by zero"))
    _, said = _run(monkeypatch, talk, "a cat")
    state = home / "state" / "invoke-shell"
    assert (state / "history").read_text(encoding="utf-8") == "a cat\n"
    logged = (state / "errors.log").read_text(encoding="utf-8")
    assert "ERROR invoke.shell.repl: a cat\nTraceback" in logged
    assert f"the details are in {state / 'errors.log'}" in said
    assert {path.stat().st_mode & 0o777 for path in state.iterdir()} == {0o600}


def test_no_history_saves_no_history(monkeypatch: pytest.MonkeyPatch, talk: Talk, home: Path) -> None:
    _run(monkeypatch, talk, "a cat", history=False)
    assert not (home / "state" / "invoke-shell" / "history").exists()


def test_an_unwritable_state_folder_is_reported(monkeypatch: pytest.MonkeyPatch, talk: Talk, home: Path) -> None:
    (home / "state").write_text("in the way", encoding="utf-8")
    out, said = _run(monkeypatch, talk, "a cat -S 7")
    assert "note: the history is not saved" in said
    assert "000001.7.png" in out


def test_a_long_log_is_replaced(home: Path, monkeypatch: pytest.MonkeyPatch, log: logging.Logger) -> None:
    monkeypatch.setattr("invoke.paths.LARGEST_LOG", 10)
    path = home / "state" / "invoke-shell" / "errors.log"
    path.parent.mkdir(parents=True)
    path.write_text("much that was said before\n", encoding="utf-8")
    assert keep_log() == str(path)
    log.warning("now")
    assert path.read_text(encoding="utf-8").endswith("WARNING invoke: now\n")
    assert "before" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("state", "settled"),
    [
        (EngineState("starting"), False),
        (EngineState("loading", "pocket"), False),
        (EngineState("ready", "pocket", device="cpu", dtype="float32"), True),
        (EngineState("ready", "sd-1.5", device="cpu", dtype="float32"), False),
        (EngineState("failed", "pocket", "pocket: its folder is gone"), True),
        (EngineState("ready"), True),
    ],
)
def test_the_toolbar_refreshes_until_the_engine_is_settled(talk: Talk, state: EngineState, settled: bool) -> None:
    talk.engine.state = state
    assert is_settled(talk.session) == settled


@given(lines)
@settings(max_examples=60)
def test_any_input_keeps_the_session_and_the_screen_intact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    talk = Talk(tmp_path, FakeEngine())
    talk.session.defaults["iterations"] = 1
    assert loop(talk.repl, Script([line])) is ExitStatus.OK
    output = talk.out + talk.err
    assert "unexpectedly" not in output
    assert not any(letter < " " and letter != "\n" for letter in talk.err)
