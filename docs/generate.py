"""Writes the generated parts of the docs: `python docs/generate.py`. A test tells when they are not current."""

import re
import sys
from functools import partial
from pathlib import Path

from invoke.language.help.markdown import command_table, switch_reference, switch_table, table
from invoke.language.launch_options import OPTIONS, spelled

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", ROOT / "docs" / "switches.md", ROOT / "docs" / "performance.md")
NEWCOMERS = (
    *("init_img", "strength", "steps", "seed", "width", "height", "fit", "cfg_scale", "sampler", "model"),
    *("negative_prompt", "init_mask", "text_mask", "outcrop", "iterations", "variation_amount", "sweep", "wild"),
    *("control", "upscale", "facetool_strength", "outdir", "grid", "strip"),
)
"""The switches that the README lists, by long name; docs/switches.md has all."""


def option_table() -> str:
    """The launch options as one table."""
    rows = ((f"`{spelled(row)}`", f"{row.help} *(not yet)*" if row.pending else row.help) for row in OPTIONS)
    return table(("option", "meaning"), rows)


def measured(part: str) -> str:
    """What `benchmarks.results` tells of the newest runs: its `goals`, or its `tables`."""
    sys.path.insert(0, str(ROOT))  # the benchmarks are no part of what is installed
    from benchmarks import results

    return str(getattr(results, part)())


PARTS = {
    "switches": partial(switch_table, NEWCOMERS),
    "commands": command_table,
    "reference": switch_reference,
    "options": option_table,
    "goals": partial(measured, "goals"),
    "measured": partial(measured, "tables"),
}


def generate(text: str) -> str:
    """`text` with every generated part made anew."""
    for name, make in PARTS.items():
        part = f"<!-- {name} -->\n{make().strip()}\n<!-- end -->"
        text = re.sub(f"<!-- {name} -->.*?<!-- end -->", lambda _, part=part: part, text, flags=re.DOTALL)  # type: ignore[misc]
    return text


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(generate(page.read_text(encoding="utf-8")), encoding="utf-8")
