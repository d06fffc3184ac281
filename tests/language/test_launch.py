"""The words behind `invoke` (spec, section 1)."""

from pathlib import Path
from typing import Any

import pytest

from invoke.errors import CommandError
from invoke.language.config_file import read_settings
from invoke.language.launch import read_arguments, warmth


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["fire -I fire.png -f 0.7"], "fire -I fire.png -f 0.7"),
        (["a castle", "-n2", "-S5"], "a castle -n2 -S5"),
        (["a", "castle", "on", "a", "hill", "-s", "10"], "a castle on a hill -s 10"),
        (["a castle", "-I", "my photo.png"], 'a castle -I "my photo.png"'),
        (["a castle", "-Imy photo.png"], 'a castle -I"my photo.png"'),
        (["a castle", "--image=my photo.png"], 'a castle --image="my photo.png"'),
        (["-I", "fire.png", "-f", "0.5"], "-I fire.png -f 0.5"),
        (["-S", "-1", "x"], "-S -1 x"),
        (["x", "--negative_prompt", "-s and more"], 'x --negative_prompt "-s and more"'),
        (["-I fire.png fire"], "-I fire.png fire"),
        (["-o", "out", "!fix fire.png -U 2"], "!fix fire.png -U 2 -o out"),
        (["--", "a cat"], "a cat"),
        (["-o", "out", "--", "!fix fire.png -U 2"], "!fix fire.png -U 2 -o out"),
        (["--", "a", "cat", "-I", "my photo.png", "--", "and so on"], 'a cat -I "my photo.png" -- and so on'),
        (["--", "-s", "10"], "-s 10"),
    ],
)
def test_arguments_are_joined_to_one_line(arguments: list[str], line: str) -> None:
    assert read_arguments(arguments).line == line


@pytest.mark.parametrize(
    ("arguments", "defaults"),
    [
        ([], {}),
        (["-s", "10", "--fit"], {"steps": 10, "fit": True}),
        (["-o", "my pictures"], {"outdir": "my pictures"}),
        (["--no-fit", "--cfg-scale=5"], {"fit": False, "cfg_scale": 5.0}),
        (["--model", "sd-1.5"], {"model": "sd-1.5"}),
    ],
)
def test_switches_without_a_prompt_are_defaults(arguments: list[str], defaults: dict[str, Any]) -> None:
    launch = read_arguments(arguments)
    assert launch.line is None
    assert launch.defaults == defaults


@pytest.mark.parametrize(
    ("arguments", "line", "defaults"),
    [
        (["-f", "0.7", "fire -I fire.png"], "fire -I fire.png", {"strength": 0.7}),
        (["-s", "10", "a fire |> a tree"], "a fire |> a tree", {"steps": 10}),
        (["-m", "sd-1.5", "-n2", "-S", "7", "a |> b"], "-S 7 a |> b", {"model": "sd-1.5", "iterations": 2}),
        (["--fit", "-I", "a b.png", "a fire", "-s", "5"], '-I "a b.png" a fire -s 5', {"fit": True}),
        (["-s", "1", ""], "", {"steps": 1}),
        (["-s", "1", "quit"], "quit", {"steps": 1}),
        (["-s", "1", "--", "a fire", "-C", "3"], "a fire -C 3", {"steps": 1}),
        (["-f", "3", "a fire"], "-f 3 a fire", {}),
    ],
)
def test_switches_before_a_line_are_defaults_if_valid_for_any_line(
    arguments: list[str], line: str, defaults: dict[str, Any]
) -> None:
    launch = read_arguments(arguments)
    assert (launch.line, launch.defaults) == (line, defaults)


def test_a_double_dash_ends_the_options() -> None:
    launch = read_arguments(["--json", "--", "a --json file"])
    assert launch.line == "a --json file"
    assert launch.options == {"json": "yes"}
    assert read_arguments(["--offline", "--"]) == read_arguments(["--offline"])


def test_options_are_recognised_anywhere() -> None:
    launch = read_arguments(["--dry_run", "a cat", "--json", "--device", "cpu", "-q"])
    assert launch.line == "a cat"
    assert launch.options == {"dry_run": "yes", "json": "yes", "device": "cpu", "quiet": "yes"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--sted", "10"], "there is no switch --sted, did you mean --seed?"),
        (["-s", "many"], "-s/--steps must be a whole number, not 'many'"),
        (
            ["--precision", "flaot16"],
            "--precision must be one of auto float32 tf32 float16 bfloat16, not 'flaot16'",
        ),
        (["--from-file"], "--from-file needs FILE|-"),
        (["--json=yes"], "--json takes no value"),
        (["--resume=yes"], "--resume takes no value"),
        (["--", "a cat", "--json"], "there is no switch --json"),
        (["--devise", "cpu"], "there is no switch --devise, did you mean --device NAME?"),
        (["--device", "cuba"], "--device must be auto, cpu, cuda, cuda:N or mps, not 'cuba', did you mean 'cuda'?"),
        (["--max-memory", "lots"], "--max-memory must be a number, not 'lots'"),
        (["-s", "5", "-S", "42"], "-S/--seed belongs in a line; it cannot be a default"),
        (["--from-file", "lines.txt", "-I", "a.png"], "-I/--init_img belongs in a line; it cannot be a default"),
        (
            ["--preview", "kity"],
            "--preview must be one of auto off blocks kitty iterm2 sixel, not 'kity', did you mean 'kitty'?",
        ),
    ],
)
def test_invalid_usage_is_refused(arguments: list[str], sentence: str) -> None:
    with pytest.raises(CommandError) as caught:
        read_arguments(arguments)
    assert caught.value.message.startswith(sentence)


@pytest.mark.parametrize(
    ("arguments", "setting", "seconds"),
    [
        ([], "", 0.0),
        (["--warm", "90"], "", 90.0),
        (["--warm", "90s"], "", 90.0),
        (["--warm=1.5m"], "", 90.0),
        (["--warm", "2h"], "warm: 1s", 7200.0),
        ([], "warm: 10m", 600.0),
        ([], "warm: off", None),
        (["--warm", "off"], "warm: 10m", None),
        (["--no-warm"], "warm: 10m", None),
        (["--no-warm", "--warm", "10m"], "", None),
    ],
)
def test_warm_times_are_parsed(arguments: list[str], setting: str, seconds: float | None, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(setting, encoding="utf-8")
    assert warmth(read_arguments([*arguments, "a cat"]).over(read_settings(file))) == seconds


@pytest.mark.parametrize("duration", ["soon", "-1", "10d", "8d", "1e3", "1h30m", "200h"])
def test_invalid_warm_times_are_refused(duration: str) -> None:
    with pytest.raises(CommandError, match=r"--warm needs a time up to 7 days, such as 90s, 10m or 8h, or off, not"):
        read_arguments([f"--warm={duration}", "a cat"])
