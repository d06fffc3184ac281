"""Untrusted text: harmless on a terminal, decoded from bytes."""

import os
import random
import re
import tracemalloc
import unicodedata
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event, Thread
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke.errors import CommandError
from invoke.text import cells, clean, count_lines, read_lines, wrapped
from tests.patience import PATIENCE


@given(st.text())
def test_clean_is_idempotent_and_removes_control_characters(text: str) -> None:
    shown = clean(text)
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert not {unicodedata.bidirectional(char) for char in shown} & {"RLE", "RLO", "LRE", "LRO", "RLI", "LRI", "FSI"}
    assert clean(shown) == shown
    shown.encode("utf-8")


@given(st.text(st.characters(categories=["L", "M", "N", "P", "S", "Zs"])))
def test_plain_text_is_unchanged_by_clean(text: str) -> None:
    assert clean(text) == text


@given(st.text("ab 日", max_size=200), st.integers(10, 60))
def test_wrapped_breaks_between_words_and_loses_none(text: str, width: int) -> None:
    rows = wrapped(text, width).split("\n")
    assert " ".join(rows).split() == text.split()
    assert all(cells(row) <= width or len(row.split()) == 1 for row in rows)


def test_wrapped_indents_continuation_lines() -> None:
    assert wrapped("  one two three\nfour", 10) == "  one two\n    three\nfour"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("two\nlines\r", r"two\nlines\r"),
        ("a\tb", "a b"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202eevil", r"\u202eevil"),
        ("\u2028", r"\u2028"),
        ("caf\udce9", r"caf\udce9"),
        ("火 é ñ 🔥", "火 é ñ 🔥"),
        ("a\u200eb\u061c", r"a\u200eb\u061c"),
        ("می‌خواهم", "می‌خواهم"),  # with U+200C
        ("👩‍🚀 soft\u00adhyphen \u2060", "👩‍🚀 soft\u00adhyphen \u2060"),  # with U+200D
        ("🏴\U000e0067\U000e0062\U000e007f \ue0b0 \U0001fae8", "🏴\U000e0067\U000e0062\U000e007f \ue0b0 \U0001fae8"),
    ],
)
def test_clean_escapes_control_characters(text: str, shown: str) -> None:
    assert clean(text) == shown


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n\ufeff"), max_size=20)


@given(st.lists(texts, min_size=1), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(), st.booleans())
def test_lines_are_read_back_as_written(lines: list[str], end: str, ended: bool, marked: bool) -> None:
    text = end.join([*lines, ""] if ended else lines)
    read = list(read_lines(BytesIO(text.encode("utf-8-sig" if marked and text else "utf-8"))))
    assert read == (lines if ended or lines[-1:] != [""] else lines[:-1])


@given(st.binary(max_size=300), st.integers(1, 40))
def test_any_bytes_are_read_line_by_line(data: bytes, limit: int) -> None:
    for line in read_lines(BytesIO(data), limit):
        if isinstance(line, str):
            assert len(line.encode("utf-8")) <= limit
            assert not {"\n", "\r", "\0"} & set(line)
        else:
            assert len(line.message) < 100


def lines_read(data: bytes, limit: int = 20) -> list[str]:
    """Lines as they are, errors by their code."""
    return [line if isinstance(line, str) else f"<{line.code}>" for line in read_lines(BytesIO(data), limit)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\n\n", ["", ""]),
        (b"a\nb", ["a", "b"]),
        (b"a\rb\r\rc\r", ["a", "b", "", "c"]),
        (b"a\r\nb\rc\nd", ["a", "b", "c", "d"]),
        (b"\xef\xbb\xbfa\r\nb\r\n", ["a", "b"]),
        (b"caf\xe9\nb\n", ["<not_utf8>", "b"]),
        (b"a\0b\nb\n", ["<not_utf8>", "b"]),
        (b"x" * 20 + b"\r\nb", ["x" * 20, "b"]),
        (b"x" * 21 + b"\nb", ["<line_too_long>", "b"]),
        (b"x" * 100_000 + b"\nb", ["<line_too_long>", "b"]),
        (b"x" * 22, ["<line_too_long>"]),
        (b"a\n" + b"x" * 21, ["a", "<line_too_long>"]),
    ],
)
def test_lines_and_errors_of_a_stream(data: bytes, expected: list[str]) -> None:
    assert lines_read(data) == expected


