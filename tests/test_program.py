"""The program as scripts see it: pipes, exit status, JSON, signals (spec, sections 1 and 8)."""

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from tests import preloaded
from tests.patience import PATIENCE, until
from tests.program import COMMAND, ROOT, first_answer, forked, invoke, running

FIRE = "test-pictures/fire-drawing.png"
CODES = re.compile(r"\x1b|\r")


@pytest.fixture
def places(tiny_model: Path, tmp_path: Path) -> list[str]:
    """Launch options: the tiny model, four steps, a folder of its own."""
    return ["-m", str(tiny_model), "-s", "4", "-W", "64", "-H", "64", "-o", str(tmp_path / "out"), "--offline"]


# planning, without a model


def test_a_dry_run_plans_without_importing_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from invoke.cli.main import main; status = main(sys.argv[1:]);"
        "assert not {'torch', 'diffusers', 'transformers', 'prompt_toolkit'} & set(sys.modules); sys.exit(status)"
    )
    line = f"fire -I {FIRE} -s10 -f0.7"
    done = subprocess.run(
        [sys.executable, "-c", code, "--dry-run", "-o", str(tmp_path / "none"), line],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0
    assert "steps 10 × 0.7 → 7 taken" in done.stderr
    assert not (tmp_path / "none").exists()


def test_a_dry_run_in_json_prints_the_plan() -> None:
    done = forked("--dry-run", "--json", stdin=f'"fire" -s10 -S5 -n2 -I {FIRE} --strength 0.7 -g\n')
    assert done.status == 0
    assert [event["type"] for event in done.events] == ["session", "plan", "line", "done"]
    plan = done.of_type("plan")[0]
    assert plan["line"] == 1
    assert plan["prompt"] == "fire"
    assert plan["switches"] == {
        "steps": 10,
        "seed": 5,
        "iterations": 2,
        "init_img": FIRE,
        "strength": 0.7,
        "grid": True,
    }
    picture = {"width": 384, "height": 384, "mode": "img2img", "steps": 10, "steps_taken": 7, "upscale_steps": 0}
    assert plan["images"] == [{"seed": 5, **picture}, {"seed": 6, **picture}]


def test_json_contains_the_parsed_line_although_its_picture_is_missing() -> None:
    done = forked("--dry-run", "--json", stdin="fire -I nowhere.png -tm hair 0.5 -U 2\n")
    plan, error = done.of_type("plan")[0], done.of_type("error")[0]
    assert plan["switches"] == {"init_img": "nowhere.png", "text_mask": ["hair", 0.5], "upscale": [2.0]}
    assert plan["images"] == []
    assert error["line"] == 1
    assert done.status == 1


def test_bad_lines_are_reported_with_line_and_column_and_the_rest_run() -> None:
    lines = b"\n".join(
        [
            b"a cat",
            b"a well -lit room",
            b"\xff\xfe not text",
            b'"never closed',
            b"x" * 1_000_000,
            b"a \x00 cat",
            b"# a comment",
            b"a dog -f 0.5 -I pyproject.toml",
            b"a fire -m nosuch",
            b"the last",
        ]
    )
    done = invoke("--dry-run", "--json", stdin=lines, is_preloaded=False)
    assert done.status == 1
    assert [event["line"] for event in done.of_type("error")] == [2, 3, 4, 5, 6, 8, 9]
    assert {1, 10} <= {event["line"] for event in done.of_type("plan")}
    assert done.of_type("error")[0]["column"] == 7
    assert all(event["message"] and "\n" not in event["message"] for event in done.of_type("error"))
    assert done.of_type("done")[0]["failed"] == 7
    assert "Traceback" not in done.stderr


def test_binary_data_on_stdin_gives_few_errors() -> None:
    done = invoke("--dry-run", stdin=os.urandom(100_000), is_preloaded=False)
    assert done.status in {1, 2}
    assert "Traceback" not in done.stderr
    assert not CODES.search(done.stderr)
    assert max(map(len, done.stderr.splitlines())) < 1000


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["--from-file", "nowhere.txt"], 2, "nowhere.txt: cannot be read: No such file or directory"),
        (["--bogus"], 2, "there is no switch --bogus"),
        (["--steps", "x"], 2, "-s/--steps must be a whole number, not 'x'"),
        (["a cat", "--from-file", "x.txt"], 2, "a line and --from-file cannot be combined"),
        (["-m", "nosuch", "a cat"], 3, "no model is called 'nosuch'"),
        (["a well -lit room"], 1, "there is no switch -lit"),
        (["a cat --fnformat {nope}"], 1, "--fnformat must be made of {prefix}"),
        (["--fnformat", "{nope"], 2, "--fnformat must be a template, not '{nope'"),
        (["--device", "cuda:99", "a cat"], 3, "--device cuda:99: this machine has no such device, only "),
        (["--device", "cuda:99", "-f", "0.5"], 3, "--device cuda:99: this machine has no such device, only "),
        (["!history"], 1, "!history works only at the prompt"),
        (["!help nonsense"], 1, "there is no help on 'nonsense'"),
        (["x", "--config", "nowhere.yaml"], 3, "nowhere.yaml: there is no such list of models"),
        (["-o", "pyproject.toml/x", "a cat"], 3, "pyproject.toml/x: this is not a folder"),
        ([], 2, "there is nothing to make"),
    ],
)
def test_bad_usage_is_refused_with_status_2(arguments: list[str], status: int, sentence: str) -> None:
    done = forked(*arguments)
    assert done.status == status
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_output_of_an_engine_that_dies_at_start_is_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nif 'invoke.engine.process.worker' in sys.orig_argv:\n"
        "    os.write(2, b'alas')\n    os._exit(1)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    done = invoke("a cat", "--json", "-o", tmp_path / "out", is_preloaded=False)
    assert done.of_type("error")[0]["code"] == "engine_died"
    assert done.stderr == ""
    assert "alas" in (tmp_path / "state" / "invoke-shell" / "errors.log").read_text(encoding="utf-8")


