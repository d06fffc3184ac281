"""`--print-completion`: the scripts, tested with the shells that are installed."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from invoke.cli.install_completion import install
from invoke.errors import CommandError
from invoke.language.completion_scripts import script
from invoke.language.launch_options import OPTIONS
from invoke.language.switches import SWITCHES, by_name
from invoke.models import ModelSpec, Registry, read_registry
from invoke.samplers import SAMPLERS
from tests.patience import PATIENCE
from tests.program import forked

MINE = "my$(touch caught)model"
SHELLS = ("bash", "zsh", "fish")
Completes = Callable[..., set[str]]


def needs(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on this machine")


@pytest.fixture(scope="module")
def models() -> Registry:
    """The shipped models, and one with a malicious name and description."""
    nasty = ModelSpec(name=MINE, weights="x", description="$(touch caught) `touch caught` \"'\\")
    output = ModelSpec(name="told", weights="x", description=nasty.description)
    return Registry({spec.name: spec for spec in (*read_registry(), nasty, output)})


@pytest.fixture
def bash(tmp_path: Path, models: Registry) -> Completes:
    """What bash offers for the last of some words, in a folder with files."""
    (tmp_path / "completion.bash").write_text(script("bash", models), encoding="utf-8")
    for name in ("fire.png", "my picture.png", "*.png"):
        (tmp_path / "files" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "files" / name).touch()
    (tmp_path / "files" / "fine pictures").mkdir()
    ask = """
        source ../completion.bash
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _invoke
        printf '%s\\n' "${COMPREPLY[@]}"
    """

    def complete(*words: str) -> set[str]:
        done = subprocess.run(
            ["bash", "--norc", "-c", ask, "bash", "invoke", *words],
            cwd=tmp_path / "files",
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        assert not (tmp_path / "files" / "caught").exists()
        return set(filter(None, done.stdout.split("\n")))

    return complete


@pytest.mark.parametrize("shell", SHELLS)
def test_every_switch_and_option_is_in_every_script(shell: str) -> None:
    text = script(shell, read_registry())
    names = [row.name for row in SWITCHES if not (row.pending or row.obsolete)]
    names += [option.name.replace("_", "-") for option in OPTIONS if not option.pending]
    assert [name for name in names if name not in text] == []
    assert not [row.name for row in SWITCHES if row.obsolete and f"--{row.name} " in text]


@pytest.mark.parametrize("shell", SHELLS)
def test_print_completion_prints_the_script(shell: str) -> None:
    done = forked("--print-completion", shell)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout == script(shell, read_registry())
    needs(shell)
    subprocess.run([shell, "-n"], input=done.stdout, text=True, check=True)


def test_an_unknown_shell_is_refused() -> None:
    done = forked("--print-completion", "csh")
    assert done.status == 2
    assert "--print-completion must be one of bash zsh fish, not 'csh'" in done.stderr


def test_bash_completes_switches_and_options(bash: Completes) -> None:
    assert bash("--samp") == {"--sampler"}
    assert bash("a cat", "--exact") == {"--exact_steps"}
    assert bash("--from") == {"--from-file"}
    assert bash("-emb") == {"-embiggen", "-embiggen_tiles", "-embiggen_strength"}
    assert {"-s", "-I", "--dry-run", "--wild"} <= bash("-")
    assert bash("a c") == set(), "a prompt is nobody's business"


def test_bash_completes_values(bash: Completes) -> None:
    assert bash("-A", "") == set(SAMPLERS)
    assert bash("--sampler", "k_eu") == {"k_euler", "k_euler_a"}
    assert bash("--sampler", "=", "k_eu") == {"k_euler", "k_euler_a"}
    assert bash("--infill", "=") == set(by_name()["infill"].type.suggest())
    assert bash("--precision", "fl") == {"float32", "float16"}
    assert bash("-s", "") == set(), "a number"


def test_bash_completes_files(bash: Completes) -> None:
    files = {"fire.png", "my picture.png", "*.png", "fine pictures"}
    assert bash("-I", "") == bash("--config", "") == files
    assert bash("-M", "fi") == {"fire.png", "fine pictures"}
    assert bash("-o", "") == {"fine pictures"}


def test_bash_completes_models(bash: Completes) -> None:
    found = bash("-m", "")
    assert {"pocket", "sdxl", "told", "fire.png"} <= found
    assert MINE not in found, "it would be run"
    assert bash("--control", "can") == {"canny", "canny-sdxl"}
    assert "fire.png" in bash("--control", "canny", "fi")
    assert bash("--control", "canny", "fire.png", "") == set()


def test_fish_completes_switches_values_and_files(tmp_path: Path, models: Registry) -> None:
    needs("fish")
    (tmp_path / "completion.fish").write_text(script("fish", models), encoding="utf-8")

    def complete(line: str) -> str:
        command = f"source completion.fish; complete -C '{line}'"
        return subprocess.run(
            ["fish", "--no-config", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout

    assert complete("invoke --samp") == f"--sampler\t{by_name()['sampler'].help}\n"
    assert complete("invoke-shell -A k_lm") == f"k_lms\t{SAMPLERS['k_lms'].summary}\n"
    assert complete("invoke -I compl") == "completion.fish\n"
    assert "told\t$(touch caught) `touch caught` \"'\\" in complete("invoke -m tol")
    assert not (tmp_path / "caught").exists()


ZSH = """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PROMPT="> "; autoload -U compinit; compinit -u -D; source completion.zsh; bindkey "^I" complete-word'
zpty -w shell 'print re""ady'
zpty -r shell heard '*ready*'
zpty -n -w shell "$1"$'\\t'
zpty -n -w shell $'\\C-a: \\C-e; print don""e\\n'
zpty -r shell heard '*done*'
print -r -- "$heard"
"""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("invoke --samp", "--sampler"),
        ("invoke -A k_lm", "k_lms"),
        ("invoke -I compl", "completion.zsh"),
        ("invoke -m tol", "told"),
        ("invoke --control canny compl", "completion.zsh"),
    ],
)
def test_zsh_completes_switches_values_and_files(tmp_path: Path, models: Registry, line: str, said: str) -> None:
    needs("zsh")
    (tmp_path / "completion.zsh").write_text(script("zsh", models), encoding="utf-8")
    done = subprocess.run(
        ["zsh", "-f", "-c", ZSH, "zsh", line],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert said in done.stdout
    assert "command not found" not in done.stdout
    assert not (tmp_path / "caught").exists()


def test_bash_completes_devices_negated_options_and_commands(bash: Completes) -> None:
    assert bash("--device", "") == {"auto", "cpu", "cuda", "mps"}
    assert {"--no-fit", "--no-offline"} <= bash("--no-")
    assert bash("!mod") == {"!models"}
    assert "!doctor" in bash("!")


def test_fish_and_zsh_complete_commands() -> None:
    for shell in ("fish", "zsh"):
        assert "!gallery" in script(shell, read_registry())


@pytest.mark.parametrize("shell", SHELLS)
def test_install_completion_installs_for_the_current_shell(shell: str, tmp_path: Path) -> None:
    output = install(read_registry(), {"SHELL": f"/bin/{shell}", "HOME": str(tmp_path)})
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert str(written[0].parent) in output
    assert all(path.read_text(encoding="utf-8").rstrip() == script(shell, read_registry()).rstrip() for path in written)


def test_install_completion_in_another_shell_says_what_to_type() -> None:
    with pytest.raises(CommandError, match="SHELL is 'csh'"):
        install(read_registry(), {"SHELL": "/bin/csh", "HOME": "/nowhere"})