def test_an_undecodable_line_names_its_byte() -> None:
    (error,) = read_lines(BytesIO("fée caf".encode() + b"\xe9"))
    assert isinstance(error, CommandError)
    assert (error.column, error.message) == (7, "the line is not UTF-8: byte 0xe9 after 7 characters")


def test_latin_1_is_reported_line_by_line() -> None:
    assert lines_read("crème brûlée\n".encode("latin-1") * 100) == ["<not_utf8>"] * 100


@pytest.mark.parametrize("seed", range(5))
def test_binary_data_ends_after_a_few_errors(seed: int) -> None:
    noise = random.Random(seed).randbytes(2_000_000)
    found = lines_read(noise, 65536)
    assert found[-1] == "<not_text>"
    assert len(found) < 200


def test_a_line_without_end_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invoke.text.ENDLESS", 2**20)
    with Path("/dev/zero").open("rb") as stream:
        found = list(read_lines(stream))
    assert [getattr(error, "code", "") for error in found] == ["line_too_long", "not_text"]


def test_a_line_is_yielded_as_soon_as_it_arrives() -> None:
    reading, writing = os.pipe()
    arrived, go_on = Event(), Event()
    seen: list[str | CommandError] = []

    def read(stream: BinaryIO) -> None:
        for line in read_lines(stream):
            seen.append(line)
            arrived.set()
        go_on.set()

    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb", 0) as pipe:
        thread = Thread(target=read, args=(stream,))
        thread.start()
        pipe.write(b"first\nsec")
        assert arrived.wait(PATIENCE)
        assert seen == ["first"]
        pipe.write(b"ond\n")
        pipe.close()
        assert go_on.wait(PATIENCE)
        thread.join()
    assert seen == ["first", "second"]


def test_text_appended_while_a_file_is_read_is_not_read() -> None:
    with TemporaryFile() as stream:
        stream.write(b"a cat\na dog\n")
        stream.seek(0)
        found = []
        for line in read_lines(stream):
            found.append(line)
            assert len(found) < 10
            os.pwrite(stream.fileno(), b"a fox\n", os.fstat(stream.fileno()).st_size)
    assert found == ["a cat", "a dog"]


class Endless(BytesIO):
    """A stream without line breaks, 50 MB long."""

    def __init__(self) -> None:
        self.left = 50_000_000

    def read1(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert size > 0
        size = min(size, self.left)
        self.left -= size
        return b"x" * size


def test_a_long_line_is_not_held_in_memory() -> None:
    tracemalloc.start()
    lines: Iterator[str | CommandError] = read_lines(Endless())
    assert isinstance(next(lines), CommandError)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    assert list(lines) == []


@given(st.lists(st.binary().map(lambda line: line.replace(b"\n", b"\r")), max_size=20), st.booleans(), st.data())
def test_count_lines_leaves_the_file_position_unchanged(lines: list[bytes], ends: bool, data: st.DataObject) -> None:
    with TemporaryFile() as stream:
        stream.write(b"\n".join(lines) + b"\n" * ends)
        stream.seek(0)
        for _ in range(data.draw(st.integers(0, len(lines)))):
            stream.readline()
        place = stream.tell()
        counted = count_lines(stream)
        assert stream.tell() == place
        assert counted == len(re.findall(rb"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+$", stream.read()))


def test_count_lines_gives_none_for_pipes_and_large_files() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert count_lines(pipe) is None
    with TemporaryFile() as stream:
        stream.write(b"a\nb\n")
        stream.seek(0)
        assert count_lines(stream, most=3) is None
    assert count_lines(BytesIO(b"a\n")) is None
