"""Read every example of the docs with the installed program: `python docs/check_lines.py [--draw] PAGE…`.

Lines are planned (`--dry-run`) in a working folder that has what `!example` copies; commands are looked up. With
`--draw` those for the built-in model are drawn, in two steps where they do not say how many. `.ci/package` does both.
"""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from invoke.language.launch import read_arguments

EXAMPLE = re.compile(r"^    (?!\[|img2img|txt2img|inpaint|steps|variations|note)(?:invoke> )?(\S.*)$", re.MULTILINE)
FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
OTHER_MODELS = re.compile(
    r" -m |<my-style>|with(Lora|TextualInversion)|--(model|control|ip_adapter)\b|!switch| -tm |\.json\b"
)
OTHER_PROGRAMS = re.compile(r"(make|pip|cd|python|generate-prompts)\b")
MADE_BEFORE = ("outputs/", "-I -1")
"""Names made by earlier lines."""
COMPANIONS = str(Path(__file__).parent.parent / "tests" / "data" / "models.yaml")
"""Names for the small weights that go with the built-in model."""
READERS_OWN = re.compile(
    r"MODEL IMAGE|watercolour, ?0.8\)|!(!|\w+_model |triggers toy|check castle|preset|fetch|example|\d)"
)
"""Codes of lines with models, presets and pictures of the reader, or with a command of the prompt."""
MISREAD = {"bad_line", "bad_prompt", "unknown_switch", "unknown_command", "bad_value", "missing_value", "bad_switch"}
"""Codes that no example may have, whatever the reader has."""


def examples(pages: list[Path]) -> Iterator[tuple[str, str]]:
    """Page and line, of all that is typed into the program."""
    for page in pages:
        for line in EXAMPLE.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
            if OTHER_PROGRAMS.match(line):
                continue
            if line == "invoke" or line.startswith("invoke "):
                launch = read_arguments(shlex.split(line.split("<", maxsplit=1)[0], comments=True)[1:])
                if launch.line is None or "-I - " in f"{launch.line} ":
                    continue
                line = launch.line  # noqa: PLW2901
            yield page.name, line


def main() -> None:
    is_drawn = sys.argv[1] == "--draw"
    found = list(examples([Path(name) for name in sys.argv[1 + is_drawn :]]))
    if is_drawn:
        found = [("", "!set -s 2"), *(pair for pair in found if not OTHER_MODELS.search(pair[1]))]
    options = [] if is_drawn else ["--dry-run"]
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *options, "--json", "--config", COMPANIONS, "--from-file", "-"],
        input="\n".join(line for _, line in found).encode(),
        stdout=subprocess.PIPE,
        check=False,
    )
    failed = pictures = 0
    for event in map(json.loads, done.stdout.splitlines()):
        pictures += event["type"] == "image"
        if event["type"] != "error":
            continue
        page, line = found[event["line"] - 1]
        own = READERS_OWN.search(line) or any(name in line for name in MADE_BEFORE)
        if event["code"] in MISREAD or not own:
            failed += 1
            print(f"{page}: {line}\n    {event['code']}: {event['message']}")
    print(f"{len(found)} examples read, {pictures} pictures made, {failed} failed")
    sys.exit(1 if failed or not found or (is_drawn and not pictures) else 0)


if __name__ == "__main__":
    main()
