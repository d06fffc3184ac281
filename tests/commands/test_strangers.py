"""A picture of another person: its recipe is shown, and nothing in it is opened or made without confirmation."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from invoke.events import Pixels
from invoke.outputs import png
from invoke.request import Request
from tests.batches import Batches
from tests.line_contexts import PICTURES
from tests.making import a_request
from tests.shell.talk import Talk


def a_file(path: Path, request: Request) -> str:
    """A picture that says it was made from `request`, in a folder whose logs do not know it."""
    facts = {"mode": "txt2img", "steps_taken": 1, "painted": 1.0, "device": "cpu", "dtype": "float32"}
    recipe = {"version": 1, "request": asdict(request), "facts": facts}
    path.write_bytes(png.encode(Pixels(16, 16, bytes(768)), 6, [("invoke", json.dumps(recipe))]))
    return str(path)


@pytest.fixture
def talk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Talk:
    monkeypatch.chdir(tmp_path)
    return Talk(tmp_path)


HUGE = a_request(width=8192, height=8192, steps=1000)
ELSEWHERE = a_request(init_image=str(PICTURES / "fire-drawing.png"))


@pytest.mark.parametrize(
    ("request_", "asked"),
    [
        (HUGE, "asks for 8192×8192 pixels and 1000 steps"),
        (a_request(steps=900), "asks for 256×256 pixels and 900 steps"),
        (ELSEWHERE, f"opens {PICTURES / 'fire-drawing.png'}"),
        (a_request(init_image=ELSEWHERE), f"opens {PICTURES / 'fire-drawing.png'}"),
    ],
)
def test_verify_asks_before_costly_recipes_of_other_people(
    talk: Talk, tmp_path: Path, request_: Request, asked: str
) -> None:
    """X6: nothing is made, and no path opened, unless the user agrees."""
    a_file(tmp_path / "x.png", request_)
    talk.type("!verify x.png")
    assert talk.questions == [f"x.png {asked}: make it anyway?"]
    assert f"{asked}, so it was not made again" in talk.err
    assert talk.engine.requests == []
    talk.answers = [True]
    talk.type("!verify x.png")
    assert talk.engine.requests == [request_]


def test_verify_in_a_batch_refuses_costly_recipes(batches: Batches, tmp_path: Path) -> None:
    result = batches.run([f"!verify {a_file(tmp_path / 'x.png', HUGE)}"])
    assert result.status == 1
    assert "was not made again" in result.stderr
    assert result.engine.requests == []


def test_verify_makes_our_own_pictures_without_asking(talk: Talk, tmp_path: Path) -> None:
    talk.type(f"a fire -I {PICTURES / 'fire-drawing.png'} -S 7 -s 900", "!verify -1")
    assert talk.questions == []
    assert len(talk.engine.requests) == 2
    a_file(tmp_path / "y.png", a_request(seed=3))
    talk.type("!verify y.png")
    assert talk.questions == []


@pytest.mark.parametrize(
    ("dream", "line", "left_out"),
    [
        ("a cat -o /etc -m evil -I /etc/passwd -s 5", "a cat -s 5", "-o /etc; -m evil; -I /etc/passwd"),
        ("!quit", "", "its line is a command: !quit"),
    ],
)
def test_fetch_gives_only_switches_of_the_picture(
    talk: Talk, tmp_path: Path, dream: str, line: str, left_out: str
) -> None:
    """R21: other switches are named."""
    (tmp_path / "x.png").write_bytes(png.encode(Pixels(16, 16, bytes(768)), 6, [("Dream", dream)]))
    talk.type("!fetch x.png")
    assert left_out in talk.err
    assert talk.entry.text in {line, "!fetch x.png"}
    talk.type("!fetch x.png lines.txt")
    written = (tmp_path / "lines.txt").read_text(encoding="utf-8").splitlines()
    assert [row for row in written if not row.startswith("#")] == ([line] if line else [])


def test_fetch_names_the_switches_it_leaves_out(talk: Talk, tmp_path: Path) -> None:
    """X4: a random seed would give another picture each time."""
    text = "a cat [fog]\nSteps: 20, Sampler: Euler a, Seed: 9007199254740993, Model: dream"
    (tmp_path / "x.png").write_bytes(png.encode(Pixels(16, 16, bytes(768)), 6, [("parameters", text)]))
    talk.type("!fetch x.png")
    assert "# left out: model dream; seed 9007199254740993" in talk.err
    assert talk.entry.text == "a cat (fog)0.9091 -s 20 -A k_euler_a"
    talk.type("!fetch x.png lines.txt")
    assert "# left out: model dream; seed 9007199254740993\n" in (tmp_path / "lines.txt").read_text(encoding="utf-8")
