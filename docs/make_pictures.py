"""Make the pictures of the docs again, each from the line above it: `python docs/make_pictures.py [PAGE …]`."""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
SHOWN = re.compile(r"^    (?P<line>.+)\n\n!\[[^]]*\]\((?P<picture>[^)]+)\)", re.MULTILINE)
"""A line, and the picture that it made."""
COMPANIONS = "tests/data/models.yaml"
"""Names for the small weights that go with the built-in model."""

Shown = tuple[str, Path]


def shown(page: Path) -> list[Shown]:
    """The lines of a page and the paths of their pictures."""
    found = SHOWN.finditer(page.read_text(encoding="utf-8"))
    return [(match["line"].removeprefix("invoke> "), page.parent / match["picture"]) for match in found]


def make(pictures: Sequence[Shown]) -> None:
    """Run the lines, each into its own folder, and keep the file with the name of the picture."""
    with TemporaryDirectory() as folder:
        lines = [f"{line} -o {folder}/{number}" for number, (line, _) in enumerate(pictures)]
        command = [sys.executable, "-m", "invoke", "--config", COMPANIONS, "-q", "--from_file", "-"]
        subprocess.run(command, cwd=ROOT, check=True, input="\n".join(lines), text=True)
        for number, (line, picture) in enumerate(pictures):
            ending = "".join(picture.suffixes[-2:]) if len(picture.suffixes) > 1 else ".png"
            ending = ending if ending.startswith((".steps", ".sweep", ".grid")) else ".png"
            made = sorted((Path(folder) / str(number)).glob(f"*{ending}"), key=lambda file: file.stat().st_mtime_ns)
            shutil.copyfile(made[-1 if "|>" in line else 0], picture)


def main(pages: Sequence[Path]) -> None:
    """Make all pictures of `pages`, in the order of their dependencies."""
    waiting: dict[Path, str] = {}
    for line, picture in [each for page in pages for each in shown(page)]:
        if any(str(made.relative_to(ROOT)) in line for made in waiting):
            make([(one, made) for made, one in waiting.items()])
            waiting = {}
        waiting[picture.resolve()] = line
        print(f"{picture.relative_to(ROOT)}: {line}", flush=True)
    make([(line, picture) for picture, line in waiting.items()])


if __name__ == "__main__":
    named = [Path(name).resolve() for name in sys.argv[1:]]
    main(named or [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))])
