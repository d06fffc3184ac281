"""Lines that are probably mistakes get a note or an error."""

import os
from pathlib import Path

import pytest

from invoke.errors import InvokeError
from invoke.language.parse import read
from invoke.language.resolve.prompt_checks import unknown_words
from invoke.models import read_registry
from tests.batches import Batches
from tests.line_contexts import PICTURES, a_context, plan

FIRE = f"-I {PICTURES / 'fire-drawing.png'}"


def refused(line: str) -> InvokeError:
    with pytest.raises(InvokeError) as caught:
        plan(line)
    return caught.value


@pytest.mark.parametrize(
    "line", ["-s 5", '""', '"" -s 5', '"  "', "--fit -s 5", '"\u200b"', '""""', "''", "‘’", "「」", "\u2800 -s 5"]
)
def test_an_empty_prompt_is_refused_with_an_example(line: str) -> None:
    error = refused(line)
    assert (error.code, error.column) == ("no_prompt", 0)
    assert "type what to paint" in error.hint


def test_an_explicit_empty_prompt_is_accepted() -> None:
    assert plan('--prompt "" -s 20').notes == ()
    assert "there is no prompt" in plan(f"{FIRE} -f 0.3").notes[0]
    assert plan(f"{FIRE} -f 0").notes == ()


@pytest.mark.parametrize(
    ("line", "typed"),
    [
        ("help", "!help"),
        ("models", "!models"),
        ("Clear", "!clear"),
        (" history ", "!history"),
        ("run", "!replay"),
        ("python", "!help"),
        ("?", "!help"),
        ("/help", "!help"),
        (":q", "!quit"),
        ("exit()", "!quit"),
        ("bye", "!quit"),
        ("help!", "!help"),
        ("Help?", "!help"),
        ("exit;", "!quit"),
        ("help models", "!help"),
        ("version", "!help"),
        ("！help", "!help"),
        ("！Fetch x.png", "!fetch"),
    ],
)
def test_a_command_without_exclamation_mark_is_refused(line: str, typed: str) -> None:
    error = refused(line)
    assert error.code == "bare_command"
    assert f"type {typed}" in error.message
    word = line.strip()
    assert f'"{word}"' in error.hint
    assert plan(f'"{word}"').picture(0).request.prompt == word
    assert plan(f"{word} -s 20").picture(0).request.prompt == word


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("a cat -I https://example.org/x.png?size=3", "save the picture and name its file"),
        ("a cat -I HTTP://example.org/", "save the picture and name its file"),
        (f"a cat {FIRE} -M ftp://x/y.png", "save the picture and name its file"),
        (f"a cat {FIRE} --init_color data:image/png;base64,xyz", "save the picture and name its file"),
        ("a cat -I file:///tmp/a%20b.png", "name the file itself: /tmp/a b.png"),
    ],
)
def test_addresses_are_not_downloaded(line: str, hint: str) -> None:
    error = refused(line)
    assert "addresses are not downloaded" in error.message
    assert error.hint == hint
    assert error.column is not None


@pytest.mark.parametrize(
    ("prompt", "ours"),
    [
        ("a (red cat:1.3)", "(red cat)1.3"),
        ("a [red:blue:0.5] cat", "red.swap(blue)"),
        ("a [red:10] cat", "type red without brackets"),
        ("a [red|blue] cat", '("red", "blue").blend(1, 1)'),
        ("a cat BREAK a dog", '("one part", "another").and()'),
        ("a cat AND a dog", '("one part", "another").and()'),
        ("embedding:foo cat", "<foo>"),
        ("a <lora:ink:0.5>", "withLora(ink, 0.5)"),
        ("a <lora:ink:.5:1>", "withLora(ink, .5)"),
        ("a <lora:ink>", "withLora(ink, 1)"),
        ("a tree Negative prompt: fog", "--negative_prompt"),
        ("a tree Steps: 20, Sampler: Euler a", "-s 20"),
        ("a {red|blue} tree", "--wild"),
        ("a tree, __weather__", "a line of weather.txt"),
        ("(tree)-1", "[tree]"),
        ("/imagine prompt: a tree", "type the prompt alone"),
        ("tree" + "+" * 40, "(tree)1.5"),
        ("a ((tree))", "word++"),
        ("a {{tree}}", "(tree)1.05"),
        ("a tree::2", "(tree)2"),
        ("a （tree）1.3", "(tree)1.3"),
    ],
)
def test_syntax_of_other_programs_names_ours(prompt: str, ours: str) -> None:
    assert any(ours in note for note in plan(f"{prompt} -s 20 -m sd-1.5").notes)


