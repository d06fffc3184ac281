"""A batch on stdout: the paths of all saved files except steps; or JSON."""

import pytest

from tests.batches import Batches


@pytest.mark.parametrize("line", ["a cat -n 2 -g --strip --gif", "a cat --sweep steps=1,2 -g", "a cat -i"])
def test_paths_of_pictures_and_sheets_are_printed_but_not_of_steps(batches: Batches, line: str) -> None:
    result = batches.run([f"{line} -S 3 --save_intermediates 1"])
    assert (batches.folder / "intermediates").is_dir()
    there = {str(path) for path in batches.folder.iterdir() if path.suffix in {".png", ".gif"}}
    assert sorted(result.stdout.splitlines()) == sorted(there)


@pytest.mark.parametrize("size", [1, 4])
def test_step_events_count_the_pictures_of_their_own_line(batches: Batches, size: int) -> None:
    result = batches.run(["a fire", "a cat -n 2", "a dog"], as_json=True, batch_size=size)
    assert {(step["line"], step["image"]) for step in result.of_type("step")} == {(1, 1), (2, 1), (2, 2), (3, 1)}
