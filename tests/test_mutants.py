"""The faults that are made on purpose (`make mutants`) still have a place in the code."""

from pathlib import Path

from tests.mutants.by_hand import BY_HAND
from tests.mutants.table import TARGETS

ROOT = Path(__file__).parents[1]


def test_each_fault_stands_in_the_code() -> None:
    assert [(file, text) for file, text, _ in BY_HAND if text not in (ROOT / file).read_text(encoding="utf-8")] == []


def test_each_module_and_its_tests_are_there() -> None:
    names = {*TARGETS, *(name for tests in TARGETS.values() for name in tests)}
    assert [name for name in sorted(names) if not (ROOT / name).exists()] == []
