"""Recipes of other programs as lines that our parser reads, and ours as A1111 parameters."""

import json
import re
from collections import Counter
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from invoke.errors import InvokeError
from invoke.events import RunInfo
from invoke.language.parse import Draft, parse, read
from invoke.outputs import foreign, metadata, png
from invoke.outputs.foreign import a1111, a1111_prompt, embedded
from invoke.prompts import Blend, Conjunction, Fragment, read_prompt
from invoke.request import Request
from tests.line_contexts import plan
from tests.making import a_request
from tests.outputs.makings import PIXELS
from tests.strategies import requests

SETTINGS = "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 12, Size: 512x768"
LINE = "-S 12 -s 20 -C 7 -W 512 -H 768 -A k_euler_a"
LARGER = LINE.replace("-W 512 -H 768", "-W 1024 -H 1536")


def read_back(texts: dict[str, str]) -> tuple[str, tuple[str, ...]]:
    """The line, and what it leaves out."""
    recipe = foreign.read(texts)
    return ("", ()) if recipe is None else (recipe.line, recipe.left_out)


# A1111


@pytest.mark.parametrize(
    ("text", "line", "left_out"),
    [
        (f"a cat\n{SETTINGS}", f"a cat {LINE}", ()),
        (
            f"a cat,\nin oil\nNegative prompt: blurry\n{SETTINGS}, Version: v1.9",
            f"a cat, in oil {LINE} --negative_prompt blurry",
            (),
        ),
        (f'a cat\n{SETTINGS}, Model: "a, b", Lora hashes: "x: y"', f"a cat {LINE}", ("model a, b",)),
        ("a cat\nSeed: 5, Steps: 20", "a cat -S 5 -s 20", ()),
        ("a cat\nSteps: 20, Seed: -1", "a cat -s 20", ("seed -1",)),
        # X1: extensions write lines after the settings
        (
            f"a cat\n{SETTINGS}\nTemplate: a {{cat|dog}}\nNegative Template: x",
            f"a cat {LINE}",
            ("template a {cat|dog}", "negative template x"),
        ),
        # X2: weights and brackets
        (f"a lighthouse, [fog]\n{SETTINGS}", f"a lighthouse, (fog)0.9091 {LINE}", ()),
        (f"(x:1.3) (((y)))\n{SETTINGS}", f"(x)1.3 (y)1.331 {LINE}", ()),
        (f"(a (b:1.5) c:1.2)\n{SETTINGS}", f"(a)1.2 (b)1.8 (c)1.2 {LINE}", ()),
        (rf"a \(b\) c+ d-\n{SETTINGS}".replace(r"\n", "\n"), rf"a \(b\) c\+ d\- {LINE}", ()),
        (f"a cat BREAK a dog\n{SETTINGS}", f'("a cat", "a dog").and() {LINE}', ()),
        (f"a cat <lora:ink:0.8> x\n{SETTINGS}", f"withLora(ink,0.8) a cat x {LINE}", ()),
        (f"a <lora:ink:0.8:0.5> <hypernet:y:1>\n{SETTINGS}", f"a {LINE}", ("<lora:ink:0.8:0.5>", "<hypernet:y:1>")),
        (f"a (cat:-1) b\n{SETTINGS}", f"a b {LINE}", ("(cat:-1)",)),
        (f"[red:blue:0.3] x\n{SETTINGS}", f"blue x {LINE}", ("[red:blue:0.3] (read as blue)",)),
        (f"[red::15] x\n{SETTINGS}", f"red x {LINE}", ("[red::15] (read as red)",)),
        (f"[red|blue] x\n{SETTINGS}", f"red x {LINE}", ("[red|blue] (read as red)",)),
        (f"[(red:1.2):b:0.9] x\n{SETTINGS}", f"(red)1.2 x {LINE}", ("[(red:1.2):b:0.9] (read as (red:1.2))",)),
        (
            f"a cat AND a dog\n{SETTINGS}",
            f"a cat AND a dog {LINE}",
            ("AND (several prompts at once; it is read as a word)",),
        ),
        # what there is beside the prompt
        (
            f"a\n{SETTINGS}, Model hash: abc, Clip skip: 2, Denoising strength: 0.4, Hires upscale: 2, "
            "Hires steps: 10, Hires upscaler: Latent",
            f"a {LINE} --clip_skip 1 |> a {LARGER.replace('-s 20', '-s 10')} -f 0.4 --clip_skip 1 --exact_steps",
            ("model hash abc", "hires upscaler Latent"),
        ),
        (
            f"a\n{SETTINGS}, Hires resize: 1024x0, Hires steps: 20, Hires upscaler: Lanczos",
            f"a {LINE} |> a {LARGER} -f 0.75 --exact_steps",
            (),
        ),
        (
            f"a\n{SETTINGS}, Denoising strength: 0.4, Hires upscale: x",
            f"a {LINE}",
            ("denoising strength 0.4", "hires upscale x"),
        ),
        (f"a\n{SETTINGS}, Clip skip: 1", f"a {LINE}", ()),
        (f"a\n{SETTINGS}, ADM Guidance: (1.5, 0.8), x: 2", f"a {LINE}", ("adm guidance (1.5, 0.8)", "x 2")),
        (f"a\n{SETTINGS}, Clip skip: 2, Model: dreamXL", f"a {LINE}", ("clip skip 2", "model dreamXL")),
        (f"a\n{SETTINGS}, Clip skip: 40", f"a {LINE}", ("clip_skip 39",)),
        (f"a\n{SETTINGS}, Denoising strength: 0.4", f"a {LINE} -f 0.4", ("the init picture (name it with -I)",)),
        (f"a\n{SETTINGS}, Variation seed: 7, Variation seed strength: 0.3", f"a {LINE} -V 7:0.3", ()),
        ("a\nSteps: 9, Sampler: DPM++ 2M Karras, Seed: 1", "a -S 1 -s 9 -A k_dpmpp_2 --karras", ()),
        ("a\nSteps: 9, Sampler: DPM++ 2M, Schedule type: Karras, Seed: 1", "a -S 1 -s 9 -A k_dpmpp_2 --karras", ()),
        ("a\nSteps: 9, Sampler: DPM++ 2M, Schedule type: Automatic, Seed: 1", "a -S 1 -s 9 -A k_dpmpp_2 --karras", ()),
        ("a\nSteps: 9, Sampler: Euler, Schedule type: Automatic, Seed: 1", "a -S 1 -s 9 -A k_euler", ()),
        (
            "a\nSteps: 9, Sampler: Euler, Schedule type: Beta, Seed: 1",
            "a -S 1 -s 9 -A k_euler",
            ("schedule type Beta",),
        ),
        (
            f"a\n{SETTINGS}, Denoising strength: 0.4, Hires upscale: 2, Hires steps: 9, Hires upscaler: Lanczos, "
            'Hires prompt: "a (dog:1.2), b", Hires negative prompt: [x], Hires sampler: DPM++ 2M, '
            "Hires schedule type: Karras, Hires CFG Scale: 5, Hires checkpoint: Use same checkpoint",
            f"a {LINE} |> a (dog)1.2, b -S 12 -s 9 -C 5 -W 1024 -H 1536 -A k_dpmpp_2 --karras -f 0.4 --exact_steps "
            "--negative_prompt (x)0.9091",
            (),
        ),
        (f"a\n{SETTINGS}, Tiling: True, CFG Rescale phi: 0.7", f"a {LINE} --cfg_rescale 0.7 --seamless", ()),
        # a schedule type in the name, as until 1.8, and what "Automatic" means
        ("a\nSteps: 9, Sampler: Euler a SGM Uniform", "a -s 9 -A k_euler_a", ("schedule type SGM Uniform",)),
        (
            "a\nSteps: 9, Sampler: DPM++ 2M SDE, Schedule type: Automatic",
            "a -s 9 -A k_dpmpp_2_a",
            ("schedule type Exponential",),
        ),
        ("a\nSteps: 9, Sampler: DPM adaptive, Seed: 1", "a -S 1 -s 9", ("sampler DPM adaptive",)),
        # X4
        ("a\nSteps: 9, Seed: 9007199254740993", "a -s 9", ("seed 9007199254740993",)),
        (
            "a\nSteps: 9000, Seed: 1, CFG scale: x, Size: 1e9x7",
            "a -S 1",
            ("steps 9000", "cfg_scale x", "width 1e9", "height 7"),
        ),
        ("just a note", "", ()),
        ("", "", ()),
    ],
)
def test_a1111_parameters_become_a_line(text: str, line: str, left_out: tuple[str, ...]) -> None:
    assert read_back({"parameters": text}) == (line, left_out)
    if line:
        assert isinstance(read(line), Draft)


