"""Saving: names, logs, errors."""

import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from invoke.errors import OutputError
from invoke.events import Finished, Pixels, Step
from invoke.files import temporary_name
from invoke.language.render import render
from invoke.outputs import metadata, png
from invoke.outputs.encoded import encode_image
from invoke.outputs.writer import Writer
from tests.outputs.makings import FACTS, OUTPUT, PIXELS, REQUEST, PictureFiles, finished


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def begin(outdir: str = "outputs") -> PictureFiles:
    writer = Writer(outdir)
    writer.check()
    return PictureFiles(writer.begin())


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("here")
def test_a_picture_is_saved_with_its_steps() -> None:
    line = begin()
    steps = [line.save_step(REQUEST, Step(index, 50, 981.0, PIXELS)) for index in (0, 10)]
    image = line.save_image(finished(), "a cat -S 42", OUTPUT)
    strip = line.save_strip(REQUEST, [(PIXELS, "0/50"), (PIXELS, "10/50")])
    gif = line.save_gif(REQUEST, [PIXELS, PIXELS])
    grid = line.files.save_grid([(PIXELS, "seed 42")], "a cat -g")
    remove_stale = line.files.save_sweep(
        [(PIXELS, "-f 0.1"), (PIXELS, "-f 0.2")], columns=2, line="a cat --sweep f=0.1,0.2"
    )
    assert [(saved.path, saved.kind) for saved in (*steps, image, strip, gif, grid, remove_stale)] == [
        ("outputs/intermediates/000001.42/step-0000.png", "step"),
        ("outputs/intermediates/000001.42/step-0010.png", "step"),
        ("outputs/000001.42.png", "image"),
        ("outputs/000001.42.steps.png", "steps"),
        ("outputs/000001.42.steps.gif", "gif"),
        ("outputs/000001.grid.png", "grid"),
        ("outputs/000001.sweep.png", "sweep"),
    ]
    assert (image.line, image.request, image.facts) == ("a cat -S 42", REQUEST, FACTS)
    for saved in (*steps, image, strip, gif, grid, remove_stale):
        with Image.open(saved.path) as opened:
            opened.load()
    with Image.open(image.path) as opened:
        assert opened.tobytes() == PIXELS.data
    recipe = metadata.read(image.path)
    assert recipe is not None
    assert (recipe.request, recipe.line) == (REQUEST, render(REQUEST))


def test_each_picture_is_logged_in_both_logs(here: Path) -> None:
    line = begin()
    line.save_image(finished(), "a cat -S 42", OUTPUT)
    line.save_image(finished(seed=43), "two\nlines \x1b[2J", replace(OUTPUT, fnformat="a *cat* {seed}.png"))
    assert (here / "outputs/invoke_log.txt").read_text(encoding="utf-8") == (
        "outputs/000001.42.png: a cat -S 42\noutputs/a _cat_ 43.png: two\\nlines \\x1b[2J\n"
    )
    assert (here / "outputs/invoke_log.md").read_text(encoding="utf-8") == (
        "## 000001.42.png\n\n![](000001.42.png)\n\n    a cat -S 42\n\n"
        "## a _cat_ 43.png\n\n![](a%20_cat_%2043.png)\n\n    two\\nlines \\x1b[2J\n\n"
    )


@pytest.mark.usefixtures("here")
def test_pictures_of_a_line_share_its_number() -> None:
    writer = Writer("outputs")
    jobs = [PictureFiles(begun.begin()) for begun in (writer, Writer("outputs"), writer)]
    paths = [line.save_image(finished(seed=seed), "x", OUTPUT).path for line in jobs for seed in (1, 2)]
    assert [Path(path).name for path in paths] == [f"{number:06}.{seed}.png" for number in (1, 2, 3) for seed in (1, 2)]


def test_pictures_with_the_same_seed_in_one_line_get_different_names(here: Path) -> None:
    line = begin()
    for _ in range(3):
        line.save_step(REQUEST, Step(0, 50, 1.0, PIXELS))
        line.save_image(finished(), "x", OUTPUT)
        line.save_strip(REQUEST, [(PIXELS, "0")])
    stems = ["000001.42", "000001.42-01", "000001.42-02"]
    expected = {f"{stem}{ending}" for stem in stems for ending in (".png", ".steps.png")}
    expected |= {f"intermediates/{stem}/step-0000.png" for stem in stems}
    assert {name for name in files(here / "outputs") if name.endswith(".png")} == expected


