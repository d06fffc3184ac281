"""Lines in, drafts or sentences out (spec, section 2)."""

import json
from math import copysign
from pathlib import Path
from typing import Any

import pytest

from invoke.errors import CommandError
from invoke.language.command_table import read_file_line
from invoke.language.parse import CommandCall, Draft, Nothing, Quit, parse, read
from invoke.language.switches import by_name

GOLDEN = Path(__file__).parents[3] / "shared" / "conformance" / "golden-lines.json"


@pytest.mark.parametrize(
    ("line", "prompt", "switches"),
    [
        ("a cat", "a cat", {}),
        ("there's a fly in my soup -n6", "there's a fly in my soup", {"iterations": 6}),
        ("fire -s10", "fire", {"steps": 10}),
        ("fire -s 10", "fire", {"steps": 10}),
        ("-s10 fire", "fire", {"steps": 10}),
        ("a -s10 red -f.5 fire", "a red fire", {"steps": 10, "strength": 0.5}),
        ("fire --steps=10 --num-inference-steps 20", "fire", {"steps": 20}),
        ("fire -S-1", "fire", {"seed": -1}),
        ("fire -I -1", "fire", {"init_img": "-1"}),
        ("fire --init-img a.png", "fire", {"init_img": "a.png"}),
        ('"-s10 is text" -s20', "-s10 is text", {"steps": 20}),
        (r'"a \"b\" \\ c \d"', r'a "b" \ c \d', {}),
        ('banana "sushi" roll', 'banana "sushi" roll', {}),
        ("a  b", "a  b", {}),
        ("-5 degrees - and -- hyphen-ated", "-5 degrees - and -- hyphen-ated", {}),
        ("x -I C:\\pics\\x.png", "x", {"init_img": "C:\\pics\\x.png"}),
        ("x -I 'my photo.png'", "x", {"init_img": "my photo.png"}),
        ("x -I it's.png", "x", {"init_img": "it's.png"}),
        ('x -I"my photo.png"', "x", {"init_img": "my photo.png"}),
        ("x --image='my photo.png'", "x", {"init_img": "my photo.png"}),
        ("x -tm hair 0.5 -U 2", "x", {"text_mask": ("hair", 0.5), "upscale": (2.0,)}),
        ("x -tm hair dark", "x dark", {"text_mask": ("hair",)}),
        ("x -U 2 0.5", "x", {"upscale": (2.0, 0.5)}),
        ("x -c top 64 right 128 sunny", "x sunny", {"outcrop": ("top", 64, "right", 128)}),
        ("x -gt", "x", {"grid": True, "log_tokenization": True}),
        ("x -gs10", "x", {"grid": True, "steps": 10}),
        ("x --no-fit --no_grid", "x", {"fit": False, "grid": False}),
        ("--prompt 'a cat' -s10", "a cat", {"steps": 10}),
        ("-s10", None, {"steps": 10}),
        ('""', "", {}),
        ("x -V 1:0.1,2:0.25", "x", {"with_variations": ((1, 0.1), (2, 0.25))}),
        ("x -m k_euler", "x", {"sampler": "k_euler"}),
        ('"a # b" -s10 # a comment', "a # b", {"steps": 10}),
        ("a cat -s10 # model_id=sd", "a cat", {"steps": 10}),
        ("a cat #1", "a cat #1", {}),
        ("x -f -0", "x", {"strength": 0.0}),
    ],
)
def test_a_line_gives_prompt_and_switches(line: str, prompt: str | None, switches: dict[str, Any]) -> None:
    draft = parse(line)
    assert (draft.prompt, dict(draft.switches)) == (prompt, switches)


