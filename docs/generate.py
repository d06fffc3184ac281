"""Writes the generated parts of the README: `python docs/generate.py`. A test tells when they are not current."""

import re
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
    README.write_text(generate(README.read_text(encoding="utf-8")), encoding="utf-8")