words = st.text(st.characters(categories=["L"], max_codepoint=0x3FF), min_size=1, max_size=6)
texts = st.lists(
    st.one_of(words, st.sampled_from(["well-lit", "c++", "-", "a:b", "a's", '"q"', "\\(", "\\)", "x,"])),
    min_size=1,
    max_size=3,
).map(" ".join)
attention = st.recursive(
    texts,
    lambda inner: st.one_of(
        inner.map("({})".format),
        inner.map("[{}]".format),
        st.tuples(inner, st.decimals("0.05", "3", places=2)).map(lambda pair: f"({pair[0]}:{pair[1]})"),
        st.lists(inner, min_size=1, max_size=3).map(" ".join),
    ),
    max_leaves=5,
)


def weighed(fragments: Any) -> list[tuple[str, float]]:
    """Each word with its weight, independent of how fragments are split."""
    return [(word, fragment.weight) for fragment in fragments for word in fragment.text.split()]


def all_weights(text: str) -> dict[tuple[int, str], float]:
    """Place and word → weight, of a prompt of ours."""
    output = read_prompt(text).positive
    assert not isinstance(output, Blend | Conjunction)
    return {(place, word): weight for place, (word, weight) in enumerate(weighed(output.original))}


@given(attention)
def test_every_word_of_a1111_keeps_its_weight(text: str) -> None:
    parts = a1111_prompt.read_attention(a1111_prompt._without_squares(text, 20, []))
    assume(len(parts) == 1)  # without BREAK
    (theirs,) = parts
    ours = read_prompt(a1111_prompt.to_ours(text).text).positive
    assert not isinstance(ours, Blend | Conjunction)
    expected = weighed(theirs)
    assert [word for word, _ in weighed(ours.original)] == [word for word, _ in expected]
    for (_, weight), (_, wanted) in zip(weighed(ours.original), expected, strict=True):
        assert weight == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a [b c", [("a ", 1), ("b c", 1 / 1.1)]),
        ("a [b [c", [("a ", 1), ("b ", 1 / 1.1), ("c", 1 / 1.1**2)]),
        ("a (b c", [("a ", 1), ("b c", 1.1)]),
        ("((a b) c", [("a b", 1.1**2), (" c", 1.1)]),
        ("(a [b:2) c", [("a ", 2), ("b", 2 / 1.1), (" c", 1 / 1.1)]),
        ("a) b] c:2)", [("a) b] c:2)", 1)]),
        ("(a:2) (b:.5)", [("a", 2), (" ", 1), ("b", 0.5)]),
        ("(a:-1) (b : 2 )", [("a", -1), (" ", 1), ("b ", 2)]),
        (r"\(a\) \[b \\", [("(a) [b \\", 1)]),
        ("(a (b:2):3)", [("a ", 3), ("b", 6)]),
    ],
)
def test_brackets_of_a1111_closed_or_not(text: str, expected: list[tuple[str, float]]) -> None:
    """As its web UI reads them: one that is not closed reaches to the end."""
    (fragments,) = a1111_prompt.read_attention(text)
    assert [fragment.text for fragment in fragments] == [words for words, _ in expected]
    assert [fragment.weight for fragment in fragments] == pytest.approx([weight for _, weight in expected])


REPEATED = {"Hires prompt", "Hires sampler", "Hires schedule type", "Hires CFG Scale"}
"""What a second pass has of its own; not written if that is what the first one has."""


def last_picture(line: str) -> Request:
    """Of the last part of a chain."""
    return list(plan(line).pictures())[-1].request


