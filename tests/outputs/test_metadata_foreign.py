"""Pictures of other programs, told as lines that our parser reads."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke.language.parse import Draft, parse
from invoke.outputs import metadata, metadata_foreign, png
from tests.outputs.makings import PIXELS, REQUEST
from tests.strategies import requests


def sd(**image: Any) -> str:
    known = {"steps": 30, "cfg_scale": 7.5, "seed": 42, "width": 512, "height": 384, "sampler": "k_euler_a"}
    return json.dumps({"app_id": "invoke-ai/InvokeAI", "image": known | image})


PROMPT = [{"prompt": "a cat", "weight": 1.0}]


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        ({}, ""),
        ({"Comment": "a cat -s10"}, ""),
        ({"Dream": "a cat -s50 -S42 -W512 # model_id=sd-1.5"}, "a cat -s50 -S42 -W512"),
        ({"Dream": "a cat\n!quit\x1b[2J"}, r"a cat !quit\x1b[2J"),
        ({"sd-metadata": sd(prompt=PROMPT)}, "a cat -S 42 -s 30 -C 7.5 -W 512 -H 384 -A k_euler_a"),
        (
            {"sd-metadata": sd(prompt=PROMPT, seed=-3, steps="rm", width=1e400, sampler="foo")},
            "a cat -C 7.5 -H 384",
        ),
        (
            {"sd-metadata": json.dumps({"images": [json.loads(sd(prompt="a dog"))["image"]]})},
            "a dog -S 42 -s 30 -C 7.5 -W 512 -H 384 -A k_euler_a",
        ),
        (
            {"sd-metadata": sd(prompt=[{"prompt": "a", "weight": 0.6}, {"prompt": "b", "weight": 0.4}])},
            "a:0.6 b:0.4 -S 42 -s 30 -C 7.5 -W 512 -H 384 -A k_euler_a",
        ),
        (
            {
                "invokeai_metadata": json.dumps(
                    {
                        "positive_prompt": "a cat -s 3",
                        "negative_prompt": "blurry sky",
                        "seed": 7,
                        "steps": 20,
                        "cfg_scale": 5,
                        "scheduler": "dpmpp_2m_k",
                        "model": {"name": "/etc/passwd"},
                    }
                )
            },
            '"a cat -s 3" -S 7 -s 20 -C 5 -A k_dpmpp_2 --karras --negative_prompt "blurry sky"',
        ),
        (
            {
                "parameters": "a cat,\nin oil\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, "
                'CFG scale: 7, Seed: 12, Size: 512x768, Model: "a, b", Lora hashes: "x: y", Version: v1.9'
            },
            "a cat, in oil -S 12 -s 20 -C 7 -W 512 -H 768 -A k_euler_a --negative_prompt blurry",
        ),
        (
            {"parameters": "a cat\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, Seed: 1"},
            "a cat -S 1 -s 20 -A k_dpmpp_2 --karras",
        ),
        ({"parameters": "just a note"}, ""),
        ({"parameters": ""}, ""),
        ({"sd-metadata": "[" * 60_000}, ""),
        ({"sd-metadata": "[]"}, ""),
        ({"sd-metadata": '{"image": 7, "images": {"a": 1}}'}, ""),
        ({"invokeai_metadata": '{"positive_prompt": ["x"], "seed": {"a": 1}}'}, "\"['x']\""),
        ({"Dream": "x" * 70_000, "parameters": "a cat\nSteps: 3"}, "a cat -s 3"),
    ],
)
def test_lines_of_others(texts: dict[str, str], line: str) -> None:
    told = metadata_foreign.line(texts)
    assert told.strip('"') == line.strip('"')
    if told and "Dream" not in texts:
        assert isinstance(parse(told), Draft)


def test_they_are_read_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(png.encode(PIXELS, 6, [("parameters", "a cat\nSteps: 20, Seed: 5")]))
    recipe = metadata.read(path)
    assert recipe is not None
    assert (recipe.line, recipe.request, recipe.facts) == ("a cat -S 5 -s 20", None, None)


@given(requests)
def test_what_we_write_for_others_reads_again(request_: Any) -> None:
    said = metadata_foreign.parse(metadata_foreign.render(request_))
    assert said["steps"] == str(request_.steps)
    assert said["seed"] == str(request_.seed)
    assert (said["width"], said["height"]) == (str(request_.width), str(request_.height))
    assert float(str(said["cfg_scale"])) == request_.guidance_scale
    assert said["karras"] == request_.karras
    assert said["sampler"] == {"pndm": "plms"}.get(request_.scheduler, request_.scheduler)


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["prompt", "weight"]), inner)),
    max_leaves=6,
)
keys = st.sampled_from(["prompt", "positive_prompt", "seed", "steps", "cfg_scale", "width", "sampler", "scheduler"])


@given(st.dictionaries(keys, anything), st.sampled_from(["sd-metadata", "invokeai_metadata"]))
def test_whatever_a_file_says_gives_a_line_or_nothing(data: dict[str, Any], keyword: str) -> None:
    text = json.dumps({"image": data} if keyword == "sd-metadata" else data)
    told = metadata_foreign.line({keyword: text})
    assert told.isprintable() or "\u3000" in told or "\xa0" in told or told == ""
    if told:
        parse(told)


@given(st.text(max_size=80))
def test_any_parameters_give_a_line_or_nothing(text: str) -> None:
    for parameters in (text, f"{text}\nSteps: 20, {text}"):
        told = metadata_foreign.line({"parameters": parameters})
        if told:
            parse(told)


def test_a_model_with_a_comma_stays_one_value() -> None:
    text = metadata_foreign.render(replace(REQUEST, model='a, "b": c'))
    assert r'Model: "a, \"b\": c"' in text
    assert metadata_foreign.parse(text)["width"] == "512"
