"""Shows the pages of docs/ as text in a terminal: `!help inpainting`."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from textwrap import fill, indent

PACKAGE = Path(__file__).parents[2]
USUAL = 78
"""Columns of a page if the terminal's width is unknown."""
_NARROWEST, _WIDEST = 24, 100

_UNSEEN = re.compile(r"<!--.*?-->|!\[[^]]*\]\([^)]*\)\n*", re.DOTALL)
"""Comments and pictures."""
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_EMPTY = "\0"
"""Stands for an empty line inside code."""
_STRESS = re.compile(r"\*{1,2}([^*]+)\*{1,2}")
_PAGE = re.compile(r"\[([^]]+)\]\(([\w-]+)\.md[^)]*\)")
_LINK = re.compile(r"\[([^]]+)\]\([^)]*\)")
_ITEM = re.compile(r"(?P<mark>[-*]|\d+\.) +")


@cache
def pages() -> Mapping[str, str]:
    """Topic → the title of its page."""
    return {file.stem: file.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ") for file in _files()}


def page_width(columns: int | None) -> int:
    """The width of a page in a terminal with this many columns; None: no terminal. Long lines are hard to read."""
    return USUAL if columns is None else min(max(columns, _NARROWEST), _WIDEST)


def manual(topic: str, width: int = USUAL) -> str:
    """The page on `topic`, one of `pages`."""
    (file,) = (file for file in _files() if file.stem == topic)
    return plain(file.read_text(encoding="utf-8"), width)


def _files() -> list[Path]:
    packaged = PACKAGE / "docs"
    return sorted((packaged if packaged.is_dir() else PACKAGE.parent / "docs").glob("*.md"))


def plain(markdown: str, width: int = USUAL) -> str:
    """Convert Markdown to plain text: filled paragraphs, tables as lists, examples unchanged."""
    whole = _FENCED.sub(lambda code: re.sub(r"\n(?=\n)", f"\n{_EMPTY}", code[0]), _UNSEEN.sub("", markdown))
    blocks = re.split(r"\n{2,}", whole.strip("\n"))
    return "\n\n".join(filter(None, (_block(block, width) for block in blocks)))


def _block(text: str, width: int) -> str:
    if text.startswith("```"):
        return indent("\n".join(text.split("\n")[1:-1]).replace(_EMPTY, ""), "    ")
    if text.startswith("    "):
        return text
    if text.startswith("> "):
        return indent(_block(re.sub(r"^> ?", "", text, flags=re.MULTILINE), width - 2), "  ")
    if text.startswith("#"):
        heading, _, rest = text.partition("\n")
        shown = heading.lstrip("# ")
        return "\n".join(
            filter(None, [shown.upper() if heading.startswith("# ") else shown, rest and _block(rest, width)])
        )
    if text.startswith("|"):
        return _table(text, width)
    return "\n".join(_paragraph(lines, width) for lines in _items(text))


def _items(text: str) -> Iterator[str]:
    """Split into a paragraph, or the items of a list."""
    lines: list[str] = []
    for line in text.splitlines():
        if _ITEM.match(line) and lines:
            yield " ".join(lines)
            lines = []
        lines.append(line.strip())
    yield " ".join(lines)


def _paragraph(text: str, width: int) -> str:
    item = _ITEM.match(text)
    mark = item[0].strip() + " " if item else ""
    return _filled(text[item.end() :] if item else text, width=width, first=mark, later=" " * len(mark))


def _table(text: str, width: int) -> str:
    """Each row as its first cell, with the other cells below, labelled with their columns if there are several."""
    heads, _, *rows = (
        [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        for line in text.splitlines()
    )
    names = [f"{head}: " if head and len(heads) > 2 else "" for head in heads[1:]]
    return "\n".join(_row(row[0], zip(names, row[1:], strict=True), width) for row in rows)


def _row(first: str, others: Iterable[tuple[str, str]], width: int) -> str:
    below = [_filled(name + cell, width=width, first=" " * 6, later=" " * 8) for name, cell in others if cell]
    return "\n".join([_filled(first, width=width, first="  ", later="    "), *below])


def _filled(text: str, *, width: int, first: str, later: str) -> str:
    code = _LINK.sub(r"\1", _PAGE.sub(r"\1 (!help \2)", text)).split("`")
    words = "".join(part if index % 2 else _STRESS.sub(r"\1", part) for index, part in enumerate(code))
    return fill(words, width, initial_indent=first, subsequent_indent=later, break_on_hyphens=False)