def test_pictures_with_the_same_seed_made_at_once_get_different_names(here: Path) -> None:
    """Both are in work before either is saved; so are their steps."""
    files_of_line = Writer("outputs").begin()
    names = [files_of_line.claim(REQUEST, OUTPUT) for _ in range(2)]
    assert [(name.stem, name.name) for name in names] == [("000001.42",) * 2, ("000001.42-01",) * 2]
    own = [files_of_line.claim(REQUEST, replace(OUTPUT, fnformat="cat")) for _ in range(2)]
    assert [(name.stem, name.name) for name in own] == [("000001.42-02", "cat"), ("000001.42-03", "cat-01")]
    files_of_line.close()
    assert files_of_line.claim(REQUEST, OUTPUT) == names[0], "what was claimed for nothing is free again"


@pytest.mark.usefixtures("here")
def test_png_compression_is_applied() -> None:
    pixels = Pixels(64, 64, bytes(x * y // 8 % 256 for y in range(64) for x in range(64) for _ in range(3)))
    sizes = []
    for compression in (0, 6, 9):
        file = encode_image(
            "image", Finished(REQUEST, pixels, FACTS), "x", output=replace(OUTPUT, png_compression=compression)
        )
        texts = png.texts(file.data)
        assert file.data == png.encode(pixels, compression, texts.items())
        sizes.append(len(file.data))
    assert sizes[0] > sizes[1] >= sizes[2]


def test_pictures_of_a_line_can_be_saved_in_any_order(here: Path) -> None:
    line = begin()
    requests = [replace(REQUEST, seed=seed) for seed in (1, 2)]
    for index in (0, 1):
        for request in requests:
            line.save_step(request, Step(index, 1, 1.0, PIXELS))
    names = {name for name in files(here / "outputs") if "step-" in name}
    assert names == {f"intermediates/000001.{seed}/step-000{index}.png" for seed in (1, 2) for index in (0, 1)}


@pytest.mark.parametrize("fnformat", [OUTPUT.fnformat, "cat"])
def test_names_follow_the_order_of_the_line(here: Path, fnformat: str) -> None:
    output = replace(OUTPUT, fnformat=fnformat)
    line = PictureFiles(Writer("outputs").begin())
    names = [line.files.claim(REQUEST, output) for _ in range(3)]
    encoded = [encode_image("image", finished(), text, output=output) for text in ("first", "second", "third")]
    for index in (2, 0, 1):
        line.files.save(names[index], encoded[index])
    stem = "000001.42" if fnformat == OUTPUT.fnformat else "cat"
    made = [(here / f"outputs/{stem}{more}.png").read_bytes() for more in ("", "-01", "-02")]
    assert [png.texts(data)["Dream"] for data in made] == ["first", "second", "third"]


def test_a_constant_fnformat_gets_numbers(here: Path) -> None:
    line = begin()
    output = replace(OUTPUT, fnformat="cat")
    paths = [line.save_image(finished(seed=seed), "x", output).path for seed in range(3)]
    assert paths == ["outputs/cat.png", "outputs/cat-01.png", "outputs/cat-02.png"]


def test_links_and_existing_files_are_not_overwritten(here: Path) -> None:
    line = begin()
    (here / "outputs/000001.42.png").symlink_to(here / "precious")
    (here / "outputs/000001.42-01.png").write_bytes(b"mine")
    saved = line.save_image(finished(), "x", OUTPUT)
    assert saved.path == "outputs/000001.42-02.png"
    assert not (here / "precious").exists()
    assert (here / "outputs/000001.42-01.png").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("outdir", "path"),
    [
        ("outputs", "outputs/000001.42.png"),
        (".", "000001.42.png"),
        ("../pics/./x", "../pics/x/000001.42.png"),
        ("~/made here", "{home}/made here/000001.42.png"),
        ("caf\udce9", "caf\udce9/000001.42.png"),
    ],
)
def test_saved_paths_are_relative_to_the_typed_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outdir: str, path: str
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path))
    saved = begin(outdir).save_image(finished(), "x", OUTPUT)
    assert saved.path == path.format(home=tmp_path)
    assert Path(saved.path).is_file()


def test_no_ai_label_writes_no_label(here: Path) -> None:
    line = begin()
    line.save_image(finished(), "x", replace(OUTPUT, ai_label=False))
    line.save_step(REQUEST, Step(0, 1, 1.0, PIXELS), ai_label=False)
    line.files.save_grid([(PIXELS, "x")], "a cat -g", ai_label=False)
    line.save_strip(REQUEST, [(PIXELS, "x")], ai_label=False)
    assert all(b"digitalsourcetype" not in path.read_bytes() for path in here.rglob("*.png"))


# refusals


def refusal(outdir: str) -> OutputError:
    with pytest.raises(OutputError) as caught:
        Writer(outdir).check()
    assert outdir in caught.value.message or "folder name" in caught.value.message
    return caught.value


