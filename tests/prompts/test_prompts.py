"""Prompts in, trees or errors out."""

import re
import sys
from types import FrameType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from invoke.errors import CommandError, InvokeError
from invoke.language.parse import parse
from invoke.language.resolve import resolve
from invoke.prompts import (
    Blend,
    Conjunction,
    Fragment,
    ParsedText,
    Prompt,
    Swap,
    Window,
    Words,
    read_prompt,
    read_text,
    texts_of,
)
from tests.line_contexts import a_context, plan

UP, UP2, DOWN, DOWN2 = 1.1, 1.1**2, 0.9, 0.9**2

rich = st.lists(
    st.sampled_from(["cat", "a", " ", "  ", "(", ")", '"', "+", "++", "-", "--", ",", "1.3", ".5", "\\", "[", "]", ":"])
    | st.sampled_from([".swap(", ".blend(", ".and(", "withLora(", "x,0.5)", "no_normalize", "t_start=0.5", "a:0.3 b:1"])
    | st.text(max_size=3),
    max_size=30,
).map("".join)
"""Texts with much prompt syntax, in random order."""


def words(*weighted: tuple[str, float]) -> Words:
    return Words(tuple(Fragment(text, weight) for text, weight in weighted))


def pieces(text: str) -> tuple[Fragment, ...]:
    return (Fragment(text),)


CAT_DOG = Swap(pieces("cat"), pieces("dog"))


def test_a_plain_text_is_one_fragment() -> None:
    assert read_prompt("a cat on a mat") == Prompt(words(("a cat on a mat", 1)), Words(), ())


