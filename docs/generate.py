"""Writes the generated parts of the README: `python docs/generate.py`, or with --check tells whether they are current."""

import re
import sys
from pathlib import Path

from invoke.command.help import command_table, switch_table

README = Path(__file__).parent.parent / "README.md"
PARTS = {"switches": switch_table, "commands": command_table}


def generate(text: str) -> str:
    """`text` with every generated part made anew."""
    for name, make in PARTS.items():
        part = f"<!-- {name} -->\n{make().strip()}\n<!-- end -->"
        text = re.sub(f"<!-- {name} -->.*?<!-- end -->", lambda _, part=part: part, text, flags=re.DOTALL)  # type: ignore[misc]
    return text


if __name__ == "__main__":
    written = README.read_text(encoding="utf-8")
    if "--check" in sys.argv:
        sys.exit(written != generate(written))
    README.write_text(generate(written), encoding="utf-8")
