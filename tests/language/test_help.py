"""Help and the table of commands: everything is listed, and every page exists."""

import re

import pytest

from invoke.errors import CommandError
from invoke.language.command_table import COMMANDS, CommandSpec, arguments, by_command, find, read_file_line
from invoke.language.help import facts, overview, page, topics
from invoke.language.help.markdown import command_table, switch_reference, switch_table
from invoke.language.help.pages import page_width, pages, plain
from invoke.language.parse import CommandCall, read
from invoke.language.switches import SWITCHES, Switch
from invoke.samplers import SAMPLERS
from tests.program import ROOT


def call(line: str) -> CommandCall:
    found = read(line)
    assert isinstance(found, CommandCall)
    return found


# pages


def test_the_overview_names_every_switch_and_command() -> None:
    words = overview().split()
    for row in SWITCHES:
        assert (row.spelling in words) == (not (row.pending or row.obsolete)), row.name
    for command in COMMANDS:
        assert (f"  {command.spelling}" in overview()) == (not command.pending), command.name


def test_the_overview_fits_a_terminal() -> None:
    assert max(map(len, overview().splitlines())) <= 80


@pytest.mark.parametrize("columns", [40, 60, 100])
@pytest.mark.parametrize("topic", ["", "inpainting", "shell", "variations"])
def test_pages_use_the_width_of_the_terminal(topic: str, columns: int) -> None:
    lines = page(topic, page_width(columns)).splitlines()
    as_they_are = ("    ", "A line is a prompt", "switches (")
    filled = [line for line in lines if not line.startswith(as_they_are) and line.strip().count(" ") > 1]
    assert max(map(len, filled)) in range(columns // 2, columns + 1)


def test_pages_have_a_maximum_width() -> None:
    assert max(map(len, page("", page_width(300)).splitlines())) in range(90, 101)
    assert page("", page_width(None)) == page("")


@pytest.mark.parametrize("row", SWITCHES, ids=lambda row: row.name)
def test_every_switch_has_a_page_under_each_of_its_names(row: Switch) -> None:
    names = [*(f"-{name}" for name in row.short), *(f"--{name}" for name in (row.name, *row.synonyms))]
    pages = {page(name) for name in names}
    assert len(pages) == 1
    assert row.spelling in pages.pop()


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
def test_every_command_has_a_page(row: CommandSpec) -> None:
    for name in (row.name, *row.synonyms):
        assert page(f"!{name}").startswith(row.spelling)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_has_a_page(name: str) -> None:
    assert SAMPLERS[name].summary in page(name)


def test_every_completed_topic_has_a_page() -> None:
    for topic in topics():
        assert page(topic), topic


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        ("-f", "default: 0.75"),
        ("--fit", "--no-fit turns it off"),
        ("--ai_label", "on by default; --no-ai-label turns it off"),
        ("-I", "the same: --image"),
        ("-A", "k_dpmpp_sde"),
        ("init picture", "-f/--strength"),
        ("--init-img", "-I/--init_img"),
        ("-x", "no longer has an effect"),
        ("!run", "run the lines of a file"),
    ],
)
def test_pages_of_switches_and_commands(topic: str, said: str) -> None:
    assert said in page(topic)


# pages of the docs

DOCS = {page.stem: page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md")}


def test_every_page_of_the_docs_is_a_topic() -> None:
    assert DOCS.keys() <= topics().keys()
    assert all(name in overview().split() for name in DOCS)
    assert pages()["img2img"] == "Image to image"


@pytest.mark.parametrize("name", DOCS)
def test_docs_pages_are_rendered_as_plain_text(name: str) -> None:
    text = page(name)
    fenced = re.findall(r"^```\w*\n(.*?)^```$", DOCS[name], re.DOTALL | re.MULTILINE)
    typed = re.sub(r"^```.*?^```$", "", DOCS[name].split("<!-- reference -->")[0], flags=re.DOTALL | re.MULTILINE)
    examples = re.findall(r"^ {4}\S.*$", typed, re.MULTILINE)
    examples += [f"    {line}" for code in fenced for line in code.splitlines() if line]
    assert set(examples) <= set(text.splitlines()), "examples can be copied"
    assert not re.search(r"\]\(|!\[|<!--|^#|^\|", text, re.MULTILINE)
    assert all(len(line) <= 80 or line.startswith("    ") or " " not in line.strip() for line in text.splitlines())


def test_a_page_about_a_group_ends_with_its_switches() -> None:
    text = page("inpainting")
    assert text.startswith("REPAINTING A PART OF A PICTURE")
    assert text.index("Erased colours") < text.index("-M/--init_mask picture")


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("# A page\n\nwith **two** *kinds* of `__words__`", "A PAGE\n\nwith two kinds of __words__"),
        ("a [page](there.md#at) and\na [line](https://a.b)", "a page (!help there) and a line"),
        ("![a tree](tree.png)\n\nbelow", "below"),
        ("    a cat -s 10\n    a dog", "    a cat -s 10\n    a dog"),
        ("- one\n- two\n  more", "- one\n- two more"),
        ("| a | b |\n| --- | --- |\n| `x\\|y` | why |", "  x|y\n      why"),
        ("| | b | c |\n|---|---|---|\n| x | | z |", "  x\n      c: z"),
        ("> said\n> there", "  said there"),
        ("```yaml\na:  b\n```", "    a:  b"),
    ],
)
def test_markdown_is_rendered_as_plain_text(markdown: str, text: str) -> None:
    assert plain(markdown) == text