@pytest.mark.parametrize(
    ("line", "sentence", "column"),
    [
        ("fire -strenght 0.5", "there is no switch -strenght, did you mean --strength?", 5),
        ("a well -lit room", "there is no switch -lit", 7),
        ("fire --stepz 5", "there is no switch --stepz, did you mean --steps?", 5),
        ("fire --s 5", "there is no switch --s, did you mean -s?", 5),
        ("fire --no-steps", "there is no switch --no-steps", 5),
        ("fire --no-gird", "there is no switch --no-gird, did you mean --no-grid?", 5),
        ("fire -s", "-s/--steps needs a number from 1 to 1000", 5),
        ("fire -s -n2", "-s/--steps needs a number from 1 to 1000", 5),
        ("fire -I", "-I/--init_img needs a picture", 5),
        ("fire --upscaler", "--upscaler needs an upscaler", 5),
        ("fire -o ''", "-o/--outdir must name a folder", 8),
        ("fire -s 10.5", "-s/--steps must be a whole number, not '10.5'", 8),
        ("fire -f 0,5", "-f/--strength must be a number, not '0,5'", 8),
        ("fire -f 1.5", "-f/--strength must be between 0 and 1, not 1.5", 8),
        ("fire -f nan", "-f/--strength must be a number, not 'nan'", 8),
        ("fire -C 1e999", "-C/--cfg_scale must be a finite number, not '1e999'", 8),
        ("fire -S 4294967296", "-S/--seed must be at most 4294967295, not 4294967296", 8),
        ("fire --grid=1", "-g/--grid takes no value", 5),
        ("fire -A k_eular", "-A/-sampler/--sampler must be one of", 8),
        ("fire -V 1:0.1,x:2", "-V/--with_variations must be seed:weight,seed:weight; 'x:2'", 8),
        ("fire --fnformat {sead}", "--fnformat must be made of {prefix} {seed} {prompt} ", 16),
        ("fire --fnformat {}", "--fnformat must be made of {prefix} {seed} {prompt} ", 16),
        ("fire --fnformat x{prompt.__class__}", "--fnformat must be made of {prefix} ", 16),
        ("fire --fnformat {prompt[0]}", "--fnformat must be made of {prefix} ", 16),
        ("fire --fnformat {seed!r}", "--fnformat cannot format {seed} as 'r'", 16),
        ("fire --fnformat {seed:>99999999}", "--fnformat cannot format {seed} as '>99999999'", 16),
        ("fire --fnformat {seed:{steps}}", "--fnformat cannot format {seed} as '{steps}'", 16),
        ("fire --fnformat {prompt:d}", "--fnformat cannot format {prompt} as 'd'", 16),
        ("fire --fnformat {seed", "--fnformat must be a template, not '{seed': expected '}'", 16),
        ("fire --fnformat seed}", "--fnformat must be a template, not 'seed}': Single '}'", 16),
        ('fire "open', "this double quote is never closed", 5),
        ('"a cat" and more', "there are words after the quoted prompt", 8),
        ('"a cat"-s10', "a space is missing after the quoted prompt", 0),
        ("fire --prompt x", "this line has a prompt and --prompt", 5),
        ("fire -h", "type !help", 5),
        ("a \x1b[31m cat", "control character \\x1b in the line", 2),
        ("x" * 70_000, "this line has 70000 characters: the limit is 65536", 65_536),
    ],
)
def test_an_invalid_line_is_an_error_with_column_and_hint(line: str, sentence: str, column: int) -> None:
    with pytest.raises(CommandError) as caught:
        parse(line)
    assert caught.value.message.startswith(sentence)
    assert f"did you mean {line[column:]}?" not in caught.value.message
    assert caught.value.column == column


@pytest.mark.parametrize("switch", ["I", "o", "m", "-fnformat"])
def test_a_value_that_begins_with_a_dash_works_as_the_hint_says(switch: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse(f"fire -{switch} -dash.png")
    assert 'in double quotes: "-dash.png"' in caught.value.hint
    assert "-dash.png" in parse(f'fire -{switch} "-dash.png"').switches.values()
    if "./-dash.png" in caught.value.hint:
        assert "./-dash.png" in parse(f"fire -{switch} ./-dash.png").switches.values()


@pytest.mark.parametrize(
    "line", ["fire -I -s 20", "fire -I --karras", "fire -I --no-fit", "fire -I -gt", "fire -s -dash", "fire -I"]
)
def test_a_switch_in_place_of_a_value_is_not_called_a_value(line: str) -> None:
    with pytest.raises(CommandError, match="needs") as caught:
        parse(line)
    assert caught.value.hint == ""


@pytest.mark.parametrize("line", ["", "  ", "# a comment", "// so is this", "  # this too"])
def test_comments_and_empty_lines_give_nothing(line: str) -> None:
    assert read(line) == Nothing()


@pytest.mark.parametrize(
    ("line", "prompt"),
    [
        ('outputs/img-samples/000045.2592180132.png: "a fire" -s 50', "a fire"),
        ("[12] my pictures/000032.7-01.png: a fire -s 50", "a fire"),
        (r"C:\pics\000032.7.outcrop.png: a fire -s 50", "a fire"),
        ('"000032.7.png: a fire" -s 50', "000032.7.png: a fire"),
        ("a sign says 000032.7.png: a fire -s 50", "a sign says 000032.7.png: a fire"),
        ("fire.png: a fire -s 50", "fire.png: a fire"),
    ],
)
def test_a_log_line_is_parsed_without_its_path(line: str, prompt: str) -> None:
    draft = read(line)
    assert isinstance(draft, Draft)
    assert (draft.prompt, draft.switches) == (prompt, {"steps": 50})
    assert line[draft.columns["steps"] :] == "-s 50"


@pytest.mark.parametrize("line", ["q", "quit", "exit", " q "])
def test_words_that_quit(line: str) -> None:
    assert read(line) == Quit()


def test_a_quoted_quit_is_a_prompt() -> None:
    assert isinstance(read('"quit"'), Draft)


@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("!fetch my picture.png", CommandCall("fetch", "my picture.png", 7)),
        ("!!", CommandCall("!", "", 2)),
        ("!20", CommandCall("20", "", 3)),
        ("  !set -s 20 ", CommandCall("set", "-s 20", 7)),
    ],
)
def test_commands_are_parsed_with_their_arguments(line: str, call: CommandCall) -> None:
    assert read(line) == call


