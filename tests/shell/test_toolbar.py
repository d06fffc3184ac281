"""The toolbar below the prompt, for the typed line."""

from threading import Event
from time import sleep

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from invoke.events import EngineState
from invoke.language.render import render
from invoke.language.resolve.line_context import LineContext
from invoke.request import Request
from invoke.session import Session
from invoke.shell import toolbar
from invoke.shell.toolbar import Toolbar, facts_of, shortened, text
from tests.line_contexts import PICTURES, a_context, plan
from tests.shell.talk import Talk
from tests.strategies import lines, requests

FIRE = PICTURES / "fire-drawing.png"


def shown(line: str, session: Session) -> str:
    return text(session, facts_of(line, session.context()))


@pytest.mark.parametrize(
    ("line", "facts"),
    [
        ("", "256×256  ·  steps 2"),
        ("a cat -s 30", "256×256  ·  steps 30"),
        ("a cat -W 320 -H 100", "320×96  ·  steps 2"),
        (f"a cat -s 10 -f 0.7 -I {FIRE}", "384×384  ·  steps 10 × 0.7 → 7 taken"),
        (f"a cat -s 100 -f 0.29 -I {FIRE}", "384×384  ·  steps 100 × 0.29 → 29 taken"),
        (f"a cat -W 256 -I {FIRE}", "256×256  ·  steps 2 × 0.75 → 1 taken"),
        (f"a cat --fit -W 128 -I {FIRE}", "128×128  ·  steps 2 × 0.75 → 1 taken"),
        (f"a cat --exact_steps -I {FIRE}", "384×384  ·  steps 3 × 0.75 → 2 taken"),
        (f"a cat -s 50 -I {FIRE} -c right 64", "384×384 → 448×384  ·  steps 50 × 0.9 → 45 taken"),
        (f"a cat -f 0 -I {FIRE}", "384×384  ·  nothing is redrawn (strength 0)"),
        (
            f"a cat -s 50 -I {FIRE} -embiggen 2",
            "384×384 → 768×768  ·  steps 50 × 0.4 → 20 taken for each tile, 320 in all",
        ),
        ("a cat -s 50 -W 512 -H 512 --hires_fix -f 0.5", "256×256, then 512×512  ·  steps 50 + 50 × 0.5 → 75 taken"),
        (f"a cat -s 10 -I {FIRE} --strength_map {FIRE}", "384×384  ·  steps 10 × 0.9647058823529412 → 9 taken"),
        ("a cat -s 50 -U 2", "256×256 → 512×512  ·  steps 50"),
        ("a cat -n 100000 -v 0.1", "256×256  ·  steps 2"),
        ("a cat -s 4 |> a dog -W 96 -f 0.5", "256×256  ·  steps 4  |>  96×96  ·  steps 2 × 0.5 → 1 taken"),
        ("a cat --sweep steps=4,5", "256×256  ·  steps 4, steps 5"),
        ("a cat --no-defaults", "256×256  ·  steps 20"),
        ("!history", "256×256  ·  steps 2"),
    ],
)
def test_the_toolbar_shows_size_and_steps_of_the_line(talk: Talk, line: str, facts: str) -> None:
    assert shown(line, talk.session) == f"pocket on cpu float32  ·  {facts}"


def test_the_toolbar_applies_presets(talk: Talk) -> None:
    talk.session.presets_file = talk.folder / "presets.yaml"
    talk.session.presets_file.write_text("quick: … -s 4 -W 128\n", encoding="utf-8")
    assert shown("a cat +quick -W 192", talk.session).endswith("192×256  ·  steps 4")
    assert shown("a cat +slow", talk.session) == "pocket on cpu float32"


@pytest.mark.parametrize(
    "line",
    [
        "a cat -f",
        '"a cat',
        "a cat -f 3",
        "a cat -strenght",
        "a cat -I nowhere.png",
        f"a cat -I {FIRE} -c right 64 -v 0.1",
        "a cat --sweep steps=1:50:1",
    ],
)
def test_an_unfinished_line_shows_the_engine(talk: Talk, line: str) -> None:
    assert shown(line, talk.session) == "pocket on cpu float32"


@pytest.mark.parametrize(
    ("state", "line", "engine"),
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
def test_the_toolbar_shows_the_state_of_the_engine(talk: Talk, state: EngineState, line: str, engine: str) -> None:
    talk.engine.state = state
    assert shown(line, talk.session).startswith(f"{engine}  ·  ")


def test_the_toolbar_knows_pictures_of_session_and_output_folder(talk: Talk) -> None:
    talk.type("a cat -S 7")
    assert "16×16" in shown("a dog -f 0 -I -1", talk.session)
    assert "16×16" in shown("a dog -f 0 -I 000001.7.png", talk.session)
    assert shown("a dog -f 0 -I -2", talk.session) == "pocket on cpu float32"


def test_the_toolbar_shows_the_model_of_the_line(talk: Talk) -> None:
    line = f"a cat -s 50 -m instruct-pix2pix -I {FIRE}"
    assert shown(line, talk.session).endswith("pix2pix (pocket on cpu float32)  ·  384×384  ·  steps 50 × 1 → 50 taken")


@given(requests)
@settings(max_examples=10)
def test_the_toolbar_agrees_with_the_plan(request: Request) -> None:
    """Each size and the steps, of each part of a chain, are in the plan's summary."""
    line, context = render(request), a_context()
    summary = plan(line, context).summary
    assume(not summary[-1].startswith("… and "))  # it is cut
    facts = facts_of(line, context)
    assert facts is not None
    parts = facts.size_and_steps.split("  |>  ")
    for number, part in enumerate(parts, 1):
        numbered = f"{number}. " if len(parts) > 1 else ""
        own = [words for words in summary if words.startswith(numbered)]
        sizes, steps = part.split("  ·  ")
        drawn, *changed = sizes.split(" → ")
        assert f"{numbered}{steps}" in own
        assert own[0].endswith(f" {drawn}")
        for size in changed:
            assert any(f" → {size} " in words for words in own)


@given(lines)
@settings(max_examples=10)
def test_the_toolbar_reads_any_line(line: str) -> None:
    facts_of(line, a_context())


def test_a_plan_that_takes_long_is_shown_later(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then nothing is shown of the line, and a line that has changed since is not planned."""
    monkeypatch.setattr(toolbar, "AT_ONCE", 0)
    may_go_on, planned = Event(), []

    def slowly(line: str, context: LineContext) -> toolbar.Facts | None:
        may_go_on.wait(60)
        planned.append(line)
        return facts_of(line, context)

    monkeypatch.setattr(toolbar, "facts_of", slowly)
    bar = Toolbar(talk.session, talk.session.context)
    for line in ("a", "a cat", "a cat -s 9"):
        assert bar(line) == "pocket on cpu float32"
    may_go_on.set()
    while bar("a cat -s 9") != "pocket on cpu float32  ·  256×256  ·  steps 9":
        sleep(0.001)
    assert "a cat" not in planned


@given(st.text(min_size=1), st.integers(3, 40))
@example("-A must be one of ddim plms k_lms, not 'eular', did you mean 'k_euler'?", 40)
def test_a_long_message_loses_its_middle(text: str, width: int) -> None:
    shown = shortened(text, width)
    assert len(shown) == min(len(text), width)
    assert (shown[0], shown[-1]) == (text[0], text[-1])
