"""Makes the docs' pictures again, each from the line above it: `python docs/make_pictures.py [PAGE …]`."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
SHOWN = re.compile(r"^    (?P<line>.+)\n\n!\[[^]]*\]\((?P<picture>[^)]+)\)", re.MULTILINE)
"""A line, and the picture that it made."""
COMPANIONS = "tests/data/models.yaml"
"""Names for the small weights that go with the built-in model."""


def shown(page: Path) -> list[tuple[str, Path]]:
    """The lines of a page and where their pictures lie."""
    found = SHOWN.finditer(page.read_text(encoding="utf-8"))
    return [(match["line"].removeprefix("invoke> "), page.parent / match["picture"]) for match in found]


def make(line: str, picture: Path) -> None:
    """Run `line` and keep the file that is called like `picture` behind its first dot."""
    with TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "invoke", "--config", COMPANIONS, "-q", "-o", folder, line], cwd=ROOT, check=True
        )
        ending = "".join(picture.suffixes[-2:]) if len(picture.suffixes) > 1 else ".png"
        ending = ending if ending.startswith((".steps", ".sweep", ".grid")) else ".png"
        made = sorted(Path(folder).glob(f"*{ending}"), key=lambda file: file.stat().st_mtime_ns)
        shutil.copyfile(made[-1 if "|>" in line else 0], picture)


if __name__ == "__main__":
    named = [Path(name).resolve() for name in sys.argv[1:]]
    for page in named or [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for line, picture in shown(page):
            print(f"{picture.relative_to(ROOT)}: {line}", flush=True)
            make(line, picture)