def test_a_sampler_after_m_is_read_as_the_sampler() -> None:
    assert parse("x -m k_lms").notes == ("-m names a model; k_lms is a sampler, so this is read as -A k_lms",)


def test_obsolete_switches_are_accepted_with_a_note() -> None:
    draft = parse("x --seam_size 10 -x")
    assert len(draft.notes) == 2
    assert all("no longer has an effect" in note for note in draft.notes)


# Results of the old parser. It accepted these without checking the range, which we check.
UNCHECKED = {
    "banana -W0 -H0 -s10",
    "banana -n0 -s10",
    "banana -S 99999999999999999999",
    "banana -v 1.5 -S42",
    "banana --perlin=-0.2 -s10",
}
# It refused these, and the spec says that dashes are text.
DASHES = {"-5 degrees outside -s10", "banana sushi -s10 -- more words", "- -s10", "-- -s10"}
# These, too: every dialect's name of a sampler is understood now.
DIALECTS = {"banana -A K_LMS -s30"}
ABBREVIATED = ("--step ", "--iter ", "--init_im ")


def _golden() -> list[Any]:
    if not GOLDEN.exists():
        return []
    records = json.loads(GOLDEN.read_text(encoding="utf-8"))
    kept = [record for record in records if record.get("line") and not record.get("quirk")]
    return [record for record in kept if record["stage"] in {"generate", "postprocess", "mask"}]


@pytest.mark.skipif(not GOLDEN.exists(), reason="the conformance lines are not beside this checkout")
@pytest.mark.parametrize("record", _golden(), ids=lambda record: record["line"][:60])
def test_lines_of_the_old_parser_keep_their_meaning(record: dict[str, Any]) -> None:
    line = record["line"]
    if line in UNCHECKED | DASHES | DIALECTS or any(name in line for name in ABBREVIATED):
        return
    try:
        parsed = read(line)
    except CommandError:
        assert not record["ok"]
        return
    assert record["ok"]
    draft = read_file_line(parsed) if isinstance(parsed, CommandCall) else parsed
    assert isinstance(draft, Draft)
    ours = dict(draft.switches) | {"prompt": draft.prompt or ""}
    theirs = {"sampler" if name == "sampler_name" else name: value for name, value in record["parsed"].items()}
    assert {name: _spoken(value) for name, value in theirs.items()} == {
        name: _spoken(value)
        for name, value in ours.items()
        if name in theirs or value != by_name()[name].default  # the old parser omitted defaults
    }


def _spoken(value: Any) -> Any:
    """Lists as words and variations as text, as in the old parser."""
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):
        return ",".join(f"{seed}:{weight}" for seed, weight in value)
    if isinstance(value, list | tuple):
        return [str(float(part)) if isinstance(part, int | float) else _number(part) for part in value]
    return value


def _number(text: str) -> str:
    try:
        return str(float(text))
    except ValueError:
        return text


def test_a_value_in_curly_quotes_loses_the_quotes() -> None:
    draft = parse("a cat --negative_prompt “dark  night”")
    assert draft.switches["negative_prompt"] == "dark  night"


@pytest.mark.parametrize("switch", ["-s", "-C"])
def test_a_number_has_at_most_40_characters(switch: str) -> None:
    name = {"-s": "steps", "-C": "cfg_scale"}[switch]
    assert parse(f"a cat {switch} {'7'.zfill(40)}").switches[name] == 7
    with pytest.raises(CommandError, match="must be a"):
        parse(f"a cat {switch} {'7'.zfill(41)}")


def test_minus_zero_is_zero_and_a_refiner_has_a_usual_share() -> None:
    assert copysign(1, parse("a cat -f -0.0").switches["strength"]) == 1
    assert parse("a cat --refiner some-model").switches["refiner"] == ("some-model", 0.8)
    assert parse("a cat --refiner some-model:0.5").switches["refiner"] == ("some-model", 0.5)
