"""Laws for every line and every request (design, section 5)."""

from dataclasses import fields

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from invoke.errors import CommandError, InvokeError
from invoke.language.parse import Draft, parse, read
from invoke.language.render import render, render_prompt, render_switch
from invoke.language.resolve import resolve
from invoke.language.switches import SWITCHES, Switch, by_field, by_name
from invoke.language.tokens import quote, read_value
from invoke.request import Request
from tests.line_contexts import a_context
from tests.strategies import defaults, lines, prompts, requests


def test_switches_and_request_have_the_same_fields() -> None:
    assert set(by_field()) == {field.name for field in fields(Request)}


@pytest.mark.parametrize("row", SWITCHES, ids=lambda row: row.name)
def test_every_row_of_switches_is_complete(row: Switch) -> None:
    assert row.help, "every switch has help"
    assert not row.help.endswith(".")
    assert by_name()[row.name] is row, "no two rows share a name"
    if row.default is not None and not row.is_flag and row.default != ():
        typed = " ".join(render_switch(row, row.default))
        draft = parse(typed)
        assert (draft.switches | {"prompt": draft.prompt})[row.name] == row.default


@given(st.lists(prompts, min_size=2, max_size=3))
@example(["'", "'"])
@example(["a 'b", "c' d"])
@example(["‘tis", "a cat’s tail’"])
def test_a_chain_of_any_prompts_is_rendered_as_itself(texts: list[str]) -> None:
    draft = parse(" |> ".join(map(render_prompt, texts)))
    assert [part.prompt or "" for part in draft.parts] == texts


@given(requests, defaults)
def test_parsing_a_rendered_request_gives_it_again(request: Request, launch: dict[str, object]) -> None:
    plan = resolve(parse(render(request)), a_context(defaults=launch, model="sd-1.5"))
    assert plan.count == len(parse(render(request)).parts)
    assert plan.picture(plan.count - 1).request == request


@given(requests)
def test_a_rendered_request_is_one_line_and_not_a_command(request: Request) -> None:
    line = render(request)
    assert "\n" not in line
    assert isinstance(read(line), Draft)


@given(lines)
def test_any_text_is_parsed_or_refused_with_a_column(line: str) -> None:
    try:
        read(line)
    except CommandError as error:
        assert error.column is not None
        assert 0 <= error.column <= len(line)
        assert error.message
        assert "\n" not in error.message


@given(lines, defaults)
def test_any_text_is_planned_or_refused_with_a_message(line: str, launch: dict[str, object]) -> None:
    try:
        parsed = read(line)
        if isinstance(parsed, Draft):
            resolve(parsed, a_context(defaults=launch))
    except InvokeError as error:
        assert error.message


@given(prompts)
def test_a_prompt_is_rendered_as_itself(prompt: str) -> None:
    draft = parse(render_prompt(prompt))
    assert (draft.prompt or "") == prompt
    assert not draft.switches


@given(st.text(st.characters(exclude_categories=("Cc", "Cs"))))
def test_a_quoted_value_is_parsed_as_itself(text: str) -> None:
    word = read_value(quote(text), 0)
    assert (word.text, word.quoted) == (text, True)


@given(requests)
def test_planning_a_line_twice_gives_the_same_plan(request: Request) -> None:
    draft = parse(render(request))
    assert resolve(draft, a_context()).picture(0) == resolve(draft, a_context()).picture(0)
