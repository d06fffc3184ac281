"""Output for the user: pictures on stdout, everything else on stderr, all of it escaped."""

import os
from collections.abc import Callable
from shutil import get_terminal_size
from typing import TextIO

from invoke.errors import InvokeError
from invoke.events import Pixels
from invoke.language.launch_options import Preview
from invoke.shell.escapes import Features, link
from invoke.shell.pager import is_long, show
from invoke.shell.previews.detect import choose
from invoke.text import cells, clean, fitting, wrapped

RED, YELLOW = "31", "33"
ERROR, NOTE = "error:", "note:"


def is_dumb() -> bool:
    """Whether the terminal can only print text."""
    return os.environ.get("TERM", "").lower() in ("dumb", "unknown")


class Terminal:
    """The two streams, and whether they support colours, cursor movement and pictures."""

    def __init__(self, out: TextIO, err: TextIO, preview: Preview = "off") -> None:
        self.out, self.err = out, err
        self.ask: Callable[[str], bool] = lambda question: False
        """Asks a yes-or-no question; always no if the user cannot be asked."""
        self.pager: tuple[str, ...] = ()
        """The command that shows long output; empty: it is printed."""
        self.lend: Callable[[Callable[[], object]], object] = lambda program: program()
        """Gives the terminal to a program while it runs."""
        self.moves = err.isatty() and not is_dumb()
        """Whether lines can be overwritten."""
        self._colour = self.moves and not os.environ.get("NO_COLOR")
        self.pictures = choose(preview, os.environ, err.encoding or "") if self.moves else "none"
        """The kind of previews."""
        self.features = Features()
        """Supported escape sequences; none by default."""
        self.shows_pictures = self.pictures != "none"
        self.draws_lines = (err.encoding or "utf-8").lower().startswith("utf")
        """Whether non-ASCII characters can be written."""

    def size(self) -> os.terminal_size:
        """Current columns and lines."""
        try:
            return os.get_terminal_size(self.err.fileno())
        except OSError:  # no terminal; includes io.UnsupportedOperation
            return get_terminal_size()

    @property
    def columns(self) -> int | None:
        """Columns of the terminal; None if there is none."""
        return self.size().columns if self.err.isatty() else None

    def say(self, text: str) -> None:
        self._write(self._wrapped("\n".join(map(clean, text.split("\n")))))

    def answer(self, text: str) -> None:
        """Print the output of a command, in the pager if it is too long for the window."""
        shown = self._wrapped("\n".join(map(clean, text.split("\n"))))
        if self.pager and is_long(shown, self.size()):
            self.lend(lambda: self._page(shown))
        else:
            self._write(shown)

    def _page(self, text: str) -> None:
        if not show(self.pager, text):
            self._write(text)

    def note(self, text: str) -> None:
        self._write(self._headed("", NOTE, YELLOW, text))

    def raw(self, text: str) -> None:
        """Write unescaped: only for sequences that this program encoded itself."""
        self.err.write(text)
        self.err.flush()

    def draw(self, image: Pixels) -> None:
        """Draw a picture that scrolls like text."""
        from invoke.shell.previews.frame import drawn

        self.raw(drawn(image, self.pictures, self.size()))

    def picture(self, address: str, path: str, line: str) -> None:
        """Print a saved picture, to stdout; later lines can refer to it by `address`."""
        place = f"[{address}] " if address else ""
        text = f"{place}{path}: {line}"
        if self.out.isatty():
            shown = link(path, clean(path)) if self.features.links else clean(path)
            text = f"{clean(place)}{shown}{clean(f': {line}')}"
        print(text, file=self.out, flush=True)

    def error(self, error: InvokeError, line: str, number: int | None = None) -> None:
        """Print an error: the message, the line with a mark under the place, and the hint; with the line's number."""
        place = f"[{number}] " if number is not None else ""
        lines = [self._headed(place, ERROR, RED, error.message)]
        if error.column is not None:
            shown, mark = _pointed_at(line, error.column, self.size().columns - 3)
            lines += [f"  {shown}", f"  {self._painted(mark, RED)}"]
        if error.hint:
            lines.append(self._wrapped(f"  {clean(error.hint)}"))
        self._write("\n".join(lines))

    def _write(self, clean_text: str) -> None:
        print(clean_text, file=self.err, flush=True)

    def _headed(self, place: str, head: str, colour: str, text: str) -> str:
        """`[12] error: text`, with the head in its colour."""
        shown = self._wrapped(f"{place}{head} {clean(text)}")
        return f"{place}{self._painted(head, colour)}{shown[len(place) + len(head) :]}"

    def _wrapped(self, text: str) -> str:
        """Wrap between words on a terminal."""
        columns = self.columns
        return text if columns is None else wrapped(text, columns)

    def _painted(self, text: str, colour: str) -> str:
        indent = len(text) - len(text.lstrip())
        return f"{text[:indent]}\x1b[{colour}m{text[indent:]}\x1b[0m" if self._colour else text


def _pointed_at(line: str, column: int, width: int) -> tuple[str, str]:
    """The line, or the part around `column` that fits, and `^^^` under the word that begins there."""
    line = line.replace("\n", " ").replace("\r", " ")
    before, after = clean(line[:column]), clean(line[column:])
    if cells(before) > width * 2 // 3:
        before = "…" + fitting(before[::-1], width * 2 // 3)[::-1]
    after = fitting(after, width - cells(before))
    word = after.split(maxsplit=1)[0] if after[:1].strip() else " "
    return before + after, " " * cells(before) + "^" * max(1, cells(word))
