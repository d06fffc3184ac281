"""What a batch says on stdout: the paths of all that it has saved, but for the steps on the way."""

from pathlib import Path

import pytest

from tests.batches import Batches


@pytest.mark.parametrize("line", ["a cat -n 2 -g --strip --gif", "a cat --sweep steps=1,2 -g", "a cat -i"])
def test_pictures_and_sheets_are_told_and_steps_are_not(tmp_path: Path, line: str) -> None:
    batches = Batches(tmp_path / "out")
    told = batches.run([f"{line} -S 3 --save_intermediates 1"])
    assert (batches.folder / "intermediates").is_dir()
    there = {str(path) for path in batches.folder.iterdir() if path.suffix in {".png", ".gif"}}
    assert sorted(told.stdout.splitlines()) == sorted(there)