def without_needless(settings: dict[str, Any]) -> dict[str, Any]:
    """Switches that A1111 writes only with a second pass, which always has a strength."""
    if settings["Hires resize"] is None:
        return {name: None if name.startswith("Hires") else value for name, value in settings.items()}
    return settings | {"Denoising strength": settings["Denoising strength"] or "0.7"} | {"Steps": 9}


@given(
    attention,
    st.just("") | attention,
    st.fixed_dictionaries(
        {
            "Steps": st.integers(1, 1000),
            "Sampler": st.sampled_from(
                ["DDIM", "PLMS", "LMS", "Euler", "Euler a", "Heun", "DPM2", "DPM++ 2M", "UniPC"]
            ),
            "Schedule type": st.sampled_from(["Karras", "Uniform"]),
            "CFG scale": st.decimals("1.5", "20", places=1),
            "Seed": st.integers(0, 2**32 - 1),
            "Size": st.tuples(*[st.integers(4, 64).map(lambda side: 16 * side)] * 2).map(
                lambda size: f"{size[0]}x{size[1]}"
            ),
            "Denoising strength": st.none() | st.decimals("0.01", "1", places=2),
            "Clip skip": st.sampled_from([None, 2]),
            "Hires resize": st.sampled_from([None, None, "1536x1600"]),
            "Hires steps": st.sampled_from([None, 7]),
            "Hires upscaler": st.just("Lanczos"),
            "Hires prompt": st.sampled_from([None, "b (c:1.2)"]),
            "Hires sampler": st.sampled_from([None, "Heun"]),
            "Hires schedule type": st.sampled_from([None, "Karras"]),
            "Hires CFG Scale": st.sampled_from([None, "3"]),
        }
    ).map(without_needless),
)
def test_a1111_parameters_survive_a_round_trip(prompt: str, negative: str, settings: dict[str, Any]) -> None:
    """A1111 → ours → A1111 keeps prompt, negative prompt, weights, seed, sampler, steps, size and strength."""
    pairs = ", ".join(f"{name}: {value}" for name, value in settings.items() if value is not None)
    before = f"{prompt}\nNegative prompt: {negative}\n{pairs}" if negative else f"{prompt}\n{pairs}"
    recipe = foreign.read({"parameters": before})
    assert recipe is not None
    starts = settings["Denoising strength"] is not None and settings["Hires resize"] is None
    assert recipe.left_out == (("the init picture (name it with -I)",) if starts else ())
    line = f"{recipe.line} -I test-pictures/fire-drawing.png" if starts else recipe.line
    after = a1111.render(last_picture(f"{line} --no-defaults"))
    again = foreign.read({"parameters": after})
    assert again is not None
    for one, other in zip(parse(recipe.line).parts, parse(again.line).parts, strict=True):
        for name in ("prompt", "negative_prompt"):
            texts_ = [(draft.prompt if name == "prompt" else draft.switches.get(name)) or "" for draft in (one, other)]
            assert all_weights(texts_[0]) == pytest.approx(all_weights(texts_[1]), abs=1e-3)
        assert {**one.switches, "steps": 0, "negative_prompt": ""} == {
            **other.switches,
            "steps": 0,
            "negative_prompt": "",
        }
    assert set(again.left_out) - set(recipe.left_out) <= {"model pocket"}
    for name, value in settings.items():
        if name in {"CFG scale", "Denoising strength"}:
            assert value is None or float(re.findall(rf"{name}: ([\d.]+)", after)[0]) == float(value)
        elif value is not None and name not in REPEATED and (name != "Schedule type" or "Schedule type" in after):
            assert f"{name}: {value}" in after


@pytest.mark.parametrize(
    ("line", "text"),
    [
        # X3
        ("a lighthouse [fog]", "a lighthouse\nNegative prompt: fog\n"),
        ("a red++ cat", "a (red:1.21) cat\n"),
        ("a (big cat)1.3 [dog]", "a (big cat:1.3)\nNegative prompt: dog\n"),
        ("a \\(b\\)", "a \\(b\\)\n"),
        ('("a", "b").and()', "a BREAK b\n"),
        ("a cat -V 7:0.3", "Variation seed: 7, Variation seed strength: 0.3"),
        ("a cat -A k_dpmpp_2 --karras", "Sampler: DPM++ 2M, Schedule type: Karras"),
        ("a cat --clip_skip 1", "Clip skip: 2"),
        ("a cat --perlin 0.2 --seamless", "Tiling: True, Not in A1111: --perlin 0.2"),
        ("Negative prompt: on a sign [x]", "\\Negative prompt: on a sign\nNegative prompt: x\n"),
        ('("a", "b").blend(1, 1)', "Not in A1111: .blend()"),
        (
            "a cat -S 5 -W 64 -H 64 -s 9 |> a cat -S 5 -W 128 -H 128 -s 9 -f 0.5",
            "Size: 64x64, Model: pocket, Denoising strength: 0.5, Hires resize: 128x128, Hires steps: 4, "
            "Hires upscaler: Lanczos",
        ),
        (
            "a cat -S 5 -C 7 -W 64 -H 64 -s 9 |> a dog [x] -S 5 -W 128 -H 128 -s 9 -f 0.5 -A k_heun -C 4",
            "Hires upscaler: Lanczos, Hires prompt: a dog, Hires negative prompt: x, Hires sampler: Heun, "
            "Hires schedule type: Uniform, Hires CFG Scale: 4",
        ),
        ("a cat -W 64 -H 64 |> a dog -S 6 -f 0.5", "Not in A1111: |> (the part before)"),
        ("a cat -I test-pictures/fire-drawing.png -f 0.6", "Denoising strength: 0.6"),
    ],
)
def test_our_request_is_rendered_as_a1111_parameters(line: str, text: str) -> None:
    assert text in a1111.render(last_picture(f"{line} -S 5"))