@pytest.mark.parametrize(
    ("prompt", "pieces"),
    [
        ("", []),
        ("a cat++ on a mat", [("a", 1), ("cat", UP2), ("on a mat", 1)]),
        ("a cat+, dog-- b", [("a", 1), ("cat", UP), (",", 1), ("dog", DOWN2), ("b", 1)]),
        ("a (two words)1.3 b", [("a", 1), ("two words", 1.3), ("b", 1)]),
        ("a (two words).5 b", [("a", 1), ("two words", 0.5), ("b", 1)]),
        ("(two words)++", [("two words", UP2)]),
        ('a "two words"++ b', [("a", 1), ("two words", UP2), ("b", 1)]),
        ("((cat)++ dog)1.5", [("cat", 1.1**2 * 1.5), ("dog", 1.5)]),
        ("(cat (dog)2)0.5", [("cat", 0.5), ("dog", 1)]),
        ("(cat)-1", [("cat", DOWN), ("1", 1)]),
        ("(cat)1.3dog", [("cat", 1.3), ("dog", 1)]),
        ("(cat)0.5. dog", [("cat", 0.5), (". dog", 1)]),
        ("(a, b)2, c", [("a, b", 2), (", c", 1)]),
        ("cat-- dog--", [("cat dog", DOWN2)]),
        ("cat++dog", [("cat", UP2), ("dog", 1)]),
        ("C++ code", [("C", UP2), ("code", 1)]),
        (r"C\+\+ code", [("C++ code", 1)]),
        ("well-lit room-", [("well-lit", 1), ("room", DOWN)]),
        ("+ - a + b -- c", [("+ - a + b -- c", 1)]),
        ("-5 degrees", [("-5 degrees", 1)]),
        ("(cat) dog", [("cat dog", 1)]),
        ("((((cat))))", [("cat", 1)]),
        ("(cat) 1.3", [("cat 1.3", 1)]),
        ('banana "sushi" roll', [("banana sushi roll", 1)]),
        (r"\(cat\) (do\)g)1.2", [("(cat)", 1), ("do)g", 1.2)]),
        (r"a \"cat\" \[b\]", [('a "cat" [b]', 1)]),
        (r"C:\pics\x", [(r"C:\pics\x", 1)]),
        ("(cat", [("(cat", 1)]),
        ("cat)", [("cat)", 1)]),
        ("a (cat))1.3", [("a cat )1.3", 1)]),
        (")(", [(")(", 1)]),
        ("(a (cat)2", [("(a", 1), ("cat", 2)]),
        ("cat(s)2", [("cat(s)2", 1)]),
        ("(a cat(s))2", [("a cat(s)", 2)]),
        ("a :( face", [("a :( face", 1)]),
        ('a 6" gun', [('a 6" gun', 1)]),
        ('(a "b)2 c" d', [("(a b)2 c d", 1)]),
        ("16:9", [("16:9", 1)]),
        ("portrait: a man", [("portrait: a man", 1)]),
        ("ratio 16:9 or 4:3", [("ratio 16:9 or 4:3", 1)]),
        ("a cat:1.5", [("a cat:1.5", 1)]),
        ("a cat:0.5 a dog", [("a cat:0.5 a dog", 1)]),
        (r"a\:0.5 b:0.5", [("a:0.5 b:0.5", 1)]),
        ("a <watercolour> <cat>++", [("a <watercolour>", 1), ("<cat>", UP2)]),
        ("foo.and(bar).blend(x)", [("foo.and(bar).blend(x)", 1)]),
        ("()++ (  )2", []),
    ],
)
def test_weights_are_parsed(prompt: str, pieces: list[tuple[str, float]]) -> None:
    assert read_prompt(prompt).positive == words(*pieces)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("a cat.swap(dog) b", Words((Fragment("a"), Swap(pieces("cat"), pieces("dog")), Fragment("b")))),
        ("(two cats).swap(a big dog)", Words((Swap(pieces("two cats"), pieces("a big dog")),))),
        ('"two cats".swap("a big, old dog")', Words((Swap(pieces("two cats"), pieces("a big, old dog")),))),
        ("cat++.swap(dog--)", Words((Swap((Fragment("cat", UP2),), (Fragment("dog", DOWN2),)),))),
        ("(a cat.swap(dog))2", Words((Fragment("a", 2), Swap((Fragment("cat", 2),), (Fragment("dog", 2),))))),
        ("cat.swap()", Words((Swap(pieces("cat"), ()),))),
        ('a "".swap(big) cat', Words((Fragment("a"), Swap((), pieces("big")), Fragment("cat")))),
        ("cat.swap(dog, t_start=0.1, t_end=.8)", Words((CAT_DOG,), Window(t_start=0.1, t_end=0.8))),
        ("cat.swap(dog, s_start=0.1, s_end=0.5)", Words((CAT_DOG,), Window(s_start=0.1, s_end=0.5))),
        ("cat.swap(dog)", Words((CAT_DOG,), Window(0.2, 1.0, 0.0, 0.0))),
        ("cat.swap(dog, shape_freedom=0.125)", Words((CAT_DOG,), Window(s_end=0.5))),
        ("cat.swap(dog, shape_freedom=0.5, s_end=0.25)", Words((CAT_DOG,), Window(s_end=0.25))),
    ],
)
def test_swaps_are_parsed(prompt: str, said: Words) -> None:
    assert read_prompt(prompt).positive == said


