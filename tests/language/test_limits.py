"""Switches that a family does not support are refused when planning, at their column."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke.errors import InvokeError, ModelError, RequestError
from invoke.language.resolve.limits import check_family, check_loras
from invoke.language.switches import by_field
from invoke.models import ModelSpec, Registry
from invoke.models.families import FAMILIES, OFF
from invoke.request import Request
from tests.line_contexts import PICTURES, a_context, plan
from tests.making import a_request

FIRE = PICTURES / "fire-drawing.png"
HOLE = PICTURES / "photo-with-hole.png"


@pytest.mark.parametrize(
    ("line", "sentence", "column"),
    [
        ("a cat --karras", "--karras: not supported by flux-schnell", 6),
        ("a cat -A k_heun", "-A k_heun: flux-schnell works only with its own sampler", 6),
        ("a cat --perlin 0.2", "--perlin: not supported by flux-schnell", 6),
        ("a cat -V 7:0.1", "-V/--with_variations: not supported by flux-schnell", 6),
        ("a cat -v 0.1", "-v without -I: not supported by flux-schnell", 6),
        ("a cat --hires_fix -W 2048", "--hires_fix: not supported by flux-schnell", 6),
        ("a cat --seamless", "--seamless: not supported by flux-schnell", 6),
        ("a cat --refiner sdxl-refiner", "--refiner: not supported by flux-schnell", 6),
        ("a cat --freeu", "--freeu: not supported by flux-schnell", 6),
        ("a cat --pag 3", "--pag: not supported by flux-schnell", 6),
        ("a cat --clip_skip 1", "--clip_skip: not supported by flux-schnell", 6),
        (f"a cat -I {HOLE} --strength_map {HOLE}", "--strength_map: not supported by flux-schnell", None),
        (f"a cat -I {HOLE} -M {PICTURES / 'mask.png'} --soft", "--soft: not supported by flux-schnell", None),
        ("a cat --cfg_rescale 0.5", "--cfg_rescale: not supported by flux-schnell", 6),
        (f"a cat -I {HOLE} -r 1", "-r/--inpaint_replace: not supported by flux-schnell", None),
        ("a cat++ on a mat", "flux-schnell takes plain prompts", None),
        ('("a cat", "a dog").blend(1, 1)', "flux-schnell takes plain prompts", None),
        ("a cat withLora(lcm, 0.5)", "flux-schnell takes plain prompts", None),
        ("a cat.swap(dog)", "flux-schnell takes plain prompts", None),
        ("a cat [dogs++]", "flux-schnell takes plain prompts", None),
    ],
)
def test_flux_refuses_unsupported_switches(line: str, sentence: str, column: int | None) -> None:
    with pytest.raises(RequestError) as caught:
        plan(line, a_context(model="flux-schnell"))
    assert caught.value.message.startswith(sentence)
    assert column is None or caught.value.column == column


@pytest.mark.parametrize("model", ["kandinsky-2.2", "flux-schnell"])
@pytest.mark.parametrize(
    "line",
    [
        "a cat",
        "a cat [dogs] -n 3 -g",
        "a sign that says 16:9 -s 4 -C 1",
        f"a cat -I {FIRE} -f 0.5 --exact_steps",
        f"a cat -I {FIRE} -v 0.2 -n 2",
        f"a cat -I {HOLE} -M {PICTURES / 'mask.png'} --mask_blur 4 --invert_mask --infill blur",
        f"a cat -I {FIRE} -c top 128",
        f"a cat -I {FIRE} -f 0 --karras",
        f"a cat --init_color {FIRE}",
    ],
)
def test_supported_switches_are_planned_for_each_family(line: str, model: str) -> None:
    assert plan(line, a_context(model=model)).count


@pytest.mark.parametrize(
    "line", ["a cat --karras -A k_dpmpp_2", "a cat --seamless", "a cat -V 7:0.1", "a cat --perlin 0.2", "a cat -A ddim"]
)
def test_kandinsky_supports_the_switches_of_the_common_loop(line: str) -> None:
    assert plan(line, a_context(model="kandinsky-2.2")).count


@pytest.mark.parametrize(
    "line",
    [
        "a cat --refiner sdxl-refiner",
        "a cat --clip_skip 1",
        "a cat --freeu",
        "a cat --pag 3",
        "a cat++",
        "a cat withLora(lcm, 0.5)",
    ],
)
def test_kandinsky_refuses_switches_of_stable_diffusion(line: str) -> None:
    with pytest.raises(RequestError, match=r"not supported by kandinsky-2\.2|kandinsky-2\.2 takes plain prompts"):
        plan(line, a_context(model="kandinsky-2.2"))


def test_clip_skip_beyond_the_text_encoder_is_refused() -> None:
    with pytest.raises(RequestError, match="--clip_skip 3: pocket can skip at most 2 layers") as caught:
        plan("a cat --clip_skip 3", a_context())
    assert caught.value.column == 6
    assert plan("a cat --clip_skip 2", a_context()).count
    assert plan(f"a cat --clip_skip 3 -I {FIRE} -f 0", a_context()).count


def test_a_hub_id_not_on_disk_refuses_no_switch() -> None:
    assert plan("a cat++ --karras -A k_heun", a_context(model="somebody/something")).count


@pytest.mark.parametrize("family", [name for name, row in FAMILIES.items() if row.refused])
@given(data=st.data())
def test_every_refused_field_belongs_to_a_switch(family: str, data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(sorted(FAMILIES[family].refused)))  # type: ignore[index]
    request = replace(a_request(), scheduler="k_euler", **{field: object()})
    spec = ModelSpec(name="tiny", weights=".", family=family, sampler="k_euler")  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="not supported by tiny") as caught:
        check_family(request, spec, {by_field()[field].name: 3})
    assert caught.value.column == 3
    check_family(request, replace(spec, family="sd"))


SKETCH = PICTURES / "tree-and-river-sketch.png"
TYPED = {
    "karras": "--karras",
    "guidance_interval": "--cfg_interval 0:0.7",
    "guidance_rescale": "--cfg_rescale 0.5",
    "clip_skip": "--clip_skip 1",
    "batch_size": "--batch_size 2",
    "reuse": "--reuse 2",
    "freeu": "--freeu",
    "pag_scale": "--pag 3",
    "variations": "-V 7:0.1",
    "perlin": "--perlin 0.2",
    "threshold": "--threshold 2",
    "h_symmetry_time_pct": "--h_symmetry_time_pct 0.5",
    "v_symmetry_time_pct": "--v_symmetry_time_pct 0.5",
    "seamless": "--seamless",
    "hires_fix": "--hires_fix -W 2048 -H 2048",
    "refiner": "--refiner sdxl-refiner",
    "controls": f"--control canny {FIRE}",
    "ip_adapters": f"--ip_adapter {FIRE}",
    "inpaint_replace": f"-r 0.5 -M {PICTURES / 'mask.png'}",
    "strength_map": f"--strength_map {PICTURES / 'mask.png'}",
    "soft": f"--soft -M {PICTURES / 'mask.png'}",
    "embiggen": "-embiggen 2",
    "embiggen_tiles": "-embiggen 2 -embiggen_tiles 1",
}
"""Field → a switch that sets it."""


@pytest.mark.parametrize(
    "model",
    [
        "sd-1.5",
        "sdxl",
        "sdxl-refiner",
        "kandinsky-2.2",
        "flux-schnell",
        "instruct-pix2pix",
        "kontext",
        "qwen-image-edit",
    ],
)
def test_each_switch_is_followed_or_refused_by_its_name_and_the_models(model: str) -> None:
    assert TYPED.keys() == OFF.keys()
    for field, typed in TYPED.items():
        line = f"a cat -I {SKETCH} {typed} -m {model}"
        try:
            planned = plan(line.replace("canny", "canny-sdxl") if model == "sdxl" else line)
        except InvokeError as refusal:
            assert model in refusal.message, line
            assert any(word in refusal.message for word in typed.split() if word[0] == "-"), line
        else:
            is_set = getattr(planned.picture(0).request, field) != OFF[field]
            assert is_set or any(typed.split()[0] in note for note in planned.notes), line


FOLLOWED = {
    *("prompt", "negative_prompt", "model", "width", "height", "steps", "guidance_scale", "scheduler", "seed"),
    *("init_image", "strength", "more_images", "image_guidance_scale", "mask_image", "text_mask", "invert_mask"),
    *("mask_blur", "infill", "outcrop", "init_color", "seamless_axes", "facetool_strength", "facetool"),
    *("codeformer_fidelity", "upscale", "upscaler", "upscale_guidance"),
}
"""Fields of a request that every family follows, refuses in a way of its own, or never sees."""


def test_a_field_is_followed_by_every_family_or_may_be_refused() -> None:
    assert {field.name for field in fields(Request)} == FOLLOWED | OFF.keys()
    assert not FOLLOWED & OFF.keys()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "a withLora(lcm-sdxl) -m sd-1.5",
            "withLora(lcm-sdxl): it is made for Stable Diffusion XL, which sd-1.5 is not",
        ),
        ("a withLora(hyper) -m sdxl", "withLora(hyper): it is made for Stable Diffusion 1 and 2, which sdxl is not"),
    ],
)
def test_a_lora_of_another_family_is_refused_when_planned(line: str, sentence: str) -> None:
    with pytest.raises(ModelError) as caught:
        plan(line)
    assert caught.value.message == sentence


@pytest.mark.parametrize(
    ("family", "is_there", "is_stated", "is_refused"),
    [
        ("sdxl", True, False, True),
        ("sdxl", False, True, True),
        ("sdxl", False, False, False),
        ("sd", True, True, False),
        ("flux-dev", True, True, False),
    ],
)
def test_a_lora_whose_family_is_not_told_is_not_refused(
    tmp_path: Path, family: Any, is_there: bool, is_stated: bool, is_refused: bool
) -> None:
    """It is told by the entry, or by the file where there is one; a default tells nothing."""
    weights = tmp_path / "ink.safetensors"
    if is_there:
        weights.touch()
    stated = frozenset({"family"} if is_stated else ())
    lora = ModelSpec(name="ink", weights=str(weights), kind="lora", family=family, stated=stated)
    models, model = Registry({"ink": lora}), ModelSpec(name="mine", weights=".", family="sd")
    request = a_request(prompt="a cat withLora(ink)")
    if not is_refused:
        check_loras(request, model, models)
        return
    with pytest.raises(ModelError) as caught:
        check_loras(request, model, models)
    assert caught.value.message == "withLora(ink): it is made for Stable Diffusion XL, which mine is not"


@pytest.mark.parametrize(
    ("model", "refiner"),
    [("sd-1.5", "sdxl-refiner"), ("sdxl", "sd-1.5"), ("sdxl", "kontext"), ("sdxl", "kandinsky-2.2")],
)
def test_a_refiner_of_another_family_is_refused_when_planned(model: str, refiner: str) -> None:
    with pytest.raises(ModelError) as caught:
        plan(f"a cat -m {model} --refiner {refiner}")
    assert caught.value.message == f"--refiner: {refiner} cannot refine pictures of {model}"
    assert caught.value.column is not None
    assert plan("a cat -m sd-1.5 --refiner sd-2.1").count