@pytest.mark.parametrize(
    ("topic", "meant"),
    [("-strenth", "--strength"), ("!fech", "!fetch"), ("eular", "k_euler"), ("inpaintng", "inpainting")],
)
def test_an_unknown_topic_suggests_the_nearest(topic: str, meant: str) -> None:
    with pytest.raises(CommandError, match=f"did you mean {meant}"):
        page(topic)


# tables for the README


def test_the_generated_tables_list_every_switch_and_command() -> None:
    switches, commands = switch_table([row.name for row in SWITCHES]), command_table()
    assert all(f"`--{row.name}`" in switches for row in SWITCHES)
    assert all(f"`{row.spelling}`" in commands for row in COMMANDS)


def test_the_reference_agrees_with_the_help_pages() -> None:
    reference = switch_reference().replace("`", "")
    for row in SWITCHES:
        assert all(fact in reference for fact in facts(row)), row.name


@pytest.mark.parametrize("table", [switch_table([row.name for row in SWITCHES]), command_table()])
def test_every_table_row_has_as_many_cells_as_its_header(table: str) -> None:
    cells = 0
    for line in table.splitlines():
        if not line.startswith("|"):
            cells = 0
            continue
        found = line.replace(r"\|", "").count("|")
        assert found == (cells or found), line
        cells = found


# commands


def test_no_two_commands_share_a_name() -> None:
    assert len(by_command()) == sum(1 + len(row.synonyms) for row in COMMANDS)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("!hist", "there is no command !hist, did you mean !history?"),
        ("!fech x", "there is no command !fech, did you mean !fetch?"),
        ("!wow", "there is no command !wow"),
        ("!", "there is no command !"),
    ],
)
def test_an_unknown_command_suggests_the_nearest(line: str, message: str) -> None:
    with pytest.raises(CommandError) as caught:
        find(call(line))
    assert (caught.value.message, caught.value.column) == (message, 0)


@pytest.mark.parametrize(("line", "name"), [("!12", "NNN"), ("!!", "!"), ("!run x", "replay"), ("!q", "quit")])
def test_commands_are_found_by_number_and_synonym(line: str, name: str) -> None:
    assert find(call(line)).name == name


def test_commands_of_the_prompt_are_refused_in_a_file() -> None:
    assert find(call("!set -s 3"), in_file=True).name == "set"
    with pytest.raises(CommandError, match="!fetch works only at the prompt"):
        find(call("!fetch x.png"), in_file=True)


def test_arguments_keep_their_columns() -> None:
    first, second = arguments(call("""!fetch  'my pics/*.png' "out file.txt" """))
    assert (first.text, first.start) == ("my pics/*.png", 8)
    assert second.text == "out file.txt"
    with pytest.raises(CommandError) as caught:
        arguments(call('!fetch "x'))
    assert caught.value.column == 7


@pytest.mark.parametrize(
    ("line", "file", "switches"),
    [
        ("!fix 000017.png --embiggen 3", "000017.png", {"embiggen": (3.0,)}),
        ("!fix my image.png -U2 -G0.8", "my image.png", {"upscale": (2.0,), "facetool_strength": 0.8}),
        ('!fix "my image.png" -U2', "my image.png", {"upscale": (2.0,)}),
        ("!mask ./curly.png -tm hair 0.5", "./curly.png", {"text_mask": ("hair", 0.5)}),
        ("!fix curly.png", "curly.png", {}),
        ("!fix a.png -S -1 -c top 64", "a.png", {"seed": -1, "outcrop": ("top", 64)}),
    ],
)
def test_a_command_with_file_and_switches_is_parsed(line: str, file: str, switches: dict[str, object]) -> None:
    draft = read_file_line(call(line))
    assert (draft.line, draft.prompt, draft.switches) == (line, file, switches)


def test_only_fix_takes_a_new_prompt() -> None:
    draft = read_file_line(call('!fix a.png --new_prompt "a dog" -x'))
    assert draft.switches["new_prompt"] == "a dog"
    assert [note for note in draft.notes if "new_prompt" in note] == []
    assert len(draft.notes) == 1


@pytest.mark.parametrize(
    ("line", "column"), [("!fix", 4), ("!fix   -U 2", 7), ("!fix a.png -U two", 14), ("!fix a.png -strenght", 11)]
)
def test_errors_of_commands_give_the_column_in_the_line(line: str, column: int) -> None:
    with pytest.raises(CommandError) as caught:
        read_file_line(call(line))
    assert caught.value.column == column
