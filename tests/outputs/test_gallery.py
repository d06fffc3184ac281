"""`!gallery`: one page of a folder's pictures, which needs nothing but itself."""

import os
import re
import shutil
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke import images
from invoke.errors import OutputError, PictureError
from invoke.events import Note, Pixels, Saved
from invoke.outputs import gallery, gallery_page, metadata, png
from invoke.outputs.gallery import write_gallery
from tests.outputs.makings import finished
from tests.program import forked
from tests.studio import Studio

nasty = st.lists(
    st.one_of(
        st.sampled_from(
            ["<script>alert(1)</script>", "</code>", "<!--", "-->", '"', "'", "&lt;", "&", "${x}", "]]>", "\\", "`"]
        ),
        st.text(st.characters(exclude_categories=("Cs",)), max_size=8),
    ),
    max_size=6,
).map("".join)


class Page(HTMLParser):
    """A page as a browser reads it."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.codes: list[str] = []
        self.names: list[str] = []
        self._open: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        self._open.append(tag)
        if self._open[-2:] == ["figcaption", "code"]:
            self.codes.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open[-2:] == ["figcaption", "code"]:
            self.codes[-1] += data
        if self._open[-2:] == ["figcaption", "a"]:
            self.names.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def a_picture(path: Path, line: str = "", age: int = 0, side: int = 16) -> Path:
    """A file that `line` has made, `age` seconds old."""
    texts = [("Dream", line)] if line else []
    path.write_bytes(png.encode(Pixels(side, side, bytes(3 * side * side)), 6, texts))
    os.utime(path, (1_000_000 - age, 1_000_000 - age))
    return path


def written(folder: Path) -> Page:
    *_, saved = write_gallery(folder)
    assert saved == Saved(str(folder / "gallery.html"), "gallery")
    return Page(folder / "gallery.html")


def test_pictures_are_listed_newest_first_with_line_and_link(tmp_path: Path) -> None:
    a_picture(tmp_path / "000001.5.png", "a cat -s 5", age=50)
    a_picture(tmp_path / "000002.6.png", "a dog & a <fox> -s 5", age=10)
    a_picture(tmp_path / "000002.grid.png", age=9)
    (tmp_path / "notes.txt").write_text("no picture")
    page = written(tmp_path)
    assert page.names == ["000002.grid.png", "000002.6.png", "000001.5.png"]
    assert page.codes == ["a dog & a <fox> -s 5", "a dog & a <fox> -s 5", "a cat -s 5"], (
        "a sheet has its pictures' line"
    )
    assert "a sheet; the line of 000002.6.png" in page.source
    assert {link["href"] for link in page.all("a") if "href" in link} == {f"./{name}" for name in page.names}


def test_a_figure_says_by_what_it_is_sorted_and_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file's time in milliseconds, its day here, and what the recipe says."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    made = finished(seed=7, model="mine", scheduler="ddim", width=64, height=128)
    path = tmp_path / "000001.7.png"
    path.write_bytes(png.encode(made.image, 6, metadata.texts(made, "a cat")))
    os.utime(path, ns=(0, 1_700_000_000_123_456_789))
    (figure,) = written(tmp_path).all("figure")
    monkeypatch.undo()
    time.tzset()
    assert {name: value for name, value in figure.items() if name.startswith("data-")} == {
        "data-name": "000001.7.png",
        "data-time": "1700000000123",
        "data-date": "2023-11-15",
        "data-model": "mine",
        "data-size": "64×128",
        "data-sampler": "ddim",
        "data-seed": "7",
    }


@pytest.mark.parametrize("changed", ["time", "size", "name"])
def test_a_file_that_is_another_one_gets_another_thumbnail(tmp_path: Path, changed: str) -> None:
    """Of another time, of another size in bytes, or of the same under another name."""

    def save(name: str, level: int, time: int, compression: int = 0) -> None:
        data = png.encode(Pixels(16, 16, bytes([level]) * (3 * 16 * 16)), compression)
        (tmp_path / name).write_bytes(data)
        os.utime(tmp_path / name, ns=(0, time))

    save("1.png", 0, 5)
    before = written(tmp_path).all("img")[0]
    match changed:
        case "time":
            save("1.png", 255, 6)
        case "size":
            save("1.png", 255, 5, compression=6)
        case _:
            (tmp_path / "1.png").unlink()
            save("2.png", 255, 5)
    after = written(tmp_path).all("img")[0]
    assert before["src"] != after["src"]


def test_equal_times_are_ordered_by_name(tmp_path: Path) -> None:
    for number in (2, 1, 3):
        a_picture(tmp_path / f"{number}.png")
    assert written(tmp_path).names == ["3.png", "2.png", "1.png"]


@pytest.mark.parametrize("place", [".", "other", "gone"])
def test_the_init_picture_is_named_and_linked_where_it_is(tmp_path: Path, place: str) -> None:
    """One of the same page is found there as well; one that is gone is only named."""
    folder = tmp_path / "out"
    (tmp_path / "other").mkdir()
    folder.mkdir()
    start = a_picture((folder if place == "." else tmp_path / "other") / "start & 1.png", age=50)
    made = finished(init_image=str(start), strength=0.5)
    (folder / "000001.7.png").write_bytes(png.encode(made.image, 6, metadata.texts(made, "a cat")))
    if place == "gone":
        start.unlink()
    page = written(folder)
    assert "<small>made from " in page.source
    links = [link for link in page.all("a") if link.get("class") == "from"]
    anchors = {figure["id"] for figure in page.all("figure")}
    assert [link["href"] for link in links] == {
        ".": ["./start%20%26%201.png"],
        "other": ["./../other/start%20%26%201.png"],
        "gone": [],
    }[place]
    assert [link["data-figure"] in anchors for link in links if "data-figure" in link] == [True] * (place == ".")
    assert "start &amp; 1.png" in page.source


def test_steps_are_listed_with_their_picture(tmp_path: Path) -> None:
    a_picture(tmp_path / "000001.5.png", "a cat")
    a_picture(tmp_path / "000001.5.steps.png")
    a_picture(tmp_path / "000007.9.steps.png")
    (tmp_path / "000001.5.steps.gif").write_bytes(b"")
    page = written(tmp_path)
    assert len(page.all("figure")) == 2, "steps without their picture stand alone"
    assert len([link for link in page.all("a") if link.get("class") == "steps"]) == 1
    assert "./000001.5.steps.gif" in {link.get("href") for link in page.all("a")}


@given(nasty, st.lists(nasty, min_size=1, max_size=3))
def test_metadata_is_escaped_in_the_page(tmp_path: Path, name: str, lines: list[str]) -> None:
    folder = Path(os.path.join(tmp_path, f"{abs(hash((name, *lines)))}"))  # noqa: PTH118
    folder.mkdir()
    usable = "".join(letter for letter in name if letter not in "/\0")[:40] + ".png"
    for number, line in enumerate(lines):
        a_picture(folder / f"{number}.png", line, age=number)
    a_picture(folder / f"javascript:{usable}", age=-1)
    page = written(folder)
    recipes = [metadata.read(folder / f"{number}.png") for number in range(len(lines))]
    assert page.codes == [recipe.line for recipe in recipes if recipe is not None and recipe.line]
    assert {tag for tag, _ in page.tags} <= OWN_TAGS
    assert len(page.all("script")) == 1
    assert page.source.count("<script") == 1
    for tag, attributes in page.tags:
        assert not [key for key in attributes if key.startswith("on") or key in {"style", "srcset", "action"}], tag
    links = [str(link["href"]) for link in page.all("a") if "href" in link]
    assert all(link.startswith("./") for link in links)
    assert (folder / unquote(links[0])).exists()
    shutil.rmtree(folder)


OWN_TAGS = {
    *("html", "head", "meta", "title", "style", "script", "body", "header", "h1", "h2", "input", "output"),
    *("main", "figure", "a", "img", "figcaption", "small", "code", "button", "div", "p", "dialog", "label"),
}


def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    a_picture(tmp_path / "1.png", "a cat -I http://example.org/x.png")
    page = written(tmp_path)
    shown = [image["src"] for image in page.all("img") if "src" in image]
    assert shown
    assert all(str(source).startswith("data:image/webp;base64,") for source in shown)
    assert not page.all("link")
    assert not re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", page.source)
    policy = next(str(meta["content"]) for meta in page.all("meta") if meta.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data: file: 'self'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_an_unreadable_picture_is_reported_on_the_page(tmp_path: Path) -> None:
    a_picture(tmp_path / "1.png", "a cat")
    (tmp_path / "2.png").write_bytes(b"\x89PNG nothing")
    (tmp_path / "3.png").mkdir()
    page = written(tmp_path)
    assert len(page.all("figure")) == 2
    assert "2.png: this file is not a readable picture" in page.source


def test_names_that_are_not_utf8_are_linked(tmp_path: Path) -> None:
    a_picture(tmp_path / os.fsdecode(b"\xff\x1b[31m.png"))
    page = written(tmp_path)
    assert page.all("a")[0]["href"] == "./%FF%1B%5B31m.png"
    assert "\x1b" not in page.source


def test_thumbnails_are_small(tmp_path: Path) -> None:
    import numpy as np

    noise = np.random.default_rng(1).integers(0, 256, 3 * 512 * 512, np.uint8).tobytes()
    (tmp_path / "1.png").write_bytes(png.encode(Pixels(512, 512, noise), 0))
    image = written(tmp_path).all("img")[0]
    assert (image["width"], image["height"]) == ("192", "192")
    assert len(str(image["src"])) < 20_000, "noise is the worst there is"


def test_thumbnails_of_the_old_page_are_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        a_picture(tmp_path / f"{number}.png", f"picture {number}", age=number)
    first = written(tmp_path)
    opened: list[str] = []
    real = images.open_picture
    monkeypatch.setattr(gallery_page, "open_picture", lambda path: opened.append(Path(path).name) or real(path))
    assert written(tmp_path).source == first.source
    assert opened == []
    a_picture(tmp_path / "1.png", "another one", age=-5)
    (tmp_path / "2.png").unlink()
    page = written(tmp_path)
    assert opened == ["1.png"]
    assert page.codes == ["another one", "picture 0"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.png", "1.png", "gallery.html"]


def test_nothing_but_thumbnails_is_taken_from_the_old_page(tmp_path: Path) -> None:
    a_picture(tmp_path / "1.png", "a cat")
    planted = written(tmp_path).source.replace('" alt="', '" onload="alert(1)" alt="')
    assert "alert" in planted, "it is there to be taken"
    (tmp_path / "gallery.html").write_text(planted, encoding="utf-8")
    assert "alert" not in written(tmp_path).source


def test_a_page_of_another_program_is_kept(tmp_path: Path) -> None:
    a_picture(tmp_path / "1.png")
    (tmp_path / "gallery.html").write_text("<p>mine</p>")
    with pytest.raises(OutputError, match="this page was not made by !gallery and is kept"):
        list(write_gallery(tmp_path))
    assert (tmp_path / "gallery.html").read_text() == "<p>mine</p>"


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="there is no picture in this folder"):
        list(write_gallery(tmp_path))
    with pytest.raises(PictureError, match="nowhere: there is no such folder"):
        list(write_gallery(tmp_path / "nowhere"))


def test_many_new_pictures_are_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "MANY", 2)
    for number in range(2):
        a_picture(tmp_path / f"old {number}.png")
    assert len(list(write_gallery(tmp_path))) == 1
    for number in range(3):
        a_picture(tmp_path / f"{number}.png")
    note, _ = write_gallery(tmp_path)
    assert note == Note("reading 3 new pictures, about a hundred per second")
    assert len(list(write_gallery(tmp_path))) == 1


def test_an_aborted_gallery_keeps_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_picture(tmp_path / "1.png", "a cat")
    before = written(tmp_path).source
    a_picture(tmp_path / "2.png", "a dog")
    monkeypatch.setattr(gallery_page, "open_picture", _interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(write_gallery(tmp_path))
    assert (tmp_path / "gallery.html").read_text(encoding="utf-8") == before
    assert len(list(tmp_path.iterdir())) == 3


def _interrupted(path: object) -> None:
    raise KeyboardInterrupt


def test_a_gallery_shows_strips_and_wildcard_templates(studio: Studio) -> None:
    studio.make("a {red|red} <fox> -S 1 --strip --wild -W64 -H64")
    page = written(studio.outdir)
    assert page.codes[0].startswith("a red <fox> -s 4 -S 1 ")
    assert "drawn from a {red|red} &lt;fox&gt;" in page.source
    assert len(page.all("figure")) == 1
    assert len([image for image in page.all("img") if "src" in image]) == 2


def test_gallery_prints_the_path_of_the_page_in_a_script(tmp_path: Path) -> None:
    a_picture(tmp_path / "1.png")
    named = forked(f'!gallery "{tmp_path}"')
    in_force = forked("-q", "-o", tmp_path, "!gallery")
    assert named.stdout == in_force.stdout == f"{tmp_path}/gallery.html\n"
    assert (named.status, in_force.status) == (0, 0)
    missing = forked("!gallery", tmp_path / "nowhere")
    assert (missing.status, missing.stdout) == (1, "")
    assert "there is no such folder" in missing.stderr
    wrong = forked("!gallery -s 5")
    assert "-s/--steps cannot be used here" in wrong.stderr