def test_a1111_parameters_name_the_model_and_the_program() -> None:
    run = RunInfo("txt2img", 1, 1.0, "cpu", "float32", {"invoke-shell": "0.1.0"}, {"model": "0123456789abcdef"})
    text = a1111.render(a_request(model='a, "b": c'), run)
    assert r'Model hash: 0123456789, Model: "a, \"b\": c", Version: invoke-shell 0.1.0' in text
    assert "-W 256 -H 256" in read_back({"parameters": text})[0]


@given(requests)
def test_our_a1111_parameters_are_parsed_again(request_: Request) -> None:
    text = a1111.render(request_)
    recipe = foreign.read({"parameters": text})
    assert recipe is not None
    draft = parse(recipe.line)
    width, height = request_.size
    assert draft.switches["seed"] == request_.seed
    assert draft.switches["steps"] == request_.steps
    assert draft.switches["cfg_scale"] == request_.guidance_scale
    assert draft.switches.get("width", width) == width
    assert draft.switches.get("height", height) == height
    assert draft.switches.get("karras", False) == request_.karras
    assert draft.switches["sampler"] == {"pndm": "plms"}.get(request_.scheduler, request_.scheduler)


# other programs


def graph(**changes: dict[str, Any]) -> str:
    """A plain graph of ComfyUI, with other inputs or nodes."""
    nodes: dict[str, dict[str, Any]] = {
        "sampler": {
            "class_type": "KSampler",
            "inputs": {
                "seed": 5,
                "steps": 20,
                "cfg": 7.0,
                "sampler_name": "dpmpp_2m",
                "scheduler": "karras",
                "denoise": 1.0,
                "model": ["model", 0],
                "positive": ["words", 0],
                "negative": ["bad", 0],
                "latent_image": ["size", 0],
            },
        },
        "model": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15.safetensors"}},
        "size": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768, "batch_size": 1}},
        "words": {"class_type": "CLIPTextEncode", "inputs": {"text": "a (cat:1.2) [x]", "clip": ["model", 1]}},
        "bad": {"class_type": "CLIPTextEncode", "inputs": {"text": "bad", "clip": ["model", 1]}},
        "decode": {"class_type": "VAEDecode", "inputs": {"samples": ["sampler", 0], "vae": ["model", 2]}},
        "save": {"class_type": "SaveImage", "inputs": {"images": ["decode", 0], "filename_prefix": "/etc/x"}},
    }
    for name, inputs in changes.items():
        if "class_type" in inputs:
            nodes[name] = inputs
        else:
            nodes[name]["inputs"] |= inputs
    return json.dumps(nodes)


COMFY = "-S 5 -s 20 -C 7 -W 512 -H 768 -A k_dpmpp_2 --karras --negative_prompt bad"
LORA = {
    "class_type": "LoraLoader",
    "inputs": {"lora_name": "a\\ink.safetensors", "strength_model": 0.8, "strength_clip": 0.8, "model": ["model", 0]},
}
SECOND_TO_LAST = {"stop_at_clip_layer": -2, "clip": ["model", 1]}
LATENT = {"class_type": "VAEEncode", "inputs": {"pixels": ["picture", 0], "vae": ["model", 2]}}
PICTURE = {"class_type": "LoadImage", "inputs": {"image": "me.png"}}
BOTH = {"images": ["decode", 0], "latents": ["sampler", 0]}
EFFICIENT = {
    "steps": 20,
    "cfg": 7.5,
    "seed": 5,
    "sampler_name": "",
    "positive": ["loader", 1],
    "negative": ["loader", 2],
}
EFFICIENT |= {"latent_image": ["loader", 3], "model": ["loader", 0]}
UNUSED = ("CheckpointLoaderSimple", "EmptyLatentImage", "CLIPTextEncode")


