"""`--ip_adapter`: parsing, planning, errors with columns, completion."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from invoke.errors import InvokeError
from invoke.language.complete import suggest
from invoke.language.complete.sources import Sources
from invoke.language.parse import parse
from invoke.language.render import render
from tests.line_contexts import PICTURES, a_context, plan

FIRE, SKETCH = str(PICTURES / "fire-drawing.png"), str(PICTURES / "tree-and-river-sketch.png")


def test_the_first_ip_adapter_that_fits_is_the_default() -> None:
    planned = plan(f"a tree -m sd-1.5 --ip_adapter {SKETCH} 0.5 --ip_adapter ip-adapter-plus {FIRE}")
    references = (("ip-adapter", SKETCH, 0.5), ("ip-adapter-plus", FIRE, 1.0))
    assert planned.picture(0).request.ip_adapters == references
    assert "IP-Adapter  ip-adapter tree-and-river-sketch.png × 0.5" in planned.summary
    assert plan(f"a tree -m sdxl --ip_adapter {SKETCH}").picture(0).request.ip_adapters[0][0] == "ip-adapter-sdxl"


def test_a_saved_line_names_the_ip_adapter() -> None:
    request = plan(f"a tree -m sd-1.5 --ip_adapter {SKETCH} 0.5").picture(0).request
    assert f"--ip_adapter ip-adapter {SKETCH} 0.5" in render(request)


@pytest.mark.parametrize(
    ("typed", "value", "prompt"),
    [
        (f"{SKETCH} 3 ducks", None, ""),
        (f"{SKETCH} 0.5 3 ducks", ("", SKETCH, 0.5), "a 3 ducks"),
        (f"{SKETCH} ducks", ("", SKETCH, 1.0), "a ducks"),
        ("Photo.JPG ducks", ("", "Photo.JPG", 1.0), "a ducks"),
        ("plus photo ducks", ("plus", "photo", 1.0), "a ducks"),
        ("-1 0.5 ducks", ("", "-1", 0.5), "a ducks"),
        ("plus 12.3 ducks", ("plus", "12.3", 1.0), "a ducks"),
    ],
)
def test_ip_adapter_takes_model_picture_and_scale(
    typed: str, value: tuple[str, str, float] | None, prompt: str
) -> None:
    if value is None:
        with pytest.raises(InvokeError, match="must be between 0 and 2, not 3"):
            parse(f"a --ip_adapter {typed}")
        return
    draft = parse(f"a --ip_adapter {typed}")
    assert (draft.switches["ip_adapter"], draft.prompt) == ((value,), prompt)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (f"a --ip_adapter {FIRE}", "ip-adapter is made for Stable Diffusion at full size, which pocket is not"),
        (f"a -m flux-schnell --ip_adapter {FIRE}", "no IP-Adapter fits flux-schnell"),
        (f"a -m kandinsky-2.2 --ip_adapter {FIRE}", "no IP-Adapter fits kandinsky-2.2"),
        (f"a -m sdxl-refiner --ip_adapter {FIRE}", "no IP-Adapter fits sdxl-refiner"),
        (
            f"a -m sdxl --ip_adapter ip-adapter {FIRE}",
            "ip-adapter is made for Stable Diffusion 1 and 2, which sdxl is not",
        ),
        (f"a -m sd-1.5 --ip_adapter canny {FIRE}", "use it with --control, not with --ip_adapter"),
        (f"a -m sd-1.5 --ip_adapter ip-adaptor {FIRE}", "no IP-Adapter is called 'ip-adaptor', did you mean"),
        ("a -m sd-1.5 --ip_adapter nope.png", "nope.png: there is no such picture"),
        ("a -m sd-1.5 --ip_adapter -1", "--ip_adapter -1: no picture was made in this session"),
        ("a -m sd-1.5 --ip_adapter plus", "--ip_adapter must name a picture after the model plus"),
        (f"a cat.swap(dog) -m sd-1.5 --ip_adapter {FIRE}", "--ip_adapter and .swap() cannot be combined"),
        ("a cat.swap(dog) -m sd-1.5 --pag 3", "--pag and .swap() cannot be combined"),
        ("a -m ip-adapter", "ip-adapter: this is an IP-Adapter; use it with --ip_adapter"),
    ],
)
def test_invalid_ip_adapters_are_refused(line: str, sentence: str) -> None:
    with pytest.raises(InvokeError) as caught:
        plan(line)
    assert sentence in caught.value.message
    assert caught.value.column is not None


def test_an_ip_adapter_with_unknown_encoder_is_refused_when_planned(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    layers = {"ip_adapter.1.to_k_ip.weight": np.zeros((32, 768), np.float32)}
    save_file(layers | {"image_proj.proj.weight": np.zeros((8, 7), np.float32)}, path)
    with pytest.raises(InvokeError, match=r"the image encoder of .*mine\.safetensors is unknown"):
        plan(f"a -m sd-1.5 --ip_adapter {path} {FIRE}")
    output = tmp_path / "told.safetensors"
    save_file(layers | {"image_proj.proj.weight": np.zeros((8, 1024), np.float32)}, output)
    assert plan(f"a -m sd-1.5 --ip_adapter {output} {FIRE}").count == 1


def test_ip_adapter_has_no_effect_at_strength_0() -> None:
    still = f"a -m sd-1.5 -I {FIRE} -f 0 --ip_adapter {FIRE}"
    assert "--ip_adapter has no effect at strength 0" in plan(still).notes
    assert "--reuse has no effect with --ip_adapter" in plan(f"a -m sd-1.5 --reuse 3 --ip_adapter {FIRE}").notes


SOURCES = Sources(
    models={"pocket": "small scenes"},
    added={"ip-adapter": {"ip-adapter": "style", "ip-adapter-plus": "nearer"}},
    made=[("outputs/000001.42.png", 42)],
    folder=lambda path: [("ink.png", False), ("notes.txt", False)] if path == "." else (),
)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("a --ip", ["--ip_adapter"]),
        ("a --ip_adapter ", ["ip-adapter", "ip-adapter-plus", "-1", "ink.png"]),
        ("a --ip_adapter in", ["ink.png"]),
        ("a --ip_adapter ip-adapter-plus ", ["-1", "ink.png"]),
    ],
)
def test_ip_adapter_is_completed(before: str, expected: list[str]) -> None:
    assert [suggestion.text for suggestion in suggest(before, SOURCES)][: len(expected)] == expected


def test_ip_adapter_accepts_a_picture_of_the_session() -> None:
    context = a_context(newest=[(FIRE, 1), (SKETCH, 2)], model="sd-1.5")
    assert plan("a tree --ip_adapter -2", context).picture(0).request.ip_adapters == (("ip-adapter", FIRE, 1.0),)
