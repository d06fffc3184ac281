"""Files that travel along with a request."""

from dataclasses import replace
from pathlib import Path

from invoke.language.switches import by_field
from invoke.language.types import Path as PathType
from invoke.request import PATHS
from invoke.workers.sent_files import PREFIX, FileFolder, paths_of, read_files, with_paths
from tests.making import a_request


def test_every_switch_with_a_picture_is_sent_to_workers() -> None:
    named = {name for name, row in by_field().items() if isinstance(row.type, PathType)}
    parts = {
        name for name, row in by_field().items() if any(isinstance(p, PathType) for p in getattr(row.type, "parts", ()))
    }
    assert named == {*PATHS, "more_images"}
    assert parts == {"controls", "ip_adapters"}


def test_paths_are_translated_to_the_worker_and_back() -> None:
    root = a_request(init_image="a.png", mask_image="m.png")
    request = a_request(
        init_image=root, init_color="c.png", controls=(("canny", "k.png", 1.0), ("x", "auto:canny", 1.0))
    )
    request = replace(request, ip_adapters=(("plus", "s.png", 1.0),), more_images=("n.png",))
    assert [*paths_of(request)] == ["c.png", "k.png", "s.png", "n.png", "a.png", "m.png"]
    there = {path: f"/tmp/{path}" for path in paths_of(request)}
    moved = with_paths(request, there)
    assert [*paths_of(moved)] == [there[path] for path in paths_of(request)]
    assert with_paths(moved, {copy: path for path, copy in there.items()}) == request


def test_a_chain_is_followed_to_its_beginning() -> None:
    request = a_request(init_image="a.png")
    for mask in ("b.png", "c.png", "d.png"):
        request = a_request(init_image=request, mask_image=mask)
    assert [*paths_of(request)] == ["d.png", "c.png", "b.png", "a.png"]
    assert [*paths_of(with_paths(request, {"a.png": "x.png", "c.png": "y.png"}))] == [
        *("d.png", "y.png", "b.png", "x.png")
    ]
    assert with_paths(request, {}) is request


def test_equal_contents_are_stored_once_and_dead_folders_are_removed(tmp_path: Path) -> None:
    dead = tmp_path / f"{PREFIX}999999999-x"
    dead.mkdir()
    folder = FileFolder(str(tmp_path))
    assert not dead.exists()
    one, same, other = (folder.put(name, data) for name, data in (("a.png", b"1"), ("b.png", b"1"), ("c.png", b"2")))
    assert one == same != other
    assert Path(one).read_bytes() == b"1"
    assert Path(one).suffix == ".png", "as what it is opened by its name"


def test_a_missing_file_is_reported_by_the_engine(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"1")
    request = a_request(init_image=str(tmp_path / "a.png"), mask_image=str(tmp_path / "none.png"))
    assert read_files(request) == {str(tmp_path / "a.png"): b"1"}
