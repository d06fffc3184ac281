"""`first |> second`: each part starts from the picture of the previous part."""

import json
from dataclasses import asdict

import pytest

from invoke.errors import InvokeError
from invoke.language.parse import parse
from invoke.language.render import render
from invoke.outputs.metadata_json import request_from
from invoke.request import Request
from tests.line_contexts import PICTURES, a_context, plan

FIRE = PICTURES / "fire-drawing.png"


def test_each_part_starts_from_the_picture_of_the_previous_part() -> None:
    first, second, third = plan("fire -s8 |> at night -f .5 -C 5 |> oil painting -m sd-1.5").pictures()
    assert (first.request.prompt, first.mode, first.request.steps) == ("fire", "txt2img", 8)
    assert (second.request.before, second.mode, second.points) == (first.request, "img2img", 10)
    assert (third.request.before, third.request.model) == (second.request, "sd-1.5")
    assert (third.request.width, third.request.height) == (256, 256)


def test_a_part_has_the_final_size_of_the_previous_part() -> None:
    *_, last = plan(f"fire -I {FIRE} -c right 64 |> sea").pictures()
    assert (last.request.width, last.request.height) == (448, 384)


def test_each_picture_of_a_part_starts_its_own_chain() -> None:
    planned = plan("fire -n 2 -S 10 |> sea -n 3 -S 20")
    seeds = [(one.request.before.seed if one.request.before else None, one.request.seed) for one in planned.pictures()]
    assert seeds == [
        (None, 10), (10, 20), (10, 21), (10, 22),
        (None, 11), (11, 23), (11, 24), (11, 25),
    ]  # fmt: skip


def test_variations_in_a_chain_start_from_their_own_pictures() -> None:
    output = [(one.source, one.request.seed) for one in plan("fire -n 2 -S 10 |> sea -S 20 -v .3 -n 2").pictures()]
    assert output == [(None, 10), (None, 20), (1, 21), (1, 22), (None, 11), (None, 23), (5, 24), (5, 25)]


def test_the_saved_line_of_a_part_contains_the_chain_up_to_it() -> None:
    *_, last = plan("fire |> sea |> oil").pictures()
    line = render(last.request)
    assert line.count("|>") == 2
    *_, again = plan(line).pictures()
    assert again.request == last.request


def test_output_switches_of_a_later_part_apply_to_all_with_a_note() -> None:
    planned = plan("fire -o one -s 5 |> sea -o two -s 6 |> oil")
    assert planned.output.outdir == "two"
    assert [note for note in planned.notes if "-o" in note] == [
        "-o one has no effect: -o two later in the line applies to the whole chain"
    ]
    assert not [note for note in plan("fire -o one |> sea -o one").notes if "-o" in note]


def test_a_chain_is_read_back_from_its_file() -> None:
    *_, last = plan("fire |> sea |> oil").pictures()
    assert request_from(json.loads(json.dumps(asdict(last.request)))) == last.request


def test_an_arrow_in_quotes_is_text() -> None:
    assert parse('"a |> b"').prompt == "a |> b"
    assert parse('"a |> b"').before is None
    assert parse("a|>b").before is None


def test_output_switches_of_any_part_apply_to_all() -> None:
    assert plan("fire -o elsewhere |> sea").output.outdir == "elsewhere"


def test_the_summary_numbers_the_parts() -> None:
    summary = plan("fire |> sea -f .5").summary
    assert "1. txt2img  256×256" in summary
    assert "2. img2img  the previous picture 256×256 → 256×256" in summary


@pytest.mark.parametrize(
    ("line", "sentence", "at"),
    [
        ("fire |>", "a part of the chain is missing next to |>", "|>"),
        ("|> fire", "a part of the chain is missing next to |>", "|> fire"),
        ("fire |> |> sea", "a part of the chain is missing next to |>", " |> sea"),
        (f"fire |> sea -I {FIRE}", "after |> a part starts from the picture of the previous part", "-I"),
        ("fire |> sea --sweep steps=1,2", "--sweep and |> cannot be combined", "--sweep"),
        (f"fire -I {FIRE} -v .2 |> sea", "-v with an init picture cannot be followed by |>", "-v"),
        ("fire |> sea -f 2", "must be between 0 and 1", "2"),
        ("fire |> sea -strenght 2", "-strenght", "-strenght"),
        ("fire |> sea -m nowhere", "no model is called 'nowhere'", "-m"),
        (" |> ".join(["fire"] * 17), "a chain has at most 16 parts", "fire"),
    ],
)
def test_invalid_chains_are_refused_at_their_column(line: str, sentence: str, at: str) -> None:
    with pytest.raises(InvokeError) as refused:
        plan(line, a_context())
    assert sentence in refused.value.message
    assert refused.value.column is not None
    assert 0 <= refused.value.column <= len(line)


def test_requests_without_a_chain_have_no_previous_part() -> None:
    request: Request = plan("fire").picture(0).request
    assert request.before is None
    assert request.init_path is None


def test_pictures_of_a_sweep_start_from_those_of_their_own_value() -> None:
    line = f"fire -I {PICTURES / 'fire-drawing.png'} -S 10 -v .3 -n 2 --sweep steps=4,5,6"
    output = [(one.source, one.request.steps) for one in plan(line).pictures()]
    assert output == [(None, 4), (0, 4), (0, 4), (None, 5), (3, 5), (3, 5), (None, 6), (6, 6), (6, 6)]
    drifting = [one.source for one in plan(f"{line} --drift").pictures()]
    assert drifting == [None, 0, 1, None, 3, 4, None, 6, 7]
