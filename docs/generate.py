"""Writes the generated parts of the docs: `python docs/generate.py`. A test tells when they are not current."""

import json
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

from invoke.language.error_codes import CODES
from invoke.language.help.markdown import command_table, switch_reference, switch_table, table
from invoke.language.launch_options import OPTIONS, spelled
from invoke.models import read_registry
from invoke.models.vocabulary import vocabulary

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = (
    ROOT / "README.md",
    *(DOCS / f"{name}.md" for name in ("switches", "commands", "json", "models", "performance")),
)
NEWCOMERS = (
    *("init_img", "strength", "steps", "seed", "width", "height", "cfg_scale", "sampler", "model"),
    *("negative_prompt", "init_mask", "iterations", "upscale", "outdir"),
)
"""The switches that the README lists, by long name; docs/switches.md has all."""


def option_table() -> str:
    """The launch options as one table."""
    rows = ((f"`{spelled(row)}`", f"{row.help} *(not yet)*" if row.pending else row.help) for row in OPTIONS)
    return table(("option", "meaning"), rows)


def event_table() -> str:
    """The kinds of events, from the schema that is shipped."""
    schema = json.loads((ROOT / "invoke" / "cli" / "events.schema.json").read_text(encoding="utf-8"))
    kinds = [schema["$defs"][row["$ref"].rpartition("/")[2]] for row in schema["oneOf"]]
    return table(("`type`", "fields", "meaning"), map(_event, kinds))


def _event(kind: dict[str, Any]) -> tuple[str, str, str]:
    parts = [schema for part in kind.get("allOf", ()) for schema in ("prompt", "switches") if "typed" in part["$ref"]]
    fields = [*(name for name in kind["properties"] if name != "type"), *parts]
    always = {*kind["required"], *parts}
    shown = (f"`{name}`" if name in always else f"[`{name}`]" for name in fields)
    return f"`{kind['properties']['type']['const']}`", " ".join(shown), kind["description"]


def code_table() -> str:
    """The codes of errors."""
    return table(("`code`", "meaning"), ((f"`{code}`", meaning) for code, meaning in CODES.items()))


def measured(part: str) -> str:
    """What `benchmarks.results` tells of the newest runs: its `goals`, or its `tables`."""
    sys.path.insert(0, str(ROOT))  # the benchmarks are no part of what is installed
    from benchmarks import results

    return str(getattr(results, part)())


def words() -> str:
    """What the built-in model was taught."""
    spec = read_registry().find("pocket")
    return ", ".join(sorted(word for word in vocabulary(spec) or () if len(word) > 1 and word.isalpha()))


PARTS = {
    "words": words,
    "switches": partial(switch_table, NEWCOMERS),
    "commands": command_table,
    "reference": switch_reference,
    "options": option_table,
    "events": event_table,
    "codes": code_table,
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
