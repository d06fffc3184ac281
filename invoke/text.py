"""Text for people: safe on a terminal, counted, with the nearest right word."""

import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import BinaryIO, TextIO

from invoke.errors import CommandError

LONGEST_LINE = 65536
"""Maximum bytes of a line, without its end."""
ENDLESS = 64 * 2**20
"""Bytes of a line after which the rest is not waited for."""
LARGEST_COUNTED = 64 * 2**20
"""Largest file, in bytes, whose lines are counted in advance (some hundredths of a second)."""

_CONTROLS = {"Cc", "Cs", "Zl", "Zp"}
_BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
"""Bidirectional classes of characters that reorder the text around them."""
_MARKS = frozenset("\u200e\u200f\u061c" + "".join(map(chr, [*range(0x206A, 0x2070), *range(0xFFF9, 0xFFFC)])))
"""Other invisible characters that change how a line is read: direction marks, annotations."""
_LINE_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
UNTYPABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")
"""Characters that no line may contain."""
_SURROGATES = re.compile(r"[\ud800-\udfff]")
_END_OF_LINE = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"
_ENOUGH_BINARY = 20
_PIECE = 2**16
"""Bytes per read."""


def clean(text: str) -> str:
    r"""`text` for a terminal: it cannot move the cursor, change the title or reorder what is read.

    Everything from files, names, prompts and metadata goes through here on its way to a terminal, and nowhere else:
    what is kept in files is verbatim. Control characters, marks that reorder text, line separators and lone surrogates
    are shown as `\x1b`, a tab as a space. All scripts, joiners and emoji pass.
    """
    if text.isprintable():
        return text
    return "".join(map(_shown, text))


def one_line(text: str) -> str:
    """Untrusted `text` as a single line, without line breaks and control characters."""
    return _SURROGATES.sub("\ufffd", _LINE_BREAKS.sub(" ", text)).strip()


def say(err: TextIO, text: str, *, verbatim: bool = False) -> None:
    """Write one line for people. A failure to write is ignored, except for a closed pipe.

    `verbatim` text is escaped for terminals alone: a file gets it as it is.
    """
    try:
        print(text if verbatim and not err.isatty() else clean(text), file=err, flush=True)
    except BrokenPipeError:
        raise
    except OSError:
        pass


def columns_of(stream: TextIO) -> int | None:
    """The width of the terminal that `stream` writes to, in columns; None if it is not a terminal."""
    try:
        return os.get_terminal_size(stream.fileno()).columns if stream.isatty() else None
    except OSError:  # io.UnsupportedOperation is one of these
        return None


def read_lines(stream: BinaryIO, limit: int = LONGEST_LINE) -> Iterator[str | CommandError]:
    """The lines of `stream`, each as soon as it has arrived; a bad one as the error that says why.

    One item per line, so that counting items counts lines. Lines are UTF-8 and end with LF, CR LF or CR; a byte order
    mark is removed. Never much more than `limit` bytes are held. What turns out to be no text at all ends early with
    an error that says so. A regular file is read to where it ends now: a log whose lines are made again grows by each
    of them.
    """
    texts = binaries = 0
    for number, data in enumerate(_contents(stream, limit + len(_BOM) + 1)):
        if data is None:
            yield _not_text()
            return
        content = data.removeprefix(_BOM) if number == 0 else data
        line = _line(content, limit)
        yield line
        if isinstance(line, str):
            texts += bool(line)
        else:
            binaries += _is_binary(content)
        if binaries >= _ENOUGH_BINARY and binaries > 4 * texts:
            yield _not_text()
            return


def count_lines(stream: BinaryIO, most: int = LARGEST_COUNTED) -> int | None:
    """The number of unread lines of `stream`; None if counting would mean waiting or reading a lot.

    Nothing is taken from the stream.
    """
    try:
        found = os.fstat(stream.fileno())
        place = stream.tell()
        if not stat.S_ISREG(found.st_mode) or found.st_size - place > most:
            return None
        count, last = 0, b"\n"
        while data := os.pread(stream.fileno(), 2**20, place):
            count += data.count(b"\n") + data.count(b"\r") - (last + data).count(b"\r\n")
            last, place = data[-1:], place + len(data)
    except (OSError, ValueError):
        return None
    return count + (last not in {b"\n", b"\r"})