def test_help_and_version_are_printed() -> None:
    assert "--from-file" in forked("--help").stdout
    assert forked("--version").stdout.startswith("invoke-shell ")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("!help strength", "-f/--strength 0..1\n    how much of it to redraw"),
        ("!models small scenes", "models: -m\n* pocket  on disk "),
        ("!triggers lcm-sdxl", "  withLora(lcm-sdxl,1)  "),
        ("!config", "defaults    "),
    ],
)
def test_commands_that_only_read_print_on_stdout(line: str, said: str) -> None:
    alone, in_file, told = forked(line), forked(stdin=f"{line}\n"), forked("--json", "--dry-run", "--", line)
    assert (alone.status, in_file.status, told.status) == (0, 0, 0)
    assert alone.stdout.startswith(said)
    assert in_file.stdout == alone.stdout
    assert [note["text"] for note in told.of_type("note")] == alone.stdout.splitlines()
    assert max(map(len, forked("!help shell").stdout.splitlines())) <= 78


def test_set_and_quit_work_in_a_batch() -> None:
    done = forked("--dry-run", "--json", "--stop-on-error", stdin="!set -s 7\na cat\n!history\na dog\n")
    assert done.of_type("plan")[0]["images"][0]["steps"] == 7
    assert [event["line"] for event in done.of_type("error")] == [3]
    assert done.of_type("done")[0]["failed"] == 1
    assert len(done.of_type("plan")) == 1


@pytest.mark.parametrize("word", ["quit", "q", "!quit", "!exit"])
def test_quit_ends_a_batch(word: str) -> None:
    done = forked("--dry-run", "--json", stdin=f"a cat\n{word}\na dog\n")
    assert len(done.of_type("plan")) == 1
    assert done.status == 0