@pytest.mark.parametrize(
    ("prompt", "line", "left_out"),
    [
        (graph(), rf"a (cat)1.2 \[x\] {COMFY}", ("model sd15.safetensors",)),
        (
            graph(sampler={"model": ["lora", 0]}, lora=LORA, words={"text": "a embedding:foo"}),
            f"withLora(ink,0.8) a <foo> {COMFY}",
            ("model sd15.safetensors",),
        ),
        (
            graph(
                sampler={"model": ["lora", 0]},
                lora={
                    "class_type": "LoraLoaderModelOnly",
                    "inputs": {"lora_name": "ink.pt", "strength_model": 0.8, "model": ["model", 0]},
                },
            ),
            rf"withLora(ink,0.8) a (cat)1.2 \[x\] {COMFY}",
            ("model sd15.safetensors",),
        ),
        (
            graph(
                sampler={"model": ["lora", 0]},
                lora={"class_type": "LoraLoader", "inputs": LORA["inputs"] | {"strength_clip": 0.5}},  # type: ignore[operator]
            ),
            rf"a (cat)1.2 \[x\] {COMFY}",
            ("LoRA ink 0.8", "model sd15.safetensors"),
        ),
        (
            graph(size=LATENT, picture=PICTURE, sampler={"denoise": 0.6, "scheduler": "beta"}),
            r"a (cat)1.2 \[x\] -S 5 -s 20 -C 7 -A k_dpmpp_2 -f 0.6 --negative_prompt bad",
            ("scheduler beta", "model sd15.safetensors", "the init picture me.png (name it with -I)"),
        ),
        (
            graph(sampler={"seed": ["number", 0]}, number={"class_type": "PrimitiveInt", "inputs": {"value": 99}}),
            rf"a (cat)1.2 \[x\] {COMFY}".replace("-S 5", "-S 99"),
            ("model sd15.safetensors",),
        ),
        (
            graph(
                words={"class_type": "CLIPTextEncodeSDXL", "inputs": {"text_g": "a cat", "text_l": "a dog"}},
                bad={"class_type": "CLIPTextEncodeSDXL", "inputs": {"text_g": "bad", "text_l": "bad"}},
            ),
            f"a cat a dog {COMFY}",
            ("model sd15.safetensors",),
        ),
        (
            graph(sharpen={"class_type": "ImageSharpen", "inputs": {"image": ["decode", 0]}}),
            rf"a (cat)1.2 \[x\] {COMFY}",
            ("model sd15.safetensors", "node ImageSharpen"),
        ),
        (
            graph(second={"class_type": "KSampler", "inputs": {}}, decode={"samples": ["second", 0]}, save=BOTH),
            "",
            ("its graph has 2 samplers; only graphs with a single KSampler can be written as a line",),
        ),
        (
            graph(sampler={"class_type": "SamplerCustom", "inputs": {}}),
            "",
            ("its graph has SamplerCustom; only graphs with a single KSampler can be written as a line",),
        ),
        (
            graph(words={"clip": ["skip", 0]}, skip={"class_type": "CLIPSetLastLayer", "inputs": SECOND_TO_LAST}),
            rf"a (cat)1.2 \[x\] {COMFY}".replace(" --negative", " --clip_skip 1 --negative"),
            ("model sd15.safetensors",),
        ),
        # what no output needs
        (
            graph(second={"class_type": "KSampler", "inputs": {}}),
            rf"a (cat)1.2 \[x\] {COMFY}",
            ("model sd15.safetensors", "node KSampler"),
        ),
        # texts: two that a node passes side by side, one that is set to zero, those of nodes that nobody knows
        (
            graph(
                sampler={"positive": ["control", 0], "negative": ["control", 1]},
                control={
                    "class_type": "ControlNetApplyAdvanced",
                    "inputs": {"positive": ["words", 0], "negative": ["bad", 0]},
                },
            ),
            rf"a (cat)1.2 \[x\] {COMFY}",
            ("model sd15.safetensors", "node ControlNetApplyAdvanced"),
        ),
        (
            graph(bad={"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["words", 0]}}),
            rf"a (cat)1.2 \[x\] {COMFY}".removesuffix(" --negative_prompt bad"),
            ("model sd15.safetensors",),
        ),
        (
            graph(words={"text": ["joined", 0]}, joined={"class_type": "Text Join", "inputs": {"a": "x", "b": "y"}}),
            "",
            ("its prompt comes from nodes that are not supported: Text Join",),
        ),
        (
            graph(
                sampler={"class_type": "KSampler (Efficient)", "inputs": EFFICIENT},
                loader={"class_type": "Efficient Loader", "inputs": {"positive": "a (cat:1.2)", "negative": "bad"}},
            ),
            "a (cat)1.2 -S 5 -s 20 -C 7.5 --negative_prompt bad",
            ("node Efficient Loader", *(f"node {kind}" for kind in UNUSED)),
        ),
        # part of the noise, of nothing and of a picture that is scaled first
        (graph(sampler={"denoise": 0.6}), rf"a (cat)1.2 \[x\] {COMFY}", ("model sd15.safetensors", "denoise 0.6")),
        (
            graph(
                size=LATENT | {"inputs": {"pixels": ["scaled", 0]}},
                scaled={"class_type": "ImageScale", "inputs": {"image": ["picture", 0], "width": 512}},
                picture=PICTURE,
            ),
            rf"a (cat)1.2 \[x\] {COMFY}".replace("-W 512 -H 768", "")
            .replace("--karras", "--karras -f 1")
            .replace("  ", " "),
            ("model sd15.safetensors", "node ImageScale", "the init picture me.png (name it with -I)"),
        ),
        ("[]", "", ()),
        ('{"a": {"class_type": 7}}', "", ()),
    ],
)
def test_a_comfyui_graph_becomes_a_line(prompt: str, line: str, left_out: tuple[str, ...]) -> None:
    assert read_back({"prompt": prompt, "workflow": "{}"}) == (line, left_out)


def sd(**image: Any) -> str:
    settings = {"steps": 30, "cfg_scale": 7.5, "seed": 42, "width": 512, "height": 384, "sampler": "k_euler_a"}
    return json.dumps({"app_id": "invoke-ai/InvokeAI", "image": settings | image})


CAT = [{"prompt": "a cat", "weight": 1.0}]
SD = "-S 42 -s 30 -C 7.5 -W 512 -H 384 -A k_euler_a"
NOVEL = {"steps": 28, "scale": 5, "seed": 3, "width": 832, "height": 1216, "sampler": "k_euler_ancestral", "uc": "bad"}
NOVEL |= {"n_samples": 1}


def novel_4(text: str, *characters: str) -> dict[str, Any]:
    """A prompt as NovelAI 4 writes it."""
    return {
        "caption": {"base_caption": text, "char_captions": [{"char_caption": one, "centers": []} for one in characters]}
    }


SWARM = {
    "prompt": "a cat",
    "negativeprompt": "bad",
    "model": "x/y",
    "seed": 4,
    "steps": 20,
    "cfgscale": 7,
    "width": 512,
    "height": 512,
    "sampler": "euler_ancestral",
    "scheduler": "karras",
}
FOOOCUS = {
    "prompt": "a cat",
    "negative_prompt": "bad",
    "base_model": "j.safetensors",
    "seed": "4",
    "steps": 30,
    "guidance_scale": 4.0,
    "resolution": "(896, 1152)",
    "sampler": "dpmpp_2m_sde_gpu",
    "scheduler": "karras",
    "loras": [["ink.safetensors", 0.1, "h"]],
}
DRAW_THINGS = {
    "c": "a (cat:1.2)",
    "uc": "bad",
    "model": "sd_v1.5_f16.ckpt",
    "sampler": "DPM++ 2M Karras",
    "scale": 7.5,
    "seed": 4,
    "size": "512x768",
    "steps": 25,
    "strength": 1,
    "lora": [{"model": "ink_lora_f16.ckpt", "weight": 0.6}],
    "v2": {"steps": 25},
}


def draw_things(data: dict[str, Any]) -> str:
    comment = json.dumps(data).replace("&", "&amp;").replace('"', "&quot;")
    return (
        "<x:xmpmeta><rdf:RDF><rdf:Description><xmp:CreatorTool>Draw Things</xmp:CreatorTool><exif:UserComment><rdf:Alt>"
        f'<rdf:li xml:lang="x-default">{comment}</rdf:li></rdf:Alt></exif:UserComment></rdf:Description></rdf:RDF>'
        "</x:xmpmeta>"
    )


DRAWN_THINGS = "-S 4 -s 25 -C 7.5 -W 512 -H 768 -A k_dpmpp_2 --karras"
EASY = {
    "prompt": "a cat",
    "negative_prompt": "bad",
    "seed": 4,
    "num_inference_steps": 25,
    "guidance_scale": 7.5,
    "width": 512,
    "height": 512,
    "sampler_name": "euler_a",
    "use_stable_diffusion_model": "sd",
}
EASY_TEXTS = {
    "Prompt": "a cat",
    "Negative Prompt": "bad",
    "Seed": "4",
    "Steps": "25",
    "Guidance Scale": "7.5",
    "Width": "512",
    "Height": "512",
    "Sampler": "euler_a",
    "Stable Diffusion model": "sd",
}


@pytest.mark.parametrize(
    ("texts", "program", "line", "left_out"),
    [
        (
            {"Dream": "a cat -s50 -S42 -W512 # model_id=sd-1.5"},
            "InvokeAI",
            "a cat -s 50 -S 42 -W 512",
            ("model sd-1.5",),
        ),
        # R21: a stranger's line gives picture switches only
        (
            {"Dream": "a cat -o /etc -m evil -I /etc/passwd -M m.png -s5 -n 9"},
            "InvokeAI",
            "a cat -s 5",
            ("-o /etc", "-m evil", "-I /etc/passwd", "-M m.png", "-n 9"),
        ),
        ({"Dream": "!quit"}, "InvokeAI", "", ("its line is a command: !quit",)),
        ({"Dream": "a cat\n!quit\x1b[2J"}, "InvokeAI", "", ("its line cannot be read",)),
        ({"sd-metadata": sd(prompt=CAT)}, "InvokeAI", f"a cat {SD}", ()),
        (
            {"sd-metadata": sd(prompt=CAT, seed=-3, steps="rm", width=1e400, sampler="foo")},
            "InvokeAI",
            "a cat -C 7.5 -H 384",
            ("sampler foo", "seed -3", "steps rm", "width inf"),
        ),
        (
            {"sd-metadata": json.dumps({"images": [json.loads(sd(prompt="a dog"))["image"]]})},
            "InvokeAI",
            f"a dog {SD}",
            (),
        ),
        (
            {"sd-metadata": sd(prompt=[{"prompt": "a", "weight": 0.6}, {"prompt": "b", "weight": 0.4}])},
            "InvokeAI",
            f"a:0.6 b:0.4 {SD}",
            (),
        ),
        (
            {"sd-metadata": sd(prompt=CAT, type="img2img", strength=0.4, variations=[{"seed": 7, "weight": 0.2}])},
            "InvokeAI",
            f"a cat {SD} -f 0.4 -V 7:0.2",
            ("the init picture (name it with -I)",),
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
            "InvokeAI",
            '"a cat -s 3" -S 7 -s 20 -C 5 -A k_dpmpp_2 --karras --negative_prompt "blurry sky"',
            ("model /etc/passwd",),
        ),
        (
            {
                "invokeai_metadata": json.dumps(
                    {
                        "positive_prompt": "a cat",
                        "seed": 7,
                        "steps": 20,
                        "cfg_rescale_multiplier": 0.7,
                        "clip_skip": 1,
                        "guidance": 3.5,
                        "loras": [{"model": {"name": "ink"}, "weight": 0.5}, {"model": {"name": "/x"}, "weight": 1}],
                    }
                )
            },
            "InvokeAI",
            "withLora(ink,0.5) a cat -S 7 -s 20 --clip_skip 1 --cfg_rescale 0.7",
            ("LoRA /x 1", "guidance 3.5"),
        ),
        (
            {
                "invokeai_metadata": json.dumps(
                    {
                        "generation_mode": "inpaint",
                        "positive_prompt": "a cat++ [x]",
                        "seed": 7,
                        "steps": 20,
                        "seamless_x": True,
                        "seamless_y": True,
                        "denoising_strength": 0.5,
                        "app_version": "4.2",
                    }
                )
            },
            "InvokeAI",
            r"a cat++ \[x\] -S 7 -s 20 --seamless",
            ("generation_mode inpaint", "denoising_strength 0.5"),
        ),
        (
            {
                "Software": "NovelAI",
                "Description": "not all of it",
                "Comment": json.dumps(
                    NOVEL
                    | {"v4_prompt": novel_4("a {cat}", "a dog"), "v4_negative_prompt": novel_4("blurry"), "prompt": ""}
                ),
            },
            "NovelAI",
            "a (cat)1.05 -S 3 -s 28 -C 5 -W 832 -H 1216 -A k_euler_a --negative_prompt blurry",
            ("character a dog",),
        ),
        (
            {
                "Software": "NovelAI",
                "Description": "{{cat}}, [dog] (x)",
                "Comment": json.dumps(NOVEL),
            },
            "NovelAI",
            r"(cat)1.1025, (dog)0.9524 \(x\) -S 3 -s 28 -C 5 -W 832 -H 1216 -A k_euler_a --negative_prompt bad",
            (),
        ),
        (
            {"parameters": json.dumps({"sui_image_params": SWARM})},
            "SwarmUI",
            "a cat -S 4 -s 20 -C 7 -W 512 -H 512 -A k_euler_a --karras --negative_prompt bad",
            ("model x/y",),
        ),
        (
            {
                "parameters": json.dumps(
                    {"sui_image_params": {"prompt": "<base>a<break>b <fromto[0.5]:c,d> <segment:face> e <refiner> f"}}
                )
            },
            "SwarmUI",
            '("a", "b").and()',
            ("<segment:face> e", "<refiner> f", "<fromto[0.5]:c,d>"),
        ),
        (
            {"parameters": json.dumps(FOOOCUS), "fooocus_scheme": "fooocus"},
            "Fooocus",
            "withLora(ink,0.1) a cat -S 4 -s 30 -C 4 -W 896 -H 1152 -A k_dpmpp_2_a --karras --negative_prompt bad",
            ("base_model j.safetensors",),
        ),
        (
            {"parameters": json.dumps(EASY)},
            "Easy Diffusion",
            "a cat -S 4 -s 25 -C 7.5 -W 512 -H 512 -A k_euler_a --negative_prompt bad",
            ("use_stable_diffusion_model sd",),
        ),
        (
            {"parameters": json.dumps(EASY | {"clip_skip": True, "use_lora_model": ["ink"], "lora_alpha": [0.5]})},
            "Easy Diffusion",
            "withLora(ink,0.5) a cat -S 4 -s 25 -C 7.5 -W 512 -H 512 -A k_euler_a --clip_skip 1 --negative_prompt bad",
            ("use_stable_diffusion_model sd",),
        ),
        (
            EASY_TEXTS,
            "Easy Diffusion",
            "a cat -S 4 -s 25 -C 7.5 -W 512 -H 512 -A k_euler_a --negative_prompt bad",
            ("stable_diffusion_model sd",),
        ),
        (
            {"XML:com.adobe.xmp": draw_things(DRAW_THINGS)},
            "Draw Things",
            f"withLora(ink_lora_f16,0.6) a (cat)1.2 {DRAWN_THINGS} --negative_prompt bad",
            ("model sd_v1.5_f16.ckpt",),
        ),
        (
            {"XML:com.adobe.xmp": draw_things(DRAW_THINGS | {"strength": 0.6, "lora": [], "clip_skip": 2})},
            "Draw Things",
            f"a (cat)1.2 {DRAWN_THINGS} -f 0.6 --negative_prompt bad",
            ("the init picture (name it with -I)", "model sd_v1.5_f16.ckpt", "clip_skip 2"),
        ),
        ({"XML:com.adobe.xmp": "<x:xmpmeta/>"}, None, "", ()),
        # a graph without a line, beside a recipe that is one
        (
            {
                "prompt": graph(sampler={"class_type": "SamplerCustom", "inputs": {}}),
                "parameters": f"a cat\n{SETTINGS}",
            },
            "the web UI of AUTOMATIC1111",
            f"a cat {LINE}",
            (),
        ),
        ({"workflow": '{"nodes": []}'}, "ComfyUI", "", ("it has only the editor's workflow",)),
        ({"Software": "Midjourney"}, "Midjourney", "", ()),
        ({"sd-metadata": "[" * 60_000, "Comment": "a cat -s10"}, None, "", ()),
        ({"sd-metadata": '{"image": 7, "images": {"a": 1}}'}, None, "", ()),
        ({"Dream": "x" * 70_000, "parameters": "a cat\nSteps: 3"}, "the web UI of AUTOMATIC1111", "a cat -s 3", ()),
    ],
)
def test_recipes_of_other_programs_become_lines(
    texts: dict[str, str], program: str | None, line: str, left_out: tuple[str, ...]
) -> None:
    recipe = foreign.read(texts)
    assert (recipe and recipe.program) == program
    assert read_back(texts) == (line, left_out)
    if line:
        assert isinstance(read(line), Draft)


def _in(program: str, more: dict[str, Any]) -> dict[str, str]:
    """The texts of a file of `program` with more settings than its usual ones."""
    match program:
        case "SwarmUI":
            return {"parameters": json.dumps({"sui_image_params": SWARM | more})}
        case "Fooocus":
            return {"parameters": json.dumps(FOOOCUS | more)}
        case "Easy Diffusion":
            return {"parameters": json.dumps(EASY | more)}
        case "NovelAI":
            return {"Software": program, "Description": "a cat", "Comment": json.dumps(NOVEL | more)}
        case _:
            return {"sd-metadata": sd(prompt=CAT, **more)}


INIT = ("the init picture (name it with -I)",)


@pytest.mark.parametrize(
    ("program", "more", "words", "lost"),
    [
        ("SwarmUI", {"initimage": "x"}, "-f 0.6", INIT),
        ("SwarmUI", {"initimagecreativity": 0.3}, "-f 0.3", INIT),
        ("SwarmUI", {"clipstopatlayer": -2}, "--clip_skip 1", ()),
        ("SwarmUI", {"clipstopatlayer": -1}, "", ()),
        ("SwarmUI", {"clipstopatlayer": -2, "model": "my-xl"}, "", ("clip skip 2",)),
        ("SwarmUI", {"variationseed": 7, "variationseedstrength": 0.2}, "-V 7:0.2", ()),
        ("SwarmUI", {"variationseed": 7, "variationseedstrength": 0}, "", ()),
        ("SwarmUI", {"loras": ["a/ink"], "loraweights": ["0.7"]}, "withLora(ink,0.7)", ()),
        ("SwarmUI", {"scheduler": "normal"}, "", ()),
        ("SwarmUI", {"scheduler": "beta"}, "", ("scheduler beta",)),
        ("Fooocus", {"clip_skip": 2}, "", ()),
        ("Fooocus", {"clip_skip": 3}, "--clip_skip 1", ()),
        ("Fooocus", {"resolution": "(640, 704)"}, "640 704", ()),
        ("Easy Diffusion", {"init_image": "data:"}, "-f 0.8", INIT),
        ("Easy Diffusion", {"prompt_strength": 0.3}, "-f 0.3", INIT),
        ("Easy Diffusion", {"clip_skip": False}, "", ()),
        ("Easy Diffusion", {"use_lora_model": "ink", "lora_alpha": 0.5}, "withLora(ink,0.5)", ()),
        ("NovelAI", {"strength": 0.7}, "-f 0.7", INIT),
        ("NovelAI", {"strength": 0.7, "request_type": "PromptGenerateRequest"}, "", ()),
        ("NovelAI", {"noise_schedule": "karras"}, "--karras", ()),
        ("NovelAI", {"noise_schedule": "polyexponential"}, "", ("scheduler polyexponential",)),
        ("NovelAI", {"n_samples": 2, "noise": 0.1}, "", ("noise 0.1", "n_samples 2")),
        ("InvokeAI", {"threshold": 2, "perlin": 0.1}, "--threshold 2 --perlin 0.1", ()),
        (
            "InvokeAI",
            {"init_image_path": "x.png", "strength": 0.4},
            "-f 0.4",
            ("the init picture x.png (name it with -I)",),
        ),
    ],
)
def test_each_setting_of_other_programs_is_read_or_named(
    program: str, more: dict[str, Any], words: str, lost: tuple[str, ...]
) -> None:
    """Beside the line without it: these words come in, and so much is left out."""
    plain, found = (foreign.read(_in(program, settings)) for settings in ({}, more))
    assert plain is not None
    assert found is not None
    assert found.program == plain.program == program
    added = Counter(found.line.split()) - Counter(plain.line.split())
    assert sorted(added.elements()) == sorted(words.split())
    assert set(found.left_out) - set(plain.left_out) - {"model my-xl"} == set(lost)


# files


def a_file(kind: str, comment: bytes, *, tag: int = 0x9286) -> bytes:
    """A picture of `kind` whose EXIF says `comment`."""
    exif = Image.Exif()
    exif[0x010E] = "a picture"
    if tag == 0x9286:
        exif.get_ifd(0x8769)[tag] = comment
    else:
        exif[tag] = comment
    data = BytesIO()
    Image.new("RGB", (16, 16)).save(data, kind, exif=exif)
    return data.getvalue()


HEADS = {
    "utf-16-be": b"UNICODE\0",
    "utf-16-le": b"UNICODE\0",
    "utf-16": b"UNICODE\0",
    "utf-8": b"ASCII\0\0\0",
    "utf-8-sig": b"",
}


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG", "AVIF"])
@pytest.mark.parametrize("encoding", HEADS)
@pytest.mark.parametrize("prompt", ["a cat", "猫 a café"])
def test_a_user_comment_is_read_as_parameters_are(kind: str, encoding: str, prompt: str, tmp_path: Path) -> None:
    """ASCII alone in UTF-16 is sound UTF-8 as well."""
    text = f"{prompt}\nNegative prompt: blurry\n{SETTINGS}"
    path = tmp_path / "x.bin"
    path.write_bytes(a_file(kind, HEADS[encoding] + text.encode(encoding)))
    recipe = metadata.read(path)
    assert recipe is not None
    assert recipe.line == f"{prompt} {LINE} --negative_prompt blurry"


@pytest.mark.parametrize("tag", [0x010E, 0x010F, 0x0110])
def test_comfyui_writes_its_graph_into_the_exif_of_a_webp(tag: int, tmp_path: Path) -> None:
    path = tmp_path / "x.webp"
    path.write_bytes(a_file("WEBP", f"prompt:{graph()}".encode(), tag=tag))
    recipe = metadata.read(path)
    assert recipe is not None
    assert (recipe.program, recipe.line) == ("ComfyUI", rf"a (cat)1.2 \[x\] {COMFY}")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_xmp_is_read(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    xmp = draw_things(DRAW_THINGS)
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp)
    more = {"pnginfo": info} if kind == "PNG" else {"xmp": xmp.encode()}
    Image.new("RGB", (16, 16)).save(tmp_path / "x", kind, **more)
    recipe = metadata.read(tmp_path / "x")
    assert recipe is not None
    assert recipe.line.startswith("withLora(ink_lora_f16,0.6) a (cat)1.2 -S 4")
    if kind != "PNG":
        monkeypatch.setattr(embedded, "LARGEST", len(xmp.encode()) - 1)
        assert metadata.read(tmp_path / "x") is None, "it is too long"


def test_recipes_are_read_from_the_picture_file(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(png.encode(PIXELS, 6, [("parameters", "a cat\nSteps: 20, Seed: 5, Model: x")]))
    recipe = metadata.read(path)
    assert recipe is not None
    assert (recipe.line, recipe.request, recipe.facts, recipe.left_out) == (
        "a cat -S 5 -s 20",
        None,
        None,
        ("model x",),
    )


# arbitrary metadata

anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["prompt", "weight"]), inner)),
    max_leaves=6,
)
keys = st.sampled_from(
    [
        *("prompt", "positive_prompt", "seed", "steps", "cfg_scale", "width", "sampler", "scheduler", "uc", "scale"),
        *("base_model", "use_stable_diffusion_model", "loras", "loraweights", "resolution", "inputs", "class_type"),
    ]
)
shapes = st.sampled_from(
    [
        lambda data: {"sd-metadata": json.dumps({"image": data})},
        lambda data: {"invokeai_metadata": json.dumps(data)},
        lambda data: {"Software": "NovelAI", "Comment": json.dumps(data)},
        lambda data: {"parameters": json.dumps({"sui_image_params": data})},
        lambda data: {"parameters": json.dumps(data)},
        lambda data: {"prompt": json.dumps({"1": {"class_type": "KSampler", "inputs": data}, "2": data})},
        lambda data: {name: str(value) for name, value in data.items()},
    ]
)


