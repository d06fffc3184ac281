"""Masks from words: `-tm` in a line, and `!mask`."""

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from invoke.errors import InvokeError, PictureError
from invoke.models import read_registry
from invoke.outputs import metadata
from invoke.shell.history import History
from invoke.shell.interrupts import at_sigint
from invoke.shell.progress import Progress
from invoke.shell.repl import Repl
from invoke.shell.terminal import Terminal
from invoke.shell.watch import Watcher
from tests import tiny_clipseg
from tests.line_contexts import PICTURES
from tests.program import ROOT, Outcome, forked, invoke
from tests.shell.talk import Talk
from tests.studio import Studio, read_pixels

FIRE = PICTURES / "fire-drawing.png"
HOLED = PICTURES / "photo-with-hole.png"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of models in which `clipseg` is a tiny one on this disk."""
    folder = tmp_path_factory.mktemp("models")
    weights = tiny_clipseg.save_folder(folder / "clipseg")
    (folder / "models.yaml").write_text(f"clipseg:\n  weights: {weights}\n  kind: text-mask\n", encoding="utf-8")
    return folder / "models.yaml"


@pytest.fixture
def studio(tiny_model: Path, models: Path, tmp_path: Path) -> Iterator[Studio]:
    studio = Studio(tiny_model, tmp_path / "out")
    registry = read_registry(models)
    studio.session.models = registry
    studio.session.engine.set_models(registry)
    with closing(studio.session.engine):
        yield studio


# -tm


def test_a_saved_line_with_text_mask_makes_the_same_picture(studio: Studio) -> None:
    made = studio.make(f'a cat -I {FIRE} -W 64 -H 64 -tm "the flame" -f 0.8 --invert_mask')
    assert '-tm "the flame" 0.5 --invert_mask' in made.line
    assert np.array_equal(studio.make(made.line).pixels, made.pixels)
    recipe = metadata.read(made.path)
    assert recipe is not None
    assert recipe.request == made.images[0].request
    assert recipe.request is not None
    assert recipe.request.text_mask == ("the flame", 0.5)


def test_a_text_that_selects_nothing_writes_no_file(studio: Studio, tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="selects nothing in"):
        studio.make(f"a cat -I {FIRE} -W 64 -H 64 -tm flame 1")
    assert not list((tmp_path / "out").glob("*.png"))


def test_a_variation_of_a_masked_picture_has_no_text_mask(studio: Studio) -> None:
    made = studio.make(f"a cat -I {FIRE} -W 64 -H 64 -tm flame -v 0.4 -n 1 -S 3")
    assert [image.request and image.request.text_mask for image in made.images] == [("flame", 0.5), None]


# !mask


@pytest.fixture
def run(models: Path, tmp_path: Path) -> Callable[..., Outcome]:
    """The real program with the tiny CLIPSeg, in an empty folder's `out`."""
    return lambda *words, **more: invoke("--config", models, "--offline", "-o", tmp_path / "out", *words, **more)


def test_mask_command_writes_selected_deselected_and_masked(
    run: Callable[..., Outcome], studio: Studio, tmp_path: Path
) -> None:
    done = run("-q", stdin=f'!mask {FIRE} -tm "the flame: hot?" 0.4\n')
    start = f"{tmp_path}/out/000001.fire-drawing.the flame_ hot_"
    assert (done.status, done.stderr) == (0, "")
    assert done.paths == [f"{start}.{kind}.png" for kind in ("deselected", "selected", "masked")]
    deselected, selected, masked = (Image.open(path) for path in done.paths)
    assert (deselected.mode, selected.mode, masked.mode) == ("RGBA", "RGBA", "L")
    assert deselected.size == selected.size == masked.size == (384, 384)
    assert np.array_equal(read_pixels(done.paths[0]), read_pixels(FIRE))
    sure, rest = (np.asarray(image.getchannel("A")).astype(int) for image in (selected, deselected))
    assert (sure + rest == 255).all()
    black = np.asarray(masked) == 0
    assert 0.2 < black.mean() < 0.8
    assert sure[black].min() >= 0.4 * 255 - 1
    assert sure[~black].max() <= 0.4 * 255 + 1

    line = f'!mask {FIRE} -tm "the flame: hot?" 0.4'
    assert (tmp_path / "out" / "invoke_log.txt").read_text() == "".join(f"{path}: {line}\n" for path in done.paths)
    talk = Talk(tmp_path)
    for path in done.paths:
        talk.type(f"!fetch {path}")
        assert talk.entry.text == line