def test_a_swap_gives_the_texts_before_and_after() -> None:
    output = read_prompt("a cat.swap(dog)++ on a mat").positive
    assert isinstance(output, Words)
    assert output.swaps
    assert " ".join(piece.text for piece in output.original) == "a cat ++ on a mat"
    assert " ".join(piece.text for piece in output.edited) == "a dog ++ on a mat"


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ('("a","b").blend(.7,.3)', Blend((words(("a", 1)), words(("b", 1))), (0.7, 0.3))),
        ('  ("a", "b").blend( 1, 3 ) ', Blend((words(("a", 1)), words(("b", 1))), (0.25, 0.75))),
        ('("a", "b").blend()', Blend((words(("a", 1)), words(("b", 1))), (0.5, 0.5))),
        ('("a", "b").blend(1, -2, no_normalize)', Blend((words(("a", 1)), words(("b", 1))), (1, -2))),
        ('("a, b", "c++").blend(1,1)', Blend((words(("a, b", 1)), words(("c", UP2))), (0.5, 0.5))),
        ("(a b, c (d)2).blend(1,1)", Blend((words(("a b", 1)), words(("c", 1), ("d", 2))), (0.5, 0.5))),
        ('("a", "").blend(1,1)', Blend((words(("a", 1)), words()), (0.5, 0.5))),
        ('("a").blend(3)', Blend((words(("a", 1)),), (1,))),
        ('("a","b").and()', Conjunction((words(("a", 1)), words(("b", 1))), (1, 1))),
        ('("a","b").and(1,.5)', Conjunction((words(("a", 1)), words(("b", 1))), (1, 0.5))),
        ("blue sphere:0.25 red cube:0.75", Blend((words(("blue sphere", 1)), words(("red cube", 1))), (0.25, 0.75))),
        ("a:1 b++:3", Blend((words(("a", 1)), words(("b", UP2))), (0.25, 0.75))),
    ],
)
def test_blends_and_conjunctions_are_parsed(prompt: str, said: ParsedText) -> None:
    assert read_prompt(prompt).positive == said
    assert read_prompt(f"[{prompt}]").negative == said
    assert read_prompt("", prompt).negative == said


@pytest.mark.parametrize(
    ("prompt", "positive", "negative"),
    [
        ("a cat", "a cat", ""),
        ("a cat [dog]", "a cat", "dog"),
        ("[dog] a cat [blurry, grey] on a mat", "a cat on a mat", "dog blurry, grey"),
        ("a [b [c] d", "a d", "b [c"),
        ("a [b", "a [b", ""),
        ("a ] b [", "a ] b [", ""),
        ("a [] b", "a b", ""),
        ("[all of it]", "", "all of it"),
        (r"a \[b\] [c]", r"a \[b\]", "c"),
    ],
)
def test_bracketed_parts_are_negative(prompt: str, positive: str, negative: str) -> None:
    assert texts_of(prompt) == (positive, negative)


def test_brackets_and_negative_prompt_are_joined() -> None:
    assert texts_of("a cat [(dog)0.5]", "blurry") == ("a cat", "blurry (dog)0.5")
    assert read_prompt("a cat [(dog)0.5]", "blurry").negative == words(("blurry", 1), ("dog", 0.5))


@pytest.mark.parametrize(
    ("prompt", "text", "loras"),
    [
        ("a cat withLora(parchment_people,0.9) b", "a cat b", [("parchment_people", 0.9)]),
        ("withLora(x) a cat", "a cat", [("x", 1)]),
        ("a withLora( my-lora.v2 , -0.5 ) cat useLora(y, 2)", "a cat", [("my-lora.v2", -0.5), ("y", 2)]),
        ("a cat withLora(x)++", "a cat ++", [("x", 1)]),
        ("a catwithLora(x)", "a catwithLora(x)", []),
        ("a cat [blurry withLora(x,.3)]", "a cat", [("x", 0.3)]),
    ],
)
def test_loras_are_removed_from_the_text(prompt: str, text: str, loras: list[tuple[str, float]]) -> None:
    read = read_prompt(prompt)
    assert read.positive == words((text, 1))
    assert list(read.loras) == loras


def test_a_lora_can_follow_a_blend() -> None:
    assert read_prompt('("a","b").blend(1,1) withLora(x)').positive == read_prompt('("a","b").blend(1,1)').positive