@pytest.mark.parametrize(
    "prompt", ["a tree", "a (tree)1.3, (big hill)++", "a [fog] hill", "16:9", "a cat(s) and dogs", "c++"]
)
def test_our_own_syntax_gets_no_note(prompt: str) -> None:
    assert plan(f"{prompt} -s 20 -m sd-1.5").notes == ()


@pytest.mark.parametrize("name", ["a\nb.png", "a\x1bb.png", os.fsdecode(b"caf\xe9.png")])
def test_a_file_name_that_no_line_can_contain_is_refused(name: str, tmp_path: Path) -> None:
    """L7: its saved line could not make it again."""
    (tmp_path / name).write_bytes((PICTURES / "fire-drawing.png").read_bytes())
    for line in (f"a fire -I {tmp_path}", f"a fire -I '{tmp_path}/*.png'"):
        error = refused(line)
        assert error.code == "untypable_name"
        assert name in error.message


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("a cat -s 1", "only 1 step is taken: raise -s"),
        ("a cat -s 2 -A k_heun", "only 2 steps are taken: raise -s"),
        (f"a cat -s 3 {FIRE} -f 1", "only 3 steps are taken: raise -s, or type --exact_steps"),
        (f"a cat -s 10 {FIRE} -f 0.2", "only 2 steps are taken: raise -s, or type --exact_steps"),
        ("a cat -s 20 -C 7.5 -A k_lms", "k_lms may overshoot and leave blobs at 20 steps and -C 7.5"),
        ("a cat -s 12 -C 9 -A plms", "type -s 40, -C 5 or -A k_dpmpp_2"),
    ],
)
def test_too_few_steps_are_noted_in_every_mode(line: str, note: str) -> None:
    assert any(note in said for said in plan(line).notes)


@pytest.mark.parametrize(
    "line", ["a cat -s 20", "a cat -s 20 -A k_lms", "a cat -s 4 -A lcm -C 1", "a cat -m sd-1.5 -s 30"]
)
def test_enough_steps_get_no_note(line: str) -> None:
    assert plan(line).notes == ()


def test_pocket_gets_notes_of_its_own() -> None:
    request = plan("a cat").picture(0).request
    assert (request.steps, request.guidance_scale, request.scheduler) == (20, 5, "ddim")
    assert plan("a cat", a_context(defaults={"steps": 9})).picture(0).request.steps == 9
    typed = plan("a cat -s 50 -C 7.5 -A k_lms").picture(0).request
    assert (typed.steps, typed.guidance_scale, typed.scheduler) == (50, 7.5, "k_lms"), "whatever the model has"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("astronaut in a jungle", "'astronaut', 'jungle'"),
        ("a Tree, photograph, at NIGHT", ""),
        ("a tree --negative_prompt blurry", "'blurry'"),
        ("a (tree)1.3 on a hill++ withLora(pocket-x,0.5)", None),
        ('("a tree", "a zebra").blend(1, 1)', "'zebra'"),
        ("a tree.swap(zebra, t_start=0.1)", "'zebra'"),
        ("a b c d e f gx hx ix jx kx lx", "'gx', 'hx', 'ix', 'jx', 'kx' and 1 more"),
        ("木 on a hill", "'木'"),
        ("हिन्दी का पेड़", "'हिन्दी', 'का', 'पेड़'"),
        ("می\u200cخواهم", "'می\u200cخواهم'"),
    ],
)
def test_words_unknown_to_pocket_are_named(line: str, words: str | None) -> None:
    if words is None:
        return
    output = [note for note in plan(line).notes if "does not know" in note]
    assert [note.split("does not know ")[1].split(";")[0] for note in output] == ([words] if words else [])


def test_the_path_of_a_lora_is_no_word_of_the_prompt() -> None:
    models = read_registry()
    texts = ("a tree withLora(astronaut, 1)", 'a tree withLora("a (zebra), astronaut.safetensors", 0.5)')
    assert [list(unknown_words(text, models.find("pocket"), models)) for text in texts] == [[], []]


def test_words_unknown_to_pocket_are_named_in_a_batch(batches: Batches) -> None:
    result = batches.run(["an astronaut -s 5"])
    assert "does not know 'astronaut'" in result.stderr
    result = batches.run(["an astronaut -s 5"], as_json=True)
    assert any("astronaut" in note for note in result.of_type("plan")[0]["notes"])


# L1, L8: what is typed on other keyboards and for other programs