def test_closed_standard_input_means_no_lines() -> None:
    done = subprocess.run(
        ["bash", "-c", 'exec "$@" <&-', "bash", *COMMAND], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 2
    assert "there is nothing to make" in done.stderr


def test_defaults_and_models_of_the_user_are_read(home: Path) -> None:
    folder = home / "config" / "invoke-shell"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("steps: 9\nkarras: true\nmodel: mine\n", encoding="utf-8")
    (folder / "models.yaml").write_text("mine:\n  weights: somewhere/else\n  width: 320\n", encoding="utf-8")
    plan = forked("--dry-run", "--json", "a cat").of_type("plan")[0]
    assert plan["images"][0]["steps"] == 9
    assert plan["images"][0]["width"] == 320
    (folder / "config.yaml").write_text("stepz: 9\n", encoding="utf-8")
    done = forked("--dry-run", "a cat")
    assert done.status == 2
    assert "stepz" in done.stderr
    assert "did you mean 'steps'?" in done.stderr


# file names and character sets


@pytest.mark.parametrize("line", [r"fire -I C:\pics\x.png", r'fire -I "C:\\pics\\x.png"', "fire -I 'C:\\pics\\x.png'"])
def test_windows_paths_keep_their_backslashes(line: str, tmp_path: Path) -> None:
    name = r"C:\pics\x.png"
    shutil.copy(ROOT / FIRE, tmp_path / name)
    for words, stdin in (([line], ""), ([], f"{line}\n"), (["fire", "-I", name], ""), ([f"fire -I{name}"], "")):
        done = forked("--dry-run", "--json", *words, stdin=stdin, cwd=tmp_path)
        assert done.status == 0, done.stdout
        assert done.of_type("plan")[0]["switches"] == {"init_img": name}


@pytest.mark.parametrize(("encoding", "said"), [("utf-8", "out 火"), ("latin-1", r"out \u706b")])
def test_without_a_locale_text_and_file_names_are_utf8(
    encoding: str, said: str, places: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in an ASCII locale, where other characters are escaped."""
    shutil.copy(ROOT / FIRE, tmp_path / "日本 🔥.png")
    settings = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": encoding}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    line, launch = 'a fire 🔥 -I "日本 🔥.png" -f 0.5 -S 7', ["-q", *places[:-3], "-o", "out 火"]
    for number, done in enumerate([invoke(*launch, line, cwd=tmp_path), invoke(*launch, stdin=line, cwd=tmp_path)]):
        name = f"00000{number + 1}.7.png"
        assert (done.stdout, done.stderr, done.status) == (f"{said}/{name}\n", "", 0)
        with Image.open(tmp_path / "out 火" / name) as picture:
            assert picture.info["Dream"].startswith("a fire 🔥 ")


# making pictures


def test_paths_go_to_stdout_and_messages_to_stderr(places: list[str], tmp_path: Path) -> None:
    done = invoke(*places, stdin=f'"fire" -S7 -I {FIRE} --strength 0.7\na well -lit room\na cat -S8\n')
    out = tmp_path / "out"
    assert done.paths == [f"{out}/000001.7.png", f"{out}/000002.8.png"]
    assert "steps 4 × 0.7 → 2 taken" in done.stderr
    assert "line 2, column 8: error: there is no switch -lit" in done.stderr
    assert "2 pictures, 1 line failed" in done.stderr
    assert done.status == 1
    assert not CODES.search(done.stdout + done.stderr)
    assert sorted(path.name for path in out.iterdir() if not path.name.startswith(".")) == [
        "000001.7.png",
        "000002.8.png",
        "invoke_log.md",
        "invoke_log.txt",
    ]


def test_a_single_line_saves_steps_and_quiet_prints_only_paths(places: list[str], tmp_path: Path) -> None:
    done = invoke("-q", *places, f"fire -S7 -I {FIRE} -f 0.75")
    assert done.status == 0
    assert (done.stdout, done.stderr) == (f"{tmp_path}/out/000001.7.png\n", "")
    assert len(list((tmp_path / "out" / "intermediates" / "000001.7").iterdir())) == 4


def test_json_prints_the_events_of_a_picture(places: list[str]) -> None:
    done = invoke("--json", *places, f"fire -S7 -I {FIRE} -f 0.75")
    assert done.status == 0
    kinds = [event["type"] for event in done.events]
    assert kinds[0] == "session"
    assert kinds[-1] == "done"
    session, image = done.of_type("session")[0], done.of_type("image")[0]
    assert (session["device"], session["dtype"]) == ("cpu", "float32")
    assert image["seed"] == 7
    assert image["recipe"]["strength"] == 0.75
    assert image["recipe"]["facts"]["steps_taken"] == 3
    assert done.of_type("step")[-1] == {"type": "step", "line": 1, "image": 1, "step": 3, "of": 3}
    assert done.of_type("done")[0] | {"seconds": 0} == {"type": "done", "made": 1, "failed": 0, "seconds": 0}


def test_a_line_is_made_as_soon_as_it_has_arrived(places: list[str]) -> None:
    with running("-q", *places) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("a cat -S1\n")
        assert process.stdout.readline().endswith("000001.1.png\n")
        process.stdin.write("a cat -S2 -I -1\n")
        assert process.stdout.readline().endswith("000002.2.png\n")
        _, errors = process.communicate()
        assert (process.returncode, errors) == (0, "")


def test_a_closed_pipe_ends_the_program_quietly(places: list[str]) -> None:
    script = 'exec 3>&1; yes "a cat" | "$@" 2>&3 | head -1 >/dev/null; echo "${PIPESTATUS[1]}"'
    done = subprocess.run(
        ["bash", "-c", script, "bash", *COMMAND, "-q", *places],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=PATIENCE,
        env=os.environ | preloaded.environment(),
    )
    assert done.stdout == "141\n"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_the_finished_pictures(places: list[str], tmp_path: Path, number: int, status: int) -> None:
    with running("-q", *places) as process:
        first_answer(process, "a cat -n 1000 -S1")
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == status
    assert "Traceback" not in errors
    out = tmp_path / "out"
    assert (out / "000001.1.png").exists()
    assert not list(out.glob(".*.tmp"))


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, None])
def test_an_interrupted_batch_is_resumed(places: list[str], tmp_path: Path, end: int | None) -> None:
    """By a signal or a closed pipe. Its input stays open, so that it does not end earlier."""
    lines = ["a cat -n 12 -S1\n", "a dog -S1\n", "a hen -S1\n"]
    with running("-q", *places) as process:
        first_answer(process, lines[0].strip())
        if end is None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdout.close()
            with suppress(BrokenPipeError):
                process.stdin.write(lines[1])
        else:
            process.send_signal(end)
        assert process.wait(PATIENCE) == (128 + end if end else 141)
    done = invoke("-q", *places, "--resume", stdin="".join(lines))
    assert done.status == 0
    assert 0 < len(done.paths) < 14
    names = [path.name for path in sorted((tmp_path / "out").glob("*.png"))]
    assert sorted(names) == sorted([*(f"000001.{seed}.png" for seed in range(1, 13)), "000002.1.png", "000003.1.png"])


@pytest.mark.parametrize("words", [["--json"], ["-q"], ["--help"]])
def test_a_full_disk_under_stdout_is_one_error(words: list[str], places: list[str]) -> None:
    env = os.environ | preloaded.environment()
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        command = [*COMMAND, *words, *places, "--dry-run" if words == ["--json"] else "--no-karras", "a cat"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False, env=env)
    assert done.returncode in {1, 3}
    assert "standard output cannot be written: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["--resume", "a cat"], ["--resume", "--from-file", "nowhere.txt"]])
def test_resume_needs_a_batch(arguments: list[str]) -> None:
    done = forked(*arguments)
    assert done.status == 2
    assert done.stdout == ""
    assert done.stderr.startswith("invoke: ")


def test_the_worker_dies_with_its_parent(places: list[str]) -> None:
    with running("-q", *places) as process:
        first_answer(process, "a cat -n 1000")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="utf-8").split()
    until(lambda: _is_gone(int(children[0])), lambda: "the worker outlived its parent")


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