@pytest.mark.parametrize(
    ("line", "sentence", "column"),
    [
        ('("a", "b").blend(1)', ".blend() has 1 weight for 2 texts", 17),
        ('("a", "b").and(1,2,3) -s10', ".and() has 3 weights for 2 texts", 15),
        ('-s10 ("a", "b").blend(1, x)', "'x' is not a number", 25),
        ('("a", "b").blend(1, )', "a number is missing", 20),
        ('("a", "b").blend(1, -1)', "the weights of this blend add up to 0", 17),
        ("a cat:1 a dog:-1", "the weights of this blend add up to 0", 6),
        ('("a", "b").blend(.7, .3) and more', "nothing may follow .blend()", 25),
        ('a ("b", "c").blend(1,1)', ".blend() must be the whole prompt", 12),
        ('(("a","b").blend(1,1), "c").and()', ".blend() must be the whole prompt", 10),
        ('("a",,"b").blend()', "a text is missing here", 5),
        ('("a", "b.swap(c)").blend(1,1)', "a swap cannot be part of a blend", 8),
        ("a cat.swap(b.swap(c))", "a swap cannot be part of another one", 12),
        ("a (cat.swap(b)).swap(c)", "a swap cannot be part of another one", 6),
        ("a cat.swap(dog, t_strat=0.5)", ".swap() has no option 't_strat=0.5', did you mean t_start=?", 16),
        ("a cat.swap(dog, t_start=2)", "t_start must be between 0 and 1, not 2", 16),
        ("a cat.swap(dog, t_start=x)", "'x' is not a number", 16),
        ("cat.swap(a, t_end=.5) b.swap(c, t_end=.6)", "all swaps of a prompt share their options", 31),
        ("a cat.swap(dog", "this .swap( is never closed", 5),
        ("a .swap(dog)", "there is nothing to swap", 2),
        ("a [b.swap(c)]", "a swap belongs in the prompt", 4),
        ("a (cat)1001", "a weight is at most 1000", 7),
        ("a cat" + "+" * 80, "a weight is at most 1000", 5),
        ("a cat" + "+" * 9000, "a weight is at most 1000", 5),
        ("((cat)500)3", "a weight is at most 1000", 1),
        ("a cat:1 a dog:1001", "a weight is at most 1000", 14),
        ("a cat:-1001 a dog:1", "a weight is at most 1000", 6),
        ('("a", "b").blend(1, -1001)', "a weight is at most 1000", 20),
        ('("a", "b").and(1001, 1)', "a weight is at most 1000", 15),
        ("a cat.swap((dog)1001)", "a weight is at most 1000", 16),
        ("a withLora(x, -1001)", "a weight is at most 1000", 2),
        ("a cat withLora(x,y)", "withLora expects a name or a path, and optionally a weight", 6),
        ("a cat useLora()", "useLora expects a name", 6),
        ("a withLora(x) [withLora(x)]", "the LoRA x is named twice", 15),
        ("a cat withLora(nowhere)", "no LoRA is called 'nowhere'", 10),
        ("red cat -s10 withLora(", "withLora expects a name", 13),
        (r'-s10 "a \"b\" (c)2000"', "a weight is at most 1000", 17),
        ("-s10 --prompt 'a (c)2000'", "a weight is at most 1000", 5),
        ("a cat --negative_prompt 'b (c)2000'", "a weight is at most 1000", 24),
        ("a cat [b (c)2000] --negative_prompt 'd'", "a weight is at most 1000", 12),
    ],
)
def test_errors_in_a_prompt_give_the_column_in_the_line(line: str, sentence: str, column: int) -> None:
    with pytest.raises(InvokeError) as caught:
        plan(line)
    assert caught.value.message.startswith(sentence)
    assert caught.value.column == column


def test_syntax_of_other_programs_gets_a_note() -> None:
    assert plan("a (red cat:1.3) <lora:ink:.5>").notes == (
        "(red cat:1.3) is read as words: for a weight, type (red cat)1.3",
        "<lora:ink:.5> is read as words: for a LoRA, type withLora(ink, .5)",
    )
    assert plan("a {red|blue} tree __sky__").notes[:2] == (
        "{red|blue} is read as words: with --wild, one of them is drawn",
        "__sky__ is read as words: with --wild, a line of sky.txt is drawn",
    )