@pytest.mark.parametrize(
    ("line", "prompt", "switches"),
    [
        ("猫　-s　1　-S　3", "猫", {"steps": 1, "seed": 3}),
        ("a\u00a0cat\u202f-s\u20093", "a\u00a0cat", {"steps": 3}),
        ("“a hill -s 5” -s 2", "a hill -s 5", {"steps": 2}),
        ("”Berg -s 5” -s 2", "Berg -s 5", {"steps": 2}),
        ("„Hügel“ -s 2", "Hügel", {"steps": 2}),
        ("a sign “open now” -s 2", "a sign “open now”", {"steps": 2}),
        ("a cat -I “my photo.png”", "a cat", {"init_img": "my photo.png"}),
        ("a - b – c — d", "a - b – c — d", {}),
        ("well–lit –5 degrees", "well–lit –5 degrees", {}),
        ("—dijo ella— en casa", "—dijo ella— en casa", {}),
        ('a -A "dpm++ 2m karras"', "a", {"sampler": "k_dpmpp_2", "karras": True}),
        ('a -A "Euler a"', "a", {"sampler": "k_euler_a"}),
        ("a -A dpm++_2m", "a", {"sampler": "k_dpmpp_2"}),
        ("a -A EulerAncestralDiscreteScheduler", "a", {"sampler": "k_euler_a"}),
        ("a -A dpmpp_2m_sde_gpu", "a", {"sampler": "k_dpmpp_2_a"}),
        ("a --n_iter 3 --ddim_steps 4 --scale 2", "a", {"iterations": 3, "steps": 4, "cfg_scale": 2.0}),
        (
            "a cat -s 2\n# a comment\non a mat -C 3 # and\n-W 64",
            "a cat on a mat",
            {"steps": 2, "cfg_scale": 3.0, "width": 64},
        ),
    ],
)
def test_lines_typed_on_other_keyboards_or_for_other_programs(
    line: str, prompt: str, switches: dict[str, object]
) -> None:
    draft = read(line)
    assert (draft.prompt, dict(draft.switches)) == (prompt, switches)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("line", "said", "column"),
    [
        ("a hill –s 1", "type -s", 7),
        ("a hill —S 2", "type -S", 7),
        ("a hill —steps=5", "type --steps=5", 7),
        ("a hill −−steps 5", "type --steps", 7),
        ("猫 ーs 3", "type -s", 2),
        ("－ｓ 3", "type -s", 0),
        ("a hill \u200b-s 3", "type -s", 7),
        ("a hill\u200b-s 3", "zero width space (U+200B) in place of a plain hyphen: type -s", 6),
        ("a hill\u2800-s\u28003", "type -s", 6),
        ("a hill ‐s 3", "hyphen (U+2010) in place of a plain hyphen: type -s", 7),
        ("a hill ─s 3", "type -s", 7),
        ("a –strenght 0.5", "type --strength", 2),
        ("“a hill -s 2", "never closed", 0),
        ("a ｜＞ b", "｜＞ in place of |>: type |>", 2),
        ("a -s ３", "not '３': type 3", 5),
        ("a -C ٧.٥", "not '٧.٥': type 7.5", 5),
        ("a -C −1", "not '−1': type -1", 5),
        ("a -s 5\u200b", ": type 5", 5),
        ("a -A euler a", "type -A k_euler_a", 2),
        ("a -A dpm++ 2m karras", "type -A k_dpmpp_2 --karras", 2),
        ("a -A dpm++_3m_sde", "did you mean 'k_dpmpp_2_a'", 5),
        ("a -b1", "-n is the number of pictures", 2),
        ("a --ar 16:9", "type -W 512 -H 384 for the size", 2),
        ("a --halp", "type !help", 2),
    ],
)
def test_words_that_are_not_meant_as_a_prompt_are_refused(line: str, said: str, column: int) -> None:
    with pytest.raises(InvokeError) as caught:
        read(line)
    assert said in caught.value.message
    assert caught.value.column == column


def test_a_folder_is_read_after_earlier_lines_have_written_to_it(batches: Batches) -> None:
    """L10: the files that a line reads exist before it is planned, also with batches and beside older files."""
    batches.run(["a bird -S 5"])
    result = batches.run(["a cat -n 2 -S 1", f"a dog -I {batches.folder} -f 0.5 -n 2 -S 9"], batch_size=4)
    assert result.status == 0, result.stderr
    assert batches.prompts() == {"a bird": 1, "a cat": 2, "a dog": 6}


def test_one_letter_is_a_command_only_where_it_leaves() -> None:
    assert str(refused("q")) == "q: type !quit to leave"
