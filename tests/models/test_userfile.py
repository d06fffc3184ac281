"""The user's own list: read over the shipped one, changed an entry at a time, never half written."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke.errors import ModelError
from invoke.models import read_registry
from invoke.models.list_editing import remove_entry, set_entry
from invoke.models.yaml_lists import parse_rows, read_rows

TEXT = """\
# mine

fire:   # the best
  weights: models/fire
  # larger than most
  width: 640

'odd one': {weights: a/b}
# the end
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config" / "models.yaml"
    path.parent.mkdir()
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_user_entries_extend_and_override_shipped_ones(tmp_path: Path) -> None:
    file = tmp_path / "models.yaml"
    file.write_text("pocket: {sampler: k_euler}\nsd-2.1: {hidden: true}\nmine: {weights: a/b, triggers: [x, y]}\n")
    models = read_registry(file)
    assert (models.find("pocket").sampler, models.find("pocket").width) == ("k_euler", 256)
    assert "sd-2.1" not in models
    assert models.find("mine").triggers == ("x", "y")


def test_without_a_user_file_the_shipped_list_is_used(tmp_path: Path) -> None:
    assert read_registry(tmp_path / "none.yaml").names == read_registry().names


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("- a", "must map model names to their fields"),
        ("a: b", "a: must be a name and its fields"),
        ("1: {weights: x}", "1: must be a name and its fields"),
        ("a: {width: 8}", "a: has no weights"),
        ("a: {weights: x, widht: 8}", "there is no field 'widht', did you mean 'width'?"),
        ("a: {weights: x, width: wide}", "width must be a whole number, at least 8 and at most 8192, not 'wide'"),
        ("a: {weights: x, width: 0}", "width must be a whole number, at least 8 and at most 8192, not 0"),
        ("a: {weights: x, width: true}", "at most 8192, not True"),
        ("a: {weights: x, steps: 2000}", "steps must be a whole number, at least 0 and at most 1000, not 2000"),
        ("a: {weights: x, guidance_scale: much}", "guidance_scale must be a number, at least 0"),
        ("a: {weights: x, guidance_scale: .nan}", "guidance_scale must be a number, at least 0"),
        ("a: {weights: x, megabytes: -1}", "megabytes must be a whole number, at least 0, not -1"),
        ("a: {weights: x, sampler: k_eular}", "not 'k_eular', did you mean 'k_euler'?"),
        ("a: {weights: x, family: sd9}", "family must be one of sd sdxl"),
        ("a: {weights: x, kind: 3}", "kind must be a text"),
        ("a: {weights: x, triggers: word}", "triggers must be a list of words"),
        ("a: {weights: x, name: b}", "there is no field 'name'"),
        ("a: {weights: !!python/object/apply:os.system [ls]}", "cannot be read"),
        ("a: [", "cannot be read"),
        ("a: {weights: x}\nb: @\n", "cannot be read: line 2: found character"),
        ("\x00", "cannot be read"),
    ],
)
def test_an_invalid_user_file_is_one_error(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(text)
    with pytest.raises(ModelError) as caught:
        read_registry(file)
    assert sentence in caught.value.message
    assert str(file) in caught.value.message


def test_changing_a_field_keeps_the_rest_of_the_file(file: Path) -> None:
    assert set_entry(file, "fire", {"weights": "models/fire", "width": 640, "sampler": "ddim"})
    assert file.read_text() == TEXT.replace("  width: 640\n", "  width: 640\n  sampler: ddim\n")
    assert set_entry(file, "fire", {"weights": "models/ice", "width": 640})
    assert "models/fire" not in file.read_text()
    assert all(comment in file.read_text() for comment in ("# mine", "# the best", "# larger than most", "# the end"))


def test_removing_an_entry_keeps_the_others(file: Path) -> None:
    assert remove_entry(file, "fire")
    assert file.read_text() == "# mine\n\n\n'odd one': {weights: a/b}\n# the end\n"
    assert remove_entry(file, "odd one")
    assert file.read_text() == "# mine\n\n\n# the end\n"


def test_an_entry_in_braces_is_edited_in_place(file: Path) -> None:
    assert set_entry(file, "odd one", {"weights": "a/c"})
    assert file.read_text() == TEXT.replace("a/b", "a/c")


def test_editing_a_merged_entry_writes_only_to_that_entry(file: Path) -> None:
    text = "a: &all {weights: x, width: 0x100} # base\nb:\n    <<: *all\n    hidden: yes\nc: {weights: y, weights: z}\n"
    file.write_text(text)
    assert set_entry(file, "d", {"weights": "on"})
    assert file.read_text() == text + "\nd:\n  weights: 'on'\n"
    assert set_entry(file, "b", {"weights": "y"})
    assert set_entry(file, "c", {"weights": "w"})
    assert file.read_text() == (
        "a: &all {weights: x, width: 0x100} # base\nb:\n  weights: y\nc:\n  weights: w\n\nd:\n  weights: 'on'\n"
    )


def test_indent_and_comments_of_a_changed_entry_are_kept(file: Path) -> None:
    file.write_text("a:\n    # why\n    weights: x # here\n    width: 64\n\n# b is next\nb: {weights: y}")
    assert set_entry(file, "a", {"weights": "yes", "triggers": ["on", "off the wall"]})
    assert file.read_text() == (
        'a:\n    # why\n    weights: "yes" # here\n    triggers:\n    - "on"\n    - off the wall\n'
        "\n# b is next\nb: {weights: y}\n"
    )


def test_a_file_in_one_pair_of_braces_is_rewritten_with_a_note(file: Path) -> None:
    file.write_text("{a: {weights: x}, b: {weights: y}} # lost\n")
    assert not remove_entry(file, "b")
    assert read_rows(file) == {"a": {"weights": "x"}}


def test_a_new_file_begins_with_a_comment(tmp_path: Path) -> None:
    file = tmp_path / "not" / "there" / "models.yaml"
    set_entry(file, "mine", {"weights": "a/b"})
    assert file.read_text().startswith("# Your own models")
    assert [path.name for path in file.parent.iterdir()] == ["models.yaml"]


def test_a_bad_field_changes_nothing(file: Path) -> None:
    with pytest.raises(ModelError, match="fire: there is no field 'widht', did you mean 'width'"):
        set_entry(file, "fire", {"weights": "x", "widht": 8})
    assert file.read_text() == TEXT


def test_an_unwritable_folder_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("")
    with pytest.raises(ModelError, match=r"models\.yaml: cannot be"):
        set_entry(tmp_path / "config" / "models.yaml", "mine", {"weights": "a/b"})


def test_a_linked_file_is_read_but_not_written(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    assert read_rows(link) == read_rows(file)
    with pytest.raises(ModelError, match="cannot be written: it is a link; links are not followed") as caught:
        set_entry(link, "mine", {"weights": "a/b"})
    assert caught.value.hint == f"--config {file} names the file itself"
    assert link.is_symlink()
    assert file.read_text() == TEXT


NAMES = st.from_regex(r"[a-z0-9][a-z0-9.+-]{0,8}", fullmatch=True)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)
FIELDS = st.fixed_dictionaries(
    {"weights": WORDS},
    optional={
        "width": st.integers(8, 4096),
        "guidance_scale": st.floats(0, 100) | st.integers(0, 100),
        "description": WORDS,
        "sampler": st.sampled_from(["ddim", "k_lms"]),
        "triggers": st.lists(WORDS, max_size=3),
    },
)


@given(st.lists(st.tuples(NAMES, st.none() | FIELDS), max_size=6))
def test_any_sequence_of_edits_gives_the_expected_file(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, dict[str, Any] | None]]
) -> None:
    file = tmp_path_factory.mktemp("list") / "models.yaml"
    wanted: dict[str, Any] = {}
    for name, fields in changes:
        if fields is None:
            remove_entry(file, name)
            wanted.pop(name, None)
        else:
            set_entry(file, name, fields)
            wanted[name] = fields
        assert parse_rows(file.read_text(encoding="utf-8"), "") == wanted
