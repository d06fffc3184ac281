"""Completion as a table: text before the cursor in, suggestions out."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from invoke.errors import CommandError
from invoke.language.command_table import COMMANDS
from invoke.language.complete import suggest
from invoke.language.complete.sources import Sources
from invoke.language.parse import CommandCall, parse, read
from invoke.language.switches import SWITCHES
from invoke.samplers import SAMPLERS

FOLDERS = {
    ".": [
        ("pics", True),
        ("my pics", True),
        ("fire.png", False),
        ("fire's back.JPG", False),
        ('say "cheese".png', False),
        ("-dash.png", False),
        ("'quoted'.png", False),
        ("back\\slash.png", False),
        ("bell\x07.png", False),
        (".hidden.png", False),
        ("notes.txt", False),
        ("small.safetensors", False),
    ],
    "my pics/": [("a b.png", False), ("c.png", False)],
    "/home/ana/": [("face.png", False)],
    "outputs": [("000001.42.png", False), ("intermediates", True)],
}
SOURCES = Sources(
    models={"pocket": "small scenes", "sd-1.5": "Stable Diffusion 1.5"},
    added={"lora": {"wood": "", "water.v2": ""}, "embedding": {"thing": ""}},
    changed={"width": "-W 512", "fit": "--fit"},
    wildcards=lambda: ["colours", "animals/cats", "animals/dogs"],
    made=[("outputs/000001.42.png", 42), ("outputs/000002.7.png", 7)],
    folder=lambda path: FOLDERS.get(path, ()),
    about_picture=lambda path: "8×8",
)


def texts(before: str) -> list[str]:
    return [suggestion.text for suggestion in suggest(before, SOURCES)]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("a cat --str", ["--strength", "--strength_map", "--strip"]),
        ("a cat -str", ["--strength", "--strength_map", "--strip"]),
        ("a cat -fi", ["-fit"]),
        ("a cat --init-i", ["--init_img"]),
        ("a cat --sched", ["--scheduler"]),
        ("a cat --no-fi", ["--no_fit"]),
        ("a cat -f ", ["0.75"]),
        ("a cat -A euler", ["k_euler", "k_euler_a"]),
        ("a cat -Ak_heu", ["k_heun"]),
        ("a cat --sampler=dd", ["ddim", "ddpm"]),
        ("a cat --infill so", ["solid"]),
        ("a cat -m sd", ["sd-1.5"]),
        ("a cat -m ./", []),
        ("a cat -m .", []),
        ("a cat -S ", ["7", "42"]),
        ("a cat -S4", ["42"]),
        ("a cat -S -", ["-1", "-2"]),
        ("a cat -I -2", ["-2"]),
        ("-I fi", ['"fire\'s back.JPG"', "fire.png"]),
        ("-I my", ['"my pics/"']),
        ('-I "my pics/', ['"my pics/a b.png"', '"my pics/c.png"']),
        ('-I "my pics/"', ['"my pics/a b.png"', '"my pics/c.png"']),
        ('-I "my pics/"a', ['"my pics/a b.png"']),
        ("--image=my", ['"my pics/"']),
        ('-I"my', ['"my pics/"']),
        ("-I say", [r'"say \"cheese\".png"']),
        ("-I -d", ['"-dash.png"']),
        ("-I .h", [".hidden.png"]),
        ("-I 0000", ["000001.42.png"]),
        ("-I ~", ["~/"]),
        ("-o p", ["pics/"]),
        ("a cat", []),
        ('"a cat -f', []),
        ("# a cat -", []),
        ("a cat -s 10 -tm ", []),
        ("!fi", ["!fix"]),
        ("!fix fire.png --upsc", ["--upscale", "--upscaler", "--upscale_guidance"]),
        ("!fetch fire.", ["fire.png"]),
        ("!fetch fire.png n", []),
        ("!replay n", ["notes.txt"]),
        ("!switch p", ["pocket"]),
        ("!set -I", []),
        ("!set --stri", ["--strip"]),
        ("!! --infill b", ["blur"]),
        ("!help --stri", ["--strip"]),
        ("!help k_heu", ["k_heun"]),
        ("!wow -", []),
        ("!mask fire.png -t", ["-tm"]),
        ("!edit_model pocket sam", ["sampler"]),
        ("!edit_model pocket sampler dd", []),
        ("a cat withL", ["withLora(wood,1)", "withLora(water.v2,1)"]),
        ("a cat withLora(wat", ["withLora(water.v2,1)"]),
        ('"a cat withLora(wo', ["withLora(wood,1)"]),
        ("a cat with", []),
        ("a <", ["<thing>"]),
        ("!set re", ["reset"]),
        ("!set reset ", ["-W", "-T"]),
        ("!set reset -T -", ["-W", "-T"]),
        ("!set -s 10 re", []),
        ("a __col", ["__colours__"]),
        ("a {2$$__animals/", ["__animals/cats__", "__animals/dogs__"]),
        ('"a big __an', ["__animals/cats__", "__animals/dogs__"]),
        ('a cat --negative_prompt "no __c', ["__colours__"]),
        ("a cat [__c", ["__colours__"]),
        ("a __colours__", []),
        ("a big__", []),
        (r"a \__col", []),
    ],
)
def test_completion_suggests_for_the_text_before_the_cursor(before: str, expected: list[str]) -> None:
    assert texts(before) == expected


def test_the_home_folder_is_completed_as_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ana")
    assert texts("-I ~/f") == ["~/face.png"]


def test_pictures_of_the_session_come_first_and_files_show_their_size() -> None:
    first, *_, last = suggest("-I ", SOURCES)
    assert (first.text, first.about) == ("-1", "outputs/000002.7.png")
    assert last.about == "8×8"


def test_an_empty_line_suggests_switches_and_commands() -> None:
    offered = set(texts(""))
    working = {f"-{row.short[0]}" for row in SWITCHES if row.short and not (row.pending or row.obsolete)}
    assert working < offered
    assert {f"!{row.name}" for row in COMMANDS if not row.pending} - offered == {"!NNN"}


@pytest.mark.parametrize("name", [row.name for row in SWITCHES if not (row.pending or row.obsolete)])
def test_every_switch_is_completed_by_its_name(name: str) -> None:
    assert f"--{name}" in texts(f"a cat --{name[:-1]}")


def test_every_sampler_is_suggested() -> None:
    assert texts("a cat -A ") == list(SAMPLERS)


_pieces = st.sampled_from(
    ["-I", "-I ", "-s ", "-f ", "-A ", "-S ", "-m ", "-o ", "-c ", "-tm ", "--init_img=", "-I=", "-A", "-S", "--no-",
     "--", "-", '"', "'", "\\", " ", "  ", "my", "my pics/", "fire", "k_", "top ", "64 ", "!set ", "!! ", "!fetch ",
     "!help ", "!", "#", "~", "/", ".", "1", "0.5 ", "=", "a cat ", "p", "--prompt ", "-gt", "-e", "\t",
     "<", "withL", "withLora("]
)  # fmt: skip
_begun = st.one_of(st.lists(_pieces, max_size=6).map("".join), st.text(max_size=20))


@given(_begun)
@example('-I "my pics/"')
@example("-I'my")
@example('--init_img="my')
@example("-I<")
def test_every_suggestion_gives_a_valid_line(before: str) -> None:
    """Inserted, it is valid, waits for a value, or fails only where the line failed before."""
    for suggestion in suggest(before, SOURCES):
        assert 0 <= suggestion.start <= len(before)
        line = before[: suggestion.start] + suggestion.text
        allowed = {None, "missing_value", problem(before[: suggestion.start])}
        if "--prompt" in before:
            allowed.add("two_prompts")  # seen only where the line ends
        if "-c" in before:
            allowed.add("bad_value")  # of what was typed before, seen once there are two words
        assert problem(line) in allowed, line


def problem(line: str) -> str | None:
    try:
        parsed = read(line)
        if isinstance(parsed, CommandCall) and parsed.name in {"set", "!"}:
            parse(parsed.rest)
    except CommandError as error:
        return error.code
    return None


def test_a_large_folder_lists_a_limited_number_of_files() -> None:
    names = [(f"IMG {number:05}.png", False) for number in range(5000)]
    assert len(suggest("a cat -I IMG", Sources(folder=lambda path: names))) == 1000


def test_arguments_of_commands_are_completed() -> None:
    files = [("old.ckpt", False), ("new.safetensors", False), ("models", True)]
    sources = Sources(models={"sd-1.5": ""}, added={"controlnet": {"canny": ""}}, folder=lambda path: files)
    for typed, offered in (
        ("!edit_model ", ["sd-1.5", "canny"]),
        ("!del_model ca", ["canny"]),
        ("!switch ", ["sd-1.5"]),
        ("!optimize_model ", ["models/", "old.ckpt"]),
        ("!import_model ./", ["./models/", "./new.safetensors"]),
    ):
        assert [found.text for found in suggest(typed, sources)] == offered


def test_after_an_arrow_completion_starts_again() -> None:
    """The previous part does not affect completion."""
    assert [found.text for found in suggest("fire -s 20 |> sea --stren", SOURCES)] == ["--strength", "--strength_map"]
    assert "k_heun" in [found.text for found in suggest("fire |> sea -A k_h", SOURCES)]