def test_mask_command_selects_the_same_as_tm(run: Callable[..., Outcome], studio: Studio) -> None:
    mask = run("-q", stdin=f"!mask {FIRE} -tm flame\n").paths[2]
    line = f"a cat -I {FIRE} -W 80 -H 64 -S 5 -f 0.9"
    assert np.array_equal(studio.make(f"{line} -M {mask}").pixels, studio.make(f"{line} -tm flame").pixels)


def test_mask_command_overwrites_nothing_and_keeps_transparency(run: Callable[..., Outcome]) -> None:
    done = run("-q", stdin=f"!mask {HOLED} -tm house\n!mask {HOLED} -tm house\n")
    assert [Path(path).name[:6] for path in done.paths] == ["000001"] * 3 + ["000002"] * 3
    alpha, shown = (np.asarray(Image.open(path).getchannel("A")) for path in (HOLED, done.paths[1]))
    assert (shown <= alpha).all()
    assert shown.any()


def test_mask_command_prints_the_files_in_a_script(run: Callable[..., Outcome]) -> None:
    done = run("--json", stdin=f"!mask {FIRE} -tm flame 0.4\n")
    assert done.of_type("plan")[0]["switches"] == {"text_mask": ["flame", 0.4]}
    assert [event["kind"] for event in done.of_type("file")] == ["deselected", "selected", "masked"]


def test_mask_command_in_a_dry_run_writes_nothing(run: Callable[..., Outcome], tmp_path: Path) -> None:
    assert run("--dry-run", stdin=f"!mask {FIRE} -tm flame\n").status == 0
    assert not (tmp_path / "out").exists()


@pytest.fixture
def talk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Talk:
    monkeypatch.chdir(tmp_path)
    return Talk(tmp_path)


@pytest.mark.parametrize(
    ("line", "sentence", "column"),
    [
        ("!mask", "!mask needs a picture", 5),
        ("!mask -tm hair", "!mask needs a picture", 6),
        (f"!mask {FIRE}", "!mask needs -tm and what to select", 0),
        ("!mask nowhere.png -tm hair", "nowhere.png: there is no such picture", 6),
        ("!mask a.png -tm hair 2", "-tm/--text_mask must be between 0 and 1, not 2", 21),
        ("!mask a.png -tm hair -f 0.5", "-f/--strength cannot be used with !mask", 21),
    ],
)
def test_mask_command_refuses_invalid_arguments(talk: Talk, line: str, sentence: str, column: int) -> None:
    with pytest.raises(InvokeError) as caught:
        talk.repl.run(line)
    assert caught.value.message.startswith(sentence)
    assert caught.value.column == column
    done = forked("--dry-run", "--json", stdin=f"{line}\n")
    assert done.of_type("error")[0]["message"].startswith(sentence)


def test_mask_command_at_the_prompt_shows_the_paths(
    studio: Studio, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    terminal = Terminal(sys.stdout, sys.stderr)
    watcher = Watcher(studio.session, terminal, partial(Progress, terminal), partial(at_sigint, studio.session.engine))
    repl = Repl(studio.session, terminal, History(None), watcher=watcher)
    repl.run(f"!mask {FIRE} -tm flame")
    output = capsys.readouterr().err
    for kind in ("deselected", "selected", "masked"):
        assert f"    {kind}  {tmp_path}/out/000001.fire-drawing.flame.{kind}.png\n" in output


def test_mask_command_finds_a_file_in_the_output_folder(run: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    Image.open(FIRE).save(tmp_path / "out" / "mine.png")
    assert len(run("-q", stdin="!mask mine.png -tm flame\n", cwd=ROOT).paths) == 3
