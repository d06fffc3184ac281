"""`from invoke import Shell`: lines and keywords, PIL images in and out, the same bytes as the program's."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from invoke import InvokeError, Shell
from invoke.events import Finished, Note, Saved
from invoke.images import open_picture
from tests.program import ROOT, invoke

SMALL = {"steps": 2, "width": 64, "height": 64}
pytestmark = pytest.mark.usefixtures("preloaded_engines")
DRAWING = ROOT / "test-pictures" / "fire-drawing.png"


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with Shell(user_settings=False, outdir=tmp_path_factory.mktemp("made"), save_intermediates=0, **SMALL) as shell:
        yield shell


def test_shell_makes_the_same_bytes_as_the_program(shell: Shell, tmp_path: Path) -> None:
    line = f"a fire, painting -S 5 -n 2 -I {DRAWING} -f 0.6"
    made = [picture.path.read_bytes() for picture in shell.make(line)]
    done = invoke("-q", "-o", tmp_path, "-s", "2", "-W", "64", "-H", "64", "--save_intermediates", "0", line)
    assert made == [Path(path).read_bytes() for path in done.paths]


def test_keyword_arguments_are_switches(shell: Shell) -> None:
    typed = shell.plan('a fire -S 3 -n 2 -C 5 --fit -U 2 0.5 --negative_prompt "-s 5 night"')
    named = shell.plan(
        "a fire", seed=3, iterations=2, guidance_scale=5, fit=True, upscale=(2, 0.5), negative_prompt="-s 5 night"
    )
    assert [one.request for one in named.pictures()] == [one.request for one in typed.pictures()]
    assert shell.plan(prompt="a -s 5 cat", seed=None).picture(0).request.prompt == "a -s 5 cat"


def test_a_list_of_models_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InvokeError, match=r"none\.yaml: there is no such list of models"):
        Shell(config=str(tmp_path / "none.yaml"), user_settings=False)


def test_an_image_gives_the_same_picture_as_its_file(shell: Shell) -> None:
    with Image.open(DRAWING) as image:
        [given] = shell.make("a fire -S 1", image=image, strength=0.5)
    [named] = shell.make("a fire -S 1", image=DRAWING, strength=0.5)
    [again] = shell.make(given.line)
    assert given.image.tobytes() == named.image.tobytes() == again.image.tobytes()
    assert given.image.mode == "RGB"


def test_an_image_is_rotated_by_its_exif_orientation(shell: Shell, tmp_path: Path) -> None:
    """PIL opens a photograph as stored; the file in `piped/` keeps its orientation."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.linear_gradient("L").convert("RGB").resize((64, 128)).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        given, named = (shell.plan("a fire -f 0", image=one).picture(0).request for one in (image, tmp_path / "a.png"))
    assert given.size == named.size
    assert np.array_equal(*(np.asarray(open_picture(str(one.init_image)).image) for one in (given, named)))


def test_an_image_of_mode_f_is_refused(shell: Shell) -> None:
    with pytest.raises(InvokeError, match="mode F cannot be used"):
        shell.plan("a fire", image=Image.new("F", (64, 64)))


def test_notes_come_before_the_first_step(shell: Shell) -> None:
    events: list[object] = []
    [picture] = shell.make("an astronaut -S 1", on_event=events.append)
    notes = [event.text for event in events if isinstance(event, Note)]
    assert notes[: len(picture.notes)] == list(picture.notes)
    assert any("does not know 'astronaut'" in note for note in picture.notes)


def test_a_mask_from_an_array_keeps_the_white_part(shell: Shell) -> None:
    start = Image.new("RGB", (64, 64), "teal")
    mask = np.full((64, 64), 255, np.uint8)
    mask[:, :32] = 0
    [picture] = shell.make("a fire -S 1 -r 1", image=start, mask_image=Image.fromarray(mask))
    assert picture.request.mask_image is not None
    kept = np.asarray(picture.image)[:, 40:]
    assert (kept == np.asarray(start)[:, 40:]).all()


def test_events_come_as_they_happen_and_break_stops_the_line(shell: Shell) -> None:
    events: list[object] = []
    for picture in shell.make("a boat -n 50 -g", on_event=events.append):
        assert picture.path.exists()
        break
    assert len([event for event in events if isinstance(event, Finished)]) < 50
    assert len([event for event in events if isinstance(event, Saved)]) < 50
    assert len(list(shell.make("a boat"))) == 1, "it can be used on"


@pytest.mark.parametrize(
    ("line", "switches", "code"),
    [
        ("a fire", {"strenght": 0.5}, "unknown_switch"),
        ("a fire", {"image": "nowhere.png"}, "picture_missing"),
        ("a fire", {"steps": 0}, "bad_value"),
        ("!help", {}, "bad_command"),
        ("", {}, "bad_command"),
    ],
)
def test_invalid_lines_raise_an_error_with_a_code(
    shell: Shell, line: str, switches: dict[str, object], code: str
) -> None:
    with pytest.raises(InvokeError) as caught:
        list(shell.make(line, **switches))  # type: ignore[arg-type]
    assert caught.value.code == code
    assert caught.value.message


@pytest.mark.parametrize(
    ("options", "what"), [({"json": True}, "--json"), ({"seed": 5}, "-S/--seed"), ({"devise": 1}, "devise")]
)
def test_unknown_options_of_shell_are_refused(options: dict[str, object], what: str) -> None:
    with pytest.raises(InvokeError, match=what):
        Shell(user_settings=False, **options)  # type: ignore[arg-type]


def test_the_examples_of_docs_python_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With small pictures, by the user's settings."""
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(examples) >= 10
    shutil.copytree(ROOT / "test-pictures", tmp_path / "test-pictures")
    (tmp_path / "invoke-shell").mkdir()
    settings = "".join(f"{name}: {value}\n" for name, value in SMALL.items())
    (tmp_path / "invoke-shell" / "config.yaml").write_text(settings)
    monkeypatch.setitem(os.environ, "XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    try:
        for example in examples:
            exec(compile(example, "docs/python.md", "exec"), names)
    finally:
        if isinstance(shell := names.get("shell"), Shell):
            shell.close()
    assert (tmp_path / "fire.jpg").exists()