# laws


@given(rich)
def test_any_prompt_is_parsed_or_refused_with_a_column(text: str) -> None:
    try:
        read_prompt(text)
    except CommandError as error:
        assert error.column is not None
        assert 0 <= error.column <= len(text)
        assert error.message


@given(rich, rich)
def test_any_line_is_planned_or_refused_with_a_column(text: str, more: str) -> None:
    line = f"-s3 {text} --negative_prompt {more}"
    try:
        draft = parse(line)
        resolve(draft, a_context())
    except InvokeError as error:
        assert error.column is None or 0 <= error.column <= len(line)


@given(rich)
def test_splitting_a_prompt_into_two_texts_keeps_its_meaning(prompt: str) -> None:
    try:
        read = read_prompt(prompt, "blurry")
    except CommandError:
        return
    positive, negative = texts_of(prompt, "blurry")
    assert (read_text(positive), read_text(negative)) == (read.positive, read.negative)


@given(st.lists(st.sampled_from(["cat", "dog", "well-lit", "a1", "é"]), min_size=1, max_size=6), st.integers(1, 5))
def test_plus_and_minus_equal_brackets_with_numbers(names: list[str], signs: int) -> None:
    text = " ".join(names)
    for sign, factor in (("+", UP), ("-", DOWN)):
        assert read_prompt(f"({text}){sign * signs}").positive == words((text, factor**signs))
        assert read_prompt(f'"{text}"{sign * signs}').positive == words((text, factor**signs))


@given(st.lists(st.sampled_from([0.5, 1.25, 2.0]), min_size=1, max_size=9))
def test_nested_weights_multiply(weights: list[float]) -> None:
    text, product = "cat", 1.0
    for weight in weights:
        text, product = f"({text}){weight}", product * weight
    assert read_prompt(text).positive == words(("cat", product))


@given(st.text(alphabet="ab \\[]", max_size=16), st.sampled_from(["", "c"]))
@example("a \\[[b] c\\]] d]", "c")
def test_what_stands_in_square_brackets_is_negative(prompt: str, negative: str) -> None:
    """By a second implementation: from each bracket without a backslash to the next closing one."""
    parts = re.split(r"(?<!\\)\[(.*?)(?<!\\)\]", prompt)
    positive, negative_parts = " ".join(parts[::2]), " ".join([negative, *parts[1::2]])
    assert texts_of(prompt, negative) == (" ".join(positive.split()), " ".join(negative_parts.split()))


@given(st.text(alphabet="ab ,.'!?;", max_size=40))
def test_text_without_syntax_is_unchanged(text: str) -> None:
    tidy = " ".join(text.split())
    assert read_prompt(text).positive == (words((tidy, 1)) if tidy else Words())


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        ")",
        "((a)",
        "(a)+",
        '"',
        '"(',
        "[",
        "[a]",
        r"\[",
        "+-",
        "a++",
        "a:1 ",
        "withLora(",
        ".swap(",
        "a.swap(b) ",
        ",",
    ],
)
def test_parsing_work_grows_linearly_with_length(pattern: str) -> None:
    once, often = (_work(pattern * (size // len(pattern))) for size in (1000, 8000))
    assert often <= 9 * once + 100


@pytest.mark.parametrize("brackets", ["(" * 10_000 + "cat", "(" * 10_000 + "cat" + ")" * 10_000])
def test_deeply_nested_text_is_parsed(brackets: str) -> None:
    assert read_prompt(brackets).positive == words(("cat" if ")" in brackets else brackets, 1))


def _work(text: str) -> int:
    """The number of function calls for reading `text`."""
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        read_prompt(text)
    except CommandError:
        pass
    finally:
        sys.setprofile(None)
    return calls
