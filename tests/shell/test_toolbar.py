"""The toolbar below the prompt, for the typed line."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from invoke.events import EngineState
from invoke.shell.toolbar import shortened, toolbar
from tests.fakes import FakeEngine
from tests.line_contexts import PICTURES, plan
from tests.shell.talk import Talk

FIRE = PICTURES / "fire-drawing.png"


@pytest.mark.parametrize(
    ("line", "facts"),
    [
        ("", "256×256  ·  2 steps"),
        ("a cat -s 30", "256×256  ·  30 steps"),
        ("a cat -W 320 -H 100", "320×96  ·  2 steps"),
        (f"a cat -s 10 -f 0.7 -I {FIRE}", "384×384  ·  steps 10 × 0.7 → 7"),
        (f"a cat -s 100 -f 0.29 -I {FIRE}", "384×384  ·  steps 100 × 0.29 → 29"),
        (f"a cat -W 256 -I {FIRE}", "256×256  ·  steps 2 × 0.75 → 1"),
        (f"a cat --fit -W 128 -I {FIRE}", "128×128  ·  steps 2 × 0.75 → 1"),
        (f"a cat --exact_steps -I {FIRE}", "384×384  ·  2 steps, exactly"),
        ("a cat -I nowhere.png", "256×256  ·  steps 2 × 0.75 → 1"),
        ("a cat --no-defaults", "256×256  ·  20 steps"),
        ("!history", "256×256  ·  2 steps"),
    ],
)
def test_the_toolbar_shows_size_and_steps_of_the_line(talk: Talk, line: str, facts: str) -> None:
    assert toolbar(line, talk.session) == f"pocket on cpu float32  ·  {facts}"


def test_the_toolbar_applies_presets(talk: Talk) -> None:
    talk.session.presets_file = talk.folder / "presets.yaml"
    talk.session.presets_file.write_text("quick: … -s 4 -W 128\n", encoding="utf-8")
    assert toolbar("a cat +quick -W 192", talk.session).endswith("192×256  ·  4 steps")
    assert toolbar("a cat +slow", talk.session) == "pocket on cpu float32"


@pytest.mark.parametrize("line", ["a cat -f", '"a cat', "a cat -f 3", "a cat -strenght"])
def test_an_unfinished_line_shows_the_engine(talk: Talk, line: str) -> None:
    assert toolbar(line, talk.session) == "pocket on cpu float32"


@pytest.mark.parametrize(
    ("state", "line", "shown"),
    [
        (EngineState("loading", "pocket"), "", "loading pocket"),
        (EngineState("starting"), "", "pocket (starting)"),
        (
            EngineState("ready", "pocket", device="cuda", dtype="float16"),
            "a cat -m sd-1.5",
            "sd-1.5 (pocket on cuda float16)",
        ),
        (EngineState("ready"), "", "pocket"),
    ],
)
def test_the_toolbar_shows_the_state_of_the_engine(talk: Talk, state: EngineState, line: str, shown: str) -> None:
    talk.engine.state = state
    assert toolbar(line, talk.session).startswith(f"{shown}  ·  ")


def test_the_toolbar_knows_pictures_of_session_and_output_folder(talk: Talk) -> None:
    talk.type("a cat -S 7")
    assert "16×16" in toolbar("a dog -I -1", talk.session)
    assert "16×16" in toolbar("a dog -I 000001.7.png", talk.session)
    assert "256×256" in toolbar("a dog -I -2", talk.session)


@pytest.mark.parametrize(
    "line", ["a -s 9", f"a -I {FIRE}", f"a -W 96 -I {FIRE}", f"a -I {PICTURES / 'rotated.jpg'} -f 0.3"]
)
def test_the_toolbar_agrees_with_the_plan(tmp_path: Path, line: str) -> None:
    session = Talk(tmp_path, FakeEngine()).session
    session.defaults.clear()
    request = plan(line).picture(0).request
    assert f"{request.width}×{request.height}" in toolbar(line, session)
    assert f"{plan(line).picture(0).points}" in toolbar(line, session)


@given(st.text(min_size=1), st.integers(3, 40))
@example("-A must be one of ddim plms k_lms, not 'eular', did you mean 'k_euler'?", 40)
def test_a_long_message_loses_its_middle(text: str, width: int) -> None:
    shown = shortened(text, width)
    assert len(shown) == min(len(text), width)
    assert (shown[0], shown[-1]) == (text[0], text[-1])
