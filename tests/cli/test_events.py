"""`--json`: events match the shipped schema, every line has an end, every error code is documented."""

import ast
import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, ValidationError

from invoke.errors import CommandError, EngineError, InvokeError, ModelError, OutputError, PictureError, RequestError
from invoke.language.error_codes import CODES
from tests.batches import Batches
from tests.program import ROOT, SCHEMA, event_of, forked


def test_print_schema_prints_a_valid_schema() -> None:
    printed = json.loads(forked("--print-schema").stdout)
    assert printed == json.loads(SCHEMA.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(printed)
    kinds = [printed["$defs"][row["$ref"].rpartition("/")[2]] for row in printed["oneOf"]]
    types = {kind["properties"]["type"]["const"] for kind in kinds}
    assert len(types) == len(printed["oneOf"])


@pytest.mark.parametrize(
    "event",
    [
        {"type": "line", "line": 1, "made": 1, "failed": 0, "seconds": 1.0},
        {"type": "step", "line": 0, "image": 1, "step": 1, "of": 2},
        {"type": "error", "line": 1, "code": "Not A Code", "message": "x"},
        {"type": "sitting"},
        {"line": 1},
    ],
)
def test_the_schema_rejects_invalid_events(event: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        event_of(json.dumps(event))


@pytest.mark.parametrize("size", [1, 4])
def test_each_line_ends_with_one_event_after_all_its_others(batches: Batches, size: int) -> None:
    lines = ["a fire -n 2", "# nothing", "a cat -s x", "!models pocket", "a dog -I -1 -f 0.5", "a boat |> a house", ""]
    done = batches.run(lines, as_json=True, batch_size=size)
    ends = done.of_type("line")
    assert [(end["line"], end["made"], end["failed"]) for end in sorted(ends, key=lambda end: int(end["line"]))] == [
        (1, 2, False),
        (2, 0, False),
        (3, 0, True),
        (4, 0, False),
        (5, 1, False),
        (6, 2, False),
        (7, 0, False),
    ]
    for number in range(1, 8):
        kinds = [event["type"] for event in done.events if event.get("line") == number]
        assert kinds.index("line") == len(kinds) - 1
    assert done.events[-1]["type"] == "done"


def test_a_dry_run_reports_the_end_of_each_line(batches: Batches) -> None:
    done = batches.run(["a fire -n 2"], as_json=True, dry_run=True)
    assert [(end["made"], end["failed"]) for end in done.of_type("line")] == [(0, False)]


SOURCES = sorted((ROOT / "invoke").rglob("*.py"))
CONSTANTS = {
    target.id: str(node.value.value)
    for file in SOURCES
    for node in ast.parse(file.read_text(encoding="utf-8")).body
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    for target in node.targets
    if isinstance(target, ast.Name)
}
"""Name → text, of the constants of all modules: a code may be one of them."""


def _codes(file: Path) -> set[str]:
    """The codes that a module gives in calls and classes, as `code="…"`; of f-strings those of the table that fit."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and [target for target in node.targets if ast.unparse(target) == "code"]:
            found |= _values(node.value)
        for keyword in node.keywords if isinstance(node, ast.Call) else ():
            if keyword.arg == "code":
                found |= _values(keyword.value)
    return found


def _values(node: ast.expr) -> set[str]:
    match node:
        case ast.Constant(value=str() as code):
            return {code} - {""}
        case ast.Name(id=name):
            return {CONSTANTS[name]} if name in CONSTANTS else set()
        case ast.IfExp(body=body, orelse=other):
            return _values(body) | _values(other)
        case ast.JoinedStr(values=[ast.Constant(value=str() as start), *_]):
            fitting = {code for code in CODES if code.startswith(start)}
            assert fitting, f"no code begins with {start}"
            return fitting
    return set()


def test_documented_error_codes_are_those_of_the_source() -> None:
    classes = (InvokeError, CommandError, RequestError, PictureError, ModelError, EngineError, OutputError)
    used = {kind.code for kind in classes}.union(*map(_codes, SOURCES))
    assert used - CODES.keys() == set(), "add a row to invoke/language/error_codes.py, and run docs/generate.py"
    assert CODES.keys() - used == set(), "no error has these codes any more"
