"""Colours of a line: what each stretch is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke.language.complete.highlight import highlight
from tests.strategies import prompts


def shown(line: str) -> list[tuple[str, str]]:
    return [(line[span.start : span.end], span.kind) for span in highlight(line, lambda path: "fire" in path)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a cat", []),
        ("a cat -s 20 -f.5", [("-s", "switch"), ("20", "value"), ("-f.5", "switch")]),
        ("a cat --steps=20 -g", [("--steps", "switch"), ("20", "value"), ("-g", "switch")]),
        ("a cat -I fire.png", [("-I", "switch"), ("fire.png", "path")]),
        ('a cat -I "no where.png" x', [("-I", "switch"), ('"no where.png"', "missing")]),
        ("a (red)1.2 cat++", [("(", "weight"), (")1.2", "weight"), ("++", "weight")]),
        ("a cat +oil |> at night", [("+oil", "preset"), ("|>", "chain")]),
        ("!show 12.3", [("!show", "command")]),
        ("!set -s 20", [("!set", "command"), ("-s", "switch"), ("20", "value")]),
        ("# a note", [("# a note", "comment")]),
        ("a cat -tm hair 0.5 x", [("-tm", "switch"), ("hair", "value"), ("0.5", "value")]),
        ('"a cat -s', []),
    ],
)
def test_parts_of_a_line_are_classified(line: str, expected: list[tuple[str, str]]) -> None:
    assert shown(line) == expected


@given(st.one_of(prompts, st.text(max_size=60)))
def test_spans_of_any_line_are_ordered_and_disjoint(line: str) -> None:
    position = 0
    for span in highlight(line):
        assert position <= span.start < span.end <= len(line)
        position = span.end