def _contents(stream: BinaryIO, most: int) -> Iterator[bytes | None]:
    """The bytes of each line without its end, as soon as that has arrived; of a longer one the first `most`.

    None at last where a line does not end within `ENDLESS` bytes.
    """
    read = getattr(stream, "read1", stream.read)  # what is there now, instead of waiting for more
    end = _end(stream)
    left = None if end is None else end - stream.tell()
    kept, after_cr, length = b"", False, 0
    while data := read(_PIECE if left is None else min(_PIECE, left)):
        left = None if left is None else left - len(data)
        data = data[after_cr and data.startswith(b"\n") :]
        after_cr = data.endswith(b"\r")
        *whole, rest = _END_OF_LINE.split(data)
        for part in whole:
            yield (kept + part)[:most]
            kept, length = b"", 0
        kept = (kept + rest)[:most]
        length += len(rest)
        if length > ENDLESS:
            yield from (kept, None)
            return
    if kept:
        yield kept


def _end(stream: BinaryIO) -> int | None:
    """The length of a regular file; None for anything else."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _shown(char: str) -> str:
    if char == "\t":
        return " "
    if char.isprintable():
        return char
    misleads = (
        unicodedata.category(char) in _CONTROLS
        or unicodedata.bidirectional(char) in _BIDI
        or char in _MARKS
        or (ord(char) & 0xFFFE) == 0xFFFE  # these are not characters
    )
    return char.encode("unicode_escape").decode("ascii") if misleads else char


def _line(content: bytes, limit: int) -> str | CommandError:
    if len(content) > limit:
        return CommandError(
            f"the line is longer than {limit} bytes",
            code="line_too_long",
            hint="a prompt takes a few hundred",
        )
    if b"\0" in content:
        return CommandError(
            "the line contains a NUL character",
            code="not_utf8",
            hint="is this a text file? UTF-16 has to be saved as UTF-8",
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        return CommandError(
            f"the line is not UTF-8: byte 0x{content[error.start]:02x} after {len(before)} characters",
            code="not_utf8",
            hint="save the file as UTF-8",
            column=len(before),
        )


def _not_text() -> CommandError:
    return CommandError("this is not text: the rest is not read", code="not_text", hint="one prompt per line, in UTF-8")


def _is_binary(content: bytes) -> bool:
    """Whether a bad line contains bytes that no text encoding has."""
    return any(byte < 32 and byte not in b"\t\r\f\x1b" for byte in content)


def counted(number: int, noun: str) -> str:
    """`1 line`, `2 lines`, `1,000 lines`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def with_article(noun: str) -> str:
    """`a picture`, `an upscaler`."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def one_of(names: Sequence[object]) -> str:
    """`bash, zsh or fish`."""
    *first, last = map(str, names)
    return f"{', '.join(first)} or {last}" if first else last


def did_you_mean(typed: str, candidates: Iterable[str], shown: str = "'{}'", *, cutoff: float = 0.6) -> str:
    """`, did you mean 'k_euler'?`: the candidate nearest to `typed`, formatted by `shown`; "" if none is near.

    `cutoff` is how alike they must be, 0..1 (difflib).
    """
    near = get_close_matches(typed, candidates, 1, cutoff)
    return f", did you mean {shown.format(near[0])}?" if near else ""


def render_number(value: float) -> str:
    """The shortest text that parses to `value`: 7.5, 2, 1e-07."""
    return repr(value).removesuffix(".0")


def cells(text: str) -> int:
    """The number of terminal columns that `text` occupies."""
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text
    )


def fitting(text: str, width: int) -> str:
    """The longest prefix of `text` that fits into `width` columns."""
    end = 0
    while end < len(text) and cells(text[end]) <= width:
        width -= cells(text[end])
        end += 1
    return text[:end]


def wrapped(text: str, width: int) -> str:
    """`text` with its rows broken at spaces to fit `width` columns; continuation rows are indented by two more.

    A longer word is not broken.
    """
    return "\n".join(_broken(row, width) for row in text.split("\n"))


def _broken(row: str, width: int) -> str:
    if cells(row) <= width:
        return row
    indent = len(row) - len(row.lstrip(" "))
    first, *words = re.findall(r" *[^ ]+", row)
    rows = [first]
    for word in words:
        if cells(rows[-1]) + cells(word) <= width:
            rows[-1] += word
        else:
            rows.append(" " * (indent + 2) + word.lstrip(" "))
    return "\n".join(rows)


def duration(seconds: float) -> str:
    """`0:05`, `12:30`, `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
