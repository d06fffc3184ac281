"""Untrusted YAML: read within limits or refused; only strings, numbers, booleans and lists."""

import resource
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from invoke import yaml_text
from invoke.yaml_text import YamlError, load

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False) | WORDS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3))


@given(st.dictionaries(WORDS, VALUES, max_size=4))
def test_text_written_by_pyyaml_is_read_back(value: dict[str, Any]) -> None:
    text = yaml.safe_dump(value, allow_unicode=True)
    try:
        assert load(text) == value
    except YamlError as error:
        assert "deep" in str(error)


@given(st.text(alphabet="ab:-&*!<>[]{},'\"\n #|?%@01x._~", max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        load(text)
    except YamlError as error:
        assert "\n" not in str(error)


def _bombs() -> dict[str, tuple[str, str]]:
    """Name → a text and its error."""
    levels = "\n".join(f"{b}: &{b} [{', '.join(['*' + a] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    return {
        "brackets": ("[" * 100_000, "line 1: nested more than 8 deep"),
        "braces": ("{a: " * 100_000, "line 1: nested more than 8 deep"),
        "dashes": ("- " * 100_000, "line 1: nested more than 8 deep"),
        "aliases": (f"a: &a [x, x, x, x, x, x, x, x, x]\n{levels}", "aliases expand to more than 100,000 words"),
        "itself": ("a: &a [*a]", "an alias that refers to itself"),
        "words": ("[" + "a," * 250_000 + "]", "more than 100,000 words"),
        "megabyte": ("a: " + "b" * 1_000_000, "larger than 1 MB"),
        "bool": ("a: !!bool foo", "line 1: must be true or false, not 'foo'"),
        "int": ('a: !!int ""', "line 1: must be a whole number, not ''"),
        "hex": ("a: 0x" + "f" * 5000, "line 1: must be a whole number, not '0xfff"),
        "digits": ("a: " + "9" * 5000, "line 1: must be a whole number, not '999"),
        "timestamp": ("a: !!timestamp foo", "line 1: the tag !!timestamp is not supported"),
        "python": (
            "a: !!python/object/apply:os.system [ls]",
            "the tag !!python/object/apply:os.system is not supported",
        ),
        "key": ("? [a]\n: b", "line 1: a name must be a word"),
        "two": ("---\na: 1\n---\nb: 2", "line 3: but found another document"),
    }


@pytest.mark.parametrize("name", _bombs())
def test_a_yaml_bomb_is_refused_without_using_memory(name: str) -> None:
    text, sentence = _bombs()[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(YamlError) as caught:
        load(text)
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 200
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "kilobytes"


def test_handwritten_values_get_their_types() -> None:
    text = "a: 2024-01-01\nb: 0x10\nc: 1_000\nd: off\ne:\nf: 1.5\nbase: &base {w: 1, x: 2}\nmine: {<<: *base, x: 3}\n"
    assert load(text) == {
        "a": "2024-01-01",
        "b": 16,
        "c": 1000,
        "d": False,
        "e": None,
        "f": 1.5,
        "base": {"w": 1, "x": 2},
        "mine": {"w": 1, "x": 3},
    }
    assert load("") is None
    assert yaml_text.compose("a: 1").value[0][0].start_mark.line == 0
