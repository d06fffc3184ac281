"""The scenarios of the campaigns (a batch, its resume, a session, a launch) and what must hold afterwards."""

import contextlib
import io
import json
import os
import re
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from PIL import Image

from invoke.cli import main
from invoke.errors import ExitStatus, InvokeError, unexpected
from invoke.outputs import logs
from tests.batches import Batches
from tests.fakes import FakeEngine
from tests.faults import Killed, killed_at_call
from tests.shell.talk import Talk

LINES = ["a cat --strip --gif -n 2", "a dog --strip --gif --grid -S 5", "a cat --strip --gif -n 2", "a bird -S 9"]
PICTURES = 6
INTERNAL = unexpected(ValueError("x"), "").message.partition(":")[0]
"""The beginning of a message about an internal error."""
STATUSES = {0, 1, 2, 3, 129, 130, 143}

Scenario = Callable[[Path], tuple[int, str]]
"""Does something in a folder; returns the exit status and the messages."""


def program(*words: str) -> tuple[int, str]:
    """The real `main`, on the engine of the tests."""
    err = io.StringIO()
    with (
        mock.patch.object(main, "RemoteEngine", return_value=FakeEngine()),
        contextlib.redirect_stderr(err),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        status = main.main(words)
    return int(status), err.getvalue()


def batch(folder: Path) -> tuple[int, str]:
    outcome = Batches(folder / "out").run(LINES)
    return int(outcome.status), outcome.stderr


def resume(folder: Path) -> tuple[int, str]:
    """Prepare a batch that was killed halfway."""
    outcome = Batches(folder / "out").run(LINES, resume=True)
    return int(outcome.status), outcome.stderr


def half_made(folder: Path) -> None:
    with contextlib.suppress(Killed), killed_at_call(150):
        Batches(folder / "out").run(LINES)


def typed_session(folder: Path) -> tuple[int, str]:
    """Lines and commands typed at the prompt."""
    try:
        talk = Talk(folder, history=folder / "state" / "history")
    except InvokeError as error:  # the lists of models are read before there is a prompt: `main` says so
        return ExitStatus.UNUSABLE, f"error: {error}"
    talk.type(
        "a cat -S 1 --strip",
        f"!import_model {folder / 'word.safetensors'}",
        '!edit_model word description "a word"',
        f"!gallery {folder / 'out'}",
        f"!fetch {folder / 'out'}/*.png {folder / 'lines.txt'}",
        f"!check {folder / 'out'}",
        "!history",
        "!clear",
    )
    return 0, talk.err


def launch(folder: Path) -> tuple[int, str]:
    """Read settings and a list of models, plan a line."""
    return program("--dry-run", "--config", str(folder / "models.yaml"), "-o", str(folder / "out"), "a fire -m mine")


def settled(folder: Path) -> None:
    """Prepare the files that `launch` reads."""
    (folder / "models.yaml").write_text("mine: {weights: pocket, width: 64}\n", encoding="utf-8")
    config = Path(os.environ["XDG_CONFIG_HOME"]) / "invoke-shell"
    config.mkdir(parents=True, exist_ok=True)
    (config / "config.yaml").write_text("steps: 3\n", encoding="utf-8")


def learned(folder: Path) -> None:
    """Prepare what `typed_session` imports: a textual inversion with one vector of zeros."""
    header = json.dumps({"emb_params": {"dtype": "F32", "shape": [1, 768], "data_offsets": [0, 3072]}}).encode()
    (folder / "word.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(3072))


def nothing(folder: Path) -> None:
    """No preparation."""


def lines(folder: Path) -> tuple[int, str]:
    """LINES, made by the real `main`."""
    words = ("-q", "-s", "2", "-W", "64", "-H", "64", "-o", str(folder / "out"))
    return program(*words, "--from-file", str(folder / "lines.txt"))


def written(folder: Path) -> None:
    """Prepare the file that `lines` reads."""
    (folder / "lines.txt").write_text("\n".join(LINES), encoding="utf-8")


ALLOCATING: dict[str, tuple[Callable[[Path], None], Scenario]] = {
    "launch": (settled, launch),
    "lines": (written, lines),
}
"""The same, for allocations that fail: the real `main`, from its first line on."""
SCENARIOS: dict[str, tuple[Callable[[Path], None], Scenario]] = {
    "batch": (nothing, batch),
    "resume": (half_made, resume),
    "session": (learned, typed_session),
    "launch": (settled, launch),
}
"""Name → the preparation, without faults, and the scenario, with faults."""


def complaint(status: int, said: str) -> str:
    """What is wrong with the end of a run; "" if nothing."""
    if status not in STATUSES:
        return f"status {status}: {said[-400:]!r}"
    if "Traceback" in said or INTERNAL in said:
        at = max(said.find("Traceback"), said.find(INTERNAL))
        return f"no sentence: {said[at : at + 300]!r}"
    if status and not said.strip():
        return f"status {status} without a word"
    return ""


def incomplete(folder: Path) -> str:
    """What is missing, torn or duplicated of the files of LINES in `folder`; "" if nothing."""
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith((".", "invoke_log")))
    pictures = [name for name in names if re.fullmatch(r"\d{6}\.\d+(-\d\d)?\.png", name)]
    grids = [name for name in names if ".grid." in name]
    stems = [name.removesuffix(".png") for name in pictures if not name.endswith(".9.png")]
    steps = [f"{stem}.steps.{kind}" for stem in stems for kind in ("gif", "png")]
    if len(pictures) != PICTURES or len(grids) != 1 or names != sorted([*pictures, *grids, *steps]):
        return f"files: {names}"
    for name in names:
        try:
            with Image.open(folder / name) as image:
                image.load()
        except (OSError, SyntaxError) as error:
            return f"torn: {name}: {error}"
    for log in (logs.TEXT, logs.MARKDOWN):
        rows = Counter(logs.names(folder, log))
        if rows != Counter(pictures):
            return f"{log}: {rows}"
    return ""