def test_an_unusable_output_folder_is_refused(here: Path) -> None:
    (here / "file").touch()
    (here / "loop").symlink_to("loop")
    (here / "dangling").symlink_to("nowhere/at/all")
    assert refusal("file").message == "file: this is not a folder"
    assert refusal("file/inside").code == "output_unwritable"
    assert refusal("/proc/nothing").code in {"output_unwritable", "output_failed"}
    assert refusal("x" * 300).message.endswith("File name too long")
    for outdir in ("loop", "dangling", "a\0b"):
        refusal(outdir)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(here: Path) -> None:
    (here / "locked").mkdir(mode=0o555)
    assert refusal("locked").hint == "choose another folder with -o"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_read_only_folder_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    (here / "outputs").mkdir()
    monkeypatch.setattr(os, "open", refuse)
    assert refusal("outputs").message == "outputs: no permission to write here"


def test_probing_a_folder_leaves_no_file(here: Path) -> None:
    Writer("outputs").check()
    assert files(here) == set()


def test_a_full_disk_is_an_error(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    line = begin()
    before = files(here)
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OutputError, match="the disk is full") as caught:
        line.save_image(finished(), "x", OUTPUT)
    assert caught.value.code == "disk_full"
    assert files(here) == before


LIMITED = """
import resource, sys
from tests.outputs.makings import OUTPUT, PictureFiles, finished
from invoke.errors import OutputError
from invoke.outputs.encoded import encode_image
from invoke.outputs.writer import Writer
line = PictureFiles(Writer("outputs").begin())
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
try:
    line.save_image(finished(prompt="x" * 5000), "x", OUTPUT)
except OutputError as error:
    print(error.code)
"""


def test_a_file_size_limit_is_an_error(here: Path) -> None:
    root = str(Path(__file__).parents[2])
    child = subprocess.run(
        [sys.executable, "-c", LIMITED],
        capture_output=True,
        check=True,
        text=True,
        env=os.environ | {"PYTHONPATH": root},
    )
    assert (child.stdout, child.stderr) == ("disk_full\n", "")
    assert not list(here.rglob("*.png")) + list(here.rglob("*.tmp"))


def test_a_folder_that_vanishes_is_made_again(here: Path) -> None:
    writer = Writer("outputs")
    line = PictureFiles(writer.begin())
    for path in (here / "outputs").iterdir():
        (path / "next-000002").unlink()
        path.rmdir()
    (here / "outputs").rmdir()
    assert Path(line.save_image(finished(), "x", OUTPUT).path).is_file()
    assert writer.begin().number == 2


def test_an_unwritable_log_does_not_fail_the_picture(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    line = begin()
    (here / "outputs/invoke_log.txt").mkdir()
    saved = line.save_image(finished(), "x", OUTPUT)
    assert Path(saved.path).is_file()
    assert "invoke_log.txt cannot be written" in caplog.text


def test_temporary_files_of_dead_processes_are_removed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = here / "outputs/intermediates/000004.7"
    steps.mkdir(parents=True)
    (here / "outputs/intermediates/9 notes").touch()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 2**22 + 1)
        (steps / temporary_name("step-0000.png")).touch()
        (here / "outputs" / temporary_name("a.png")).touch()
    begin()
    assert not list(here.rglob("*.tmp"))


LOGS = """
import sys
from pathlib import Path
from invoke.outputs import logs
for number in range(200):
    logs.append(Path("."), f"{sys.argv[1]}.{number}.png", "x" * 300)
"""


def test_rows_of_several_processes_stay_whole(here: Path) -> None:
    root = {"PYTHONPATH": str(Path(__file__).parents[2])}
    children = [subprocess.Popen([sys.executable, "-c", LOGS, str(child)], env=os.environ | root) for child in range(4)]
    assert [child.wait() for child in children] == [0] * 4
    rows = (here / "invoke_log.txt").read_text().splitlines()
    assert len(set(rows)) == 800
    assert {row.partition(": ")[2] for row in rows} == {"x" * 300}


def test_memory_stays_flat_over_a_long_line(here: Path) -> None:
    line, output = begin(), replace(OUTPUT, fnformat="x{seed}", png_compression=0)
    for seed in range(600):
        line.save_image(finished(seed=seed), "x", output)
    assert len(line.files._own_names) <= 258


def test_pixels_are_the_same_at_any_compression(here: Path) -> None:
    line = begin()
    for compression in (0, 6, 9):
        saved = line.save_image(finished(seed=compression), "x", replace(OUTPUT, png_compression=compression))
        with Image.open(saved.path) as opened:
            assert np.array_equal(np.asarray(opened).ravel(), np.arange(192))
