"""`--wild`: choices in a prompt, drawn by the picture's seed."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke.errors import CommandError, InvokeError, RequestError
from invoke.language.parse import parse
from invoke.language.plan import Plan
from invoke.language.render import render
from invoke.language.resolve import resolve
from invoke.language.resolve.wildcards import draw
from invoke.outputs import metadata
from tests.line_contexts import a_context, plan
from tests.strategies import defaults, prompts
from tests.studio import Studio

wild_texts = st.lists(
    st.sampled_from(
        ["{", "}", "|", "2$$", "1-2$$", " and $$", "0.5::", "__", "__a__", "\\", "red", "a fox ", "++", "("]
    ),
    max_size=30,
).map("".join)
"""Texts with much wildcard syntax."""


def folder_of(path: Path, **files: str) -> Path:
    """A folder of wildcards; `__` in a name is a folder of its own."""
    for name, text in files.items():
        file = path / f"{name.replace('__', '/')}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return path


def all_drawn(text: str, *folders: Path) -> set[str]:
    return {draw(text, seed, folders) for seed in range(300)}


def prompts_of(made: Plan) -> list[str]:
    return [planned.request.prompt for planned in made.pictures()]


# what can be drawn


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("a {red|blue} fox", {"a red fox", "a blue fox"}),
        ("a {big|} fox", {"a big fox", "a fox"}),
        ("{a|{b|{c|d}}} x", {"a x", "b x", "c x", "d x"}),
        ("{2$$a|b|c}", {"a, b", "b, a", "a, c", "c, a", "b, c", "c, b"}),
        ("{1-2$$ and $$a|b}", {"a", "b", "a and b", "b and a"}),
        ("{0$$a|b}x", {"x"}),
        ("{0::a|1::b}", {"b"}),
        (
            "(a {red|blue} fox)1.3 [{rain|snow}]",
            {f"(a {c} fox)1.3 [{w}]" for c in ("red", "blue") for w in ("rain", "snow")},
        ),
        (r"\{a|b\} {c|d\|e} \__f__", {"{a|b} c __f__", "{a|b} d|e __f__"}),
    ],
)
def test_choices_give_exactly_these_texts_over_many_seeds(text: str, drawn: set[str]) -> None:
    assert all_drawn(text) == drawn


@pytest.mark.parametrize(
    "text",
    [
        "__/etc/passwd__",
        "__../a__",
        "a lone { brace",
        "} and |",
        "{a}",
        "{a|b",
        "hi__there",
        "it's 50% off!",
        "price $5",
        "a # 4k",
        "a  b",
        "____",
    ],
)
def test_syntax_that_is_not_a_choice_is_text(text: str) -> None:
    assert all_drawn(text) == {text}


def test_weights_set_the_frequency_of_options() -> None:
    drawn = Counter(draw("{3::often|rarely}", seed, []) for seed in range(1000))
    assert 700 < drawn["often"] < 800


@given(wild_texts, st.integers(0, 2**32 - 1))
def test_any_text_is_drawn_from_or_refused(text: str, seed: int) -> None:
    try:
        drawn = draw(text, seed, [])
    except RequestError as error:
        assert error.message
        assert 0 <= (error.column or 0) <= len(text)
    else:
        assert drawn == draw(text, seed, [])


def test_the_text_drawn_by_a_seed_never_changes() -> None:
    """Shared lines keep their meaning: the same on every machine and in every version."""
    assert [draw("{red|blue|green} {2$$a|b|c}", seed, []) for seed in range(4)] == EXPECTED


EXPECTED = ["green b, a", "red a, b", "red c, b", "green c, b"]


# files


def test_a_wildcard_file_gives_one_of_its_lines(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, sky="# skies\nclear\n\n  3::cloudy \r\n", deep__sky="stars\n")
    assert all_drawn("a __sky__ sky", folder) == {"a clear sky", "a cloudy sky"}
    assert all_drawn("{__deep/sky__|sun}", folder) == {"stars", "sun"}
    assert all_drawn("{2$$__sky__}", folder) == {"clear, cloudy", "cloudy, clear"}


def test_wildcard_files_may_contain_files_and_choices(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, animal="a {big|small} __pet__\n", pet="cat\ndog\n")
    assert all_drawn("__animal__", folder) == {f"a {size} {pet}" for size in ("big", "small") for pet in ("cat", "dog")}


def test_the_first_wildcard_folder_takes_precedence(tmp_path: Path) -> None:
    mine = folder_of(tmp_path / "mine", pet="cat")
    ours = folder_of(tmp_path / "ours", pet="dog", sky="blue")
    assert all_drawn("__pet__ __sky__", mine, ours, tmp_path / "nowhere") == {"cat blue"}


@pytest.mark.parametrize("name", ["a/../../secret", "Pet", "pet.txt", "pe", "link", "folder/../pet", "folder/"])
def test_wildcard_names_match_exactly_inside_their_folders(tmp_path: Path, name: str) -> None:
    folder = folder_of(tmp_path / "wildcards", pet="cat", folder__other="x")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(RequestError, match="there is no wildcard file"):
        draw(f"__{name}__", 1, [folder])


def test_a_missing_wildcard_file_is_an_error_at_its_column(tmp_path: Path) -> None:
    context = a_context(wildcards=[folder_of(tmp_path, colours="red")])
    with pytest.raises(RequestError) as caught:
        resolve(parse("-s 5 a {big __colour__|small} cat --wild"), context)
    assert caught.value.message == "there is no wildcard file colour.txt, did you mean __colours__?"
    assert caught.value.column == 12
    assert str(tmp_path) in caught.value.hint


def test_a_missing_nested_wildcard_file_is_an_error_only_when_drawn(tmp_path: Path) -> None:
    context = a_context(wildcards=[folder_of(tmp_path, pet="__nowhere__")])
    with pytest.raises(RequestError, match=r"no wildcard file nowhere\.txt") as caught:
        resolve(parse("a __pet__ --wild"), context)
    assert caught.value.column == 0


@pytest.mark.parametrize(
    ("text", "files", "sentence"),
    [
        ("__a__", {"a": "__b__", "b": "__a__"}, "the wildcard file __a__ refers to itself: a → b → a"),
        ("{3$$a|b}", {}, "cannot draw 3 of 2 texts"),
        ("{3$$__a__}", {"a": "x\ny"}, "cannot draw 3 of 2 texts of __a__"),
        ("{3-2$$a|b}", {}, "cannot draw 3-2 of 2 texts"),
        ("__a__", {"a": "# nothing\n"}, "a.txt: this wildcard file has no text"),
        ("{a|" * 21 + "}" * 21, {}, "braces are nested more than 20 deep"),
        (
            "__a__" * 8,
            {"a": "__b__" * 50, "b": "word " * 100 + "__c__" * 100, "c": "x"},
            "longer than 65536 characters",
        ),
    ],
)
def test_invalid_choices_are_refused(tmp_path: Path, text: str, files: dict[str, str], sentence: str) -> None:
    with pytest.raises(RequestError) as caught:
        draw(text, 1, [folder_of(tmp_path, **files)])
    assert sentence in caught.value.message


def test_a_wildcard_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RequestError, match=r"a\.txt: this wildcard file cannot be read: it is not UTF-8"):
        draw("__a__", 1, [tmp_path])


# in a line


def test_each_picture_draws_with_its_own_seed() -> None:
    four = prompts_of(plan("a {red|blue|green|grey} fox -S 5 -n 4 --wild"))
    alone = [prompts_of(plan(f"a {{red|blue|green|grey}} fox -S {seed} --wild"))[0] for seed in range(5, 9)]
    assert four == alone
    assert len(set(four)) > 1


def test_without_wild_nothing_is_drawn() -> None:
    assert prompts_of(plan("a {red|blue} fox")) == ["a {red|blue} fox"]
    assert prompts_of(plan("a {red|blue} fox --no-wild", a_context(defaults={"wild": True}))) == ["a {red|blue} fox"]


def test_negative_prompts_are_drawn_independently() -> None:
    planned = [plan(f"a {{b|c}} [{{d|e}}] --negative_prompt '{{f|g}}' -S {seed} --wild") for seed in range(60)]
    drawn = {(made.picture(0).request.prompt, made.picture(0).request.negative_prompt) for made in planned}
    assert len(drawn) == 8


def test_sweeps_and_variations_keep_the_drawn_text() -> None:
    assert len(set(prompts_of(plan("a {b|c|d|e|f|g} --sweep steps=5,6,7 -S 1 --wild")))) == 1
    assert len(set(prompts_of(plan("a {b|c|d|e|f|g} -v 0.2 -n 5 -S 1 --wild")))) == 1


def test_each_part_of_a_chain_draws_its_own_text() -> None:
    seen = set()
    for seed in range(40):
        made = plan(f"a {{b|c}} -S {seed} -n 2 --wild |> a {{d|e}} {{f|g}} -S {seed} -f 0.5")
        requests = [planned.request for planned in made.pictures()]
        assert requests[1].before == requests[0]
        assert requests[3].before == requests[2]
        assert {request.prompt for request in requests[1::2]} == {"a {d|e} {f|g}"}
        seen |= {request.prompt for request in requests[::2]}
    assert seen == {"a b", "a c"}


@given(wild_texts, wild_texts, st.integers(0, 2**32 - 10), defaults)
def test_a_saved_line_with_drawn_text_is_reproducible(
    prompt: str, negative: str, seed: int, launch: dict[str, object]
) -> None:
    """Its text is already drawn: nothing is drawn again, whatever the launch options."""
    draft = parse("a cat --wild -n 3 --no-defaults")
    draft = type(draft)(draft.line, prompt, {**draft.switches, "negative_prompt": negative, "seed": seed}, {})
    try:
        made = list(resolve(draft, a_context()).pictures())
    except InvokeError:
        return
    for planned in made:
        line = render(planned.request)
        assert "--wild" not in line.split("--no-defaults")[-1]
        assert resolve(parse(line), a_context(defaults=launch)).picture(0).request == planned.request


@given(prompts, st.integers(0, 2**32 - 1))
def test_any_wild_prompt_is_planned_or_refused_with_a_column(prompt: str, seed: int) -> None:
    draft = parse("--wild")
    draft = type(draft)(draft.line, prompt, {**draft.switches, "seed": seed}, {})
    try:
        resolve(draft, a_context())
    except InvokeError as error:
        assert error.message


def test_the_plan_shows_the_drawn_text_and_notes_a_missing_choice() -> None:
    assert "drew  a red fox" in plan("a {red|red} fox --wild").summary
    assert "drew  a red fox; drawn again for each picture" in plan("a {red|red} fox --wild -n 2").summary
    assert "--wild has no effect without {a|b} or __file__ in the prompt" in plan("a fox --wild").notes


def test_an_error_in_a_drawn_text_quotes_it() -> None:
    with pytest.raises(CommandError) as caught:
        plan("-s 5 a {(cat)2000|(cat)2000} --wild")
    assert "(drawn: a (cat)2000)" in caught.value.message
    assert caught.value.column == 5


# in a file


def test_metadata_contains_the_template_and_the_drawn_text(studio: Studio, tmp_path: Path) -> None:
    studio.session.wildcards = (folder_of(tmp_path / "wildcards", pet="cat\ndog\nfox"),)
    made = studio.make("a {red|blue} __pet__ -S 3 -n 2 --wild --negative_prompt {rain|snow} -W64 -H64")
    for saved in made.images:
        recipe = metadata.read(saved.path)
        assert recipe is not None
        assert recipe.request is not None
        assert recipe.template == {"prompt": "a {red|blue} __pet__", "negative_prompt": "{rain|snow}"}
        assert recipe.request.prompt in {f"a {hue} {pet}" for hue in ("red", "blue") for pet in ("cat", "dog", "fox")}
        assert saved.line == recipe.line
        assert "{" not in saved.line
        assert "--wild" not in saved.line
    again = studio.make(made.line)
    assert (again.pixels == made.pixels).all()


def test_metadata_of_a_plain_picture_has_no_template(studio: Studio) -> None:
    recipe = metadata.read(studio.make("a {red|blue} cat -S 3 -W64 -H64").path)
    assert recipe is not None
    assert recipe.template == {}