def _is_safe(recipe: foreign.ForeignRecipe | None) -> None:
    """One row, and if it can be parsed, only switches that make a picture."""
    for text in () if recipe is None else (recipe.line, recipe.program, *recipe.left_out):
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", text)
    if recipe is None or not recipe.line:
        return
    try:
        draft = parse(recipe.line)
    except InvokeError:
        pytest.fail(f"{recipe.line} cannot be read")
    assert not {"outdir", "model", "init_img", "init_mask", "control", "init_color", "upscaler"} & draft.switches.keys()


@given(st.dictionaries(keys, anything), shapes)
def test_any_metadata_gives_a_line_or_none(data: dict[str, Any], shape: Any) -> None:
    _is_safe(foreign.read(shape(data)))


@given(st.text(max_size=80))
def test_any_a1111_parameters_give_a_line_or_none(text: str) -> None:
    for parameters in (text, f"{text}\nSteps: 20, {text}"):
        _is_safe(foreign.read({"parameters": parameters}))
    _is_safe(foreign.read({"Dream": text}))


def test_break_inside_brackets_splits_the_text() -> None:
    """`BREAK` inside brackets also splits the text."""
    first, second = a1111_prompt.read_attention("(a BREAK b)")
    assert first == [Fragment("a ", 1.1)]
    assert second == [Fragment(" b", 1.1)]


def test_a_request_with_a_replaced_prompt_renders_the_new_one() -> None:
    assert a1111.render(replace(a_request(), prompt="a (cat)1.5")).startswith("a (cat:1.5)\n")
