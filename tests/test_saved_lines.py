"""A saved line makes its picture again, from every place: log, PNG, `!fetch`, gallery, OUT file."""

import os
import random
import re
import unicodedata
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke.errors import CommandError
from invoke.language.parse import Draft, read
from invoke.language.render import quote, render
from invoke.language.resolve import resolve
from invoke.outputs import png
from invoke.outputs.gallery import write_gallery
from invoke.request import Request
from invoke.text import clean, read_lines
from tests.batches import Batches
from tests.line_contexts import a_context
from tests.making import a_request
from tests.shell.talk import Talk

PROMPTS = int(os.environ.get("PROMPTS", "50"))
"""How many are tried; the promise is PROMPTS=500."""
JOINERS = "\u200c\u200d\u00ad\u2060\ufe0f\u0300\u064b\u094d\u3000\u00a0\u202f\u2028\U000e0067\u200f\u202e\u2066"
"""What escaped, folded or reordered lines in the past."""
_BLOCKS = (
    *((0x20, 0x7F), (0xA0, 0x250), (0x370, 0x590), (0x590, 0x700), (0x900, 0xE80), (0xE80, 0x1100), (0x1200, 0x1400)),
    *((0x1780, 0x1880), (0x2000, 0x2070), (0x20A0, 0x2BFF), (0x3000, 0x3200), (0x4E00, 0x9FFF), (0xA000, 0xABFF)),
    *((0xAC00, 0xD7A4), (0xE000, 0xF900), (0xFB00, 0xFE00), (0x10000, 0x10400), (0x12000, 0x12400), (0x1F300, 0x1FAFF)),
)


def a_prompt(rng: random.Random) -> str:
    """Words over all scripts, rich in what lines treat specially."""
    words = []
    for _ in range(rng.randint(1, 6)):
        low, high = rng.choice(_BLOCKS)
        word = "".join(chr(rng.randrange(low, high)) for _ in range(rng.randint(1, 6)))
        for _ in range(rng.randint(0, 2)):
            place = rng.randint(0, len(word))
            word = word[:place] + rng.choice(JOINERS) + word[place:]
        words.append(
            rng.choice([word, word, word, word, "-s", "–s", "“", "”", '"', "\\", "#", "|>", "a\\", "<b>&amp;"])
        )
    text = rng.choice([" ", "  ", "\u3000"]).join(words)
    usable = "".join(letter for letter in text if unicodedata.category(letter) not in {"Cc", "Cs"})
    # brackets, weights and calls have laws of their own; what is kept here is any text
    return re.sub(r"[()\[\]]|(?<=[+-])[+-]+|\.(?:swap|blend|and)", "", usable).strip() or "猫"


def same_request(line: str) -> Request:
    """What the line makes, read under other defaults."""
    draft = read(line)
    assert isinstance(draft, Draft)
    return resolve(draft, a_context(defaults={"steps": 33, "karras": True}, model="sd-1.5")).picture(0).request


def test_five_places_keep_the_saved_line_verbatim(
    batches: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # only the contents are tested, not their safety
    rng = random.Random(13)
    wanted = [a_request(prompt=a_prompt(rng), seed=seed, steps=2, width=64, height=64) for seed in range(PROMPTS)]
    result = batches.run([render(request) for request in wanted])
    assert result.status == 0, result.stderr[-2000:]
    folder = batches.folder

    with (folder / "invoke_log.txt").open("rb") as log:
        rows = [line for line in read_lines(log) if isinstance(line, str)]
    chunks = [png.texts(path.read_bytes())["Dream"] for path in batches.pictures]
    list(write_gallery(folder))
    page = (folder / "gallery.html").read_text(encoding="utf-8")
    copied = [unescape(code) for code in re.findall(r"<code>(.*?)</code>", page.partition("</main>")[0], re.DOTALL)]

    talk = Talk(tmp_path)
    talk.type(f"!fetch {folder}/0*.png lines.txt")
    with (tmp_path / "lines.txt").open("rb") as file:
        fetched = [line for line in read_lines(file) if isinstance(line, str) and not line.startswith("# ")]
    entries, some = [], max(1, PROMPTS // 10)
    for path in batches.pictures[::some]:
        talk.type(f"!fetch {path}")
        entries.append(talk.entry.text)

    for lines in (rows, chunks, copied, fetched):
        assert len(lines) == PROMPTS
        assert sorted((same_request(line) for line in lines), key=lambda request: request.seed) == wanted
    assert [same_request(line) for line in entries] == wanted[::some]


texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12)


@given(texts)
def test_a_line_in_any_script_is_one_row_and_parses_again(text: str) -> None:
    line = f"{quote(text)} -s 3"
    if not text.strip("".join(map(chr, range(33)))):
        return
    draft = read(line)
    assert isinstance(draft, Draft)
    assert draft.prompt == text
    assert list(read_lines_of(line)) == [line]


def read_lines_of(text: str) -> list[str | CommandError]:
    from io import BytesIO

    return list(read_lines(BytesIO(text.encode())))


@pytest.mark.parametrize(
    "prompt",
    [
        "می‌خواهم یک درخت",
        "हिन्दी क्‍ष",
        "👩‍🚀 on a hill",
        "soft\u00adhyphen",
        "a \u202eevil hill",
        "猫　絵",
        "🏴\U000e0067\U000e007f",
    ],
)
def test_bidirectional_text_is_escaped_on_a_terminal_and_joiners_are_kept(
    prompt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L2: only what reorders text is escaped, and only on a terminal."""
    monkeypatch.chdir(tmp_path)
    talk = Talk(tmp_path)
    talk.type(f"{prompt} -s 2 -S 5")
    assert f": {prompt} -s 2 -S 5 " in talk.out  # a pipe gets it verbatim
    talk.type("!fetch out/000001.5.png")
    assert talk.entry.text.startswith(f"{prompt} -s 2 ")
    assert (clean(prompt) == prompt) == ("\u202e" not in prompt)


def test_a_sheet_carries_the_line_of_all_its_pictures(batches: Batches, tmp_path: Path) -> None:
    """X7: `!fetch` of a sheet gives a line that makes all of its pictures again."""
    lines = [
        "a cat -n 3 -S 5 -g",
        "a cat -S 5 --sweep C=3,5 --sweep s=1,2",
        "a cat -S 5 --sweep model=pocket,sd-1.5",
        "a cat -I test-pictures -S 5 -f 0.5 -n 2 -g",
        "a cat -n 2 -S 5 -g |> a dog -f 0.5 -S 3",
        "a cat -S 5 -I test-pictures/fire-drawing.png -v 0.3 -n 2 -g",
    ]
    for number, line in enumerate(lines, 1):
        result = batches.run([line], steps=2)
        assert result.status == 0, result.stderr
        sheet = next(iter(sorted(batches.folder.glob(f"{number:06}.*[pd].png"))))
        talk = Talk(tmp_path)
        talk.type(f"!fetch {sheet}")
        again = batches.run([talk.entry.text], outdir=str(tmp_path / f"again-{number}"), steps=9, cfg_scale=3)
        assert again.status == 0, (talk.entry.text, again.stderr)
        first = list(result.engine.requests)
        assert len(again.engine.requests) == len(first)
        for one, other in zip(first, again.engine.requests, strict=True):
            if isinstance(one.init_image, str):  # a picture that is passed back lies in another folder
                start = str(other.init_image).replace(f"again-{number}/000001", f"out/{number:06}")
                assert (replace(other, init_image=one.init_image), start) == (one, one.init_image)
            else:
                assert other == one
