"""What a larger canvas holds: the picture where it belongs, and around it nothing that is known."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invoke.engine.img2img.outpainting import cut, grow
from invoke.engine.img2img.prepared import Prepared
from tests.making import a_request

SIDES = ("left", "top", "right", "bottom")


@settings(max_examples=50)
@given(
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    margins=st.tuples(*[st.integers(0, 9)] * 4).filter(any),
    multiple=st.sampled_from([1, 8, 64]),
    is_masked=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_canvas_grows_by_its_margins_and_up_to_a_multiple(
    size: tuple[int, int], margins: tuple[int, int, int, int], multiple: int, is_masked: bool, seed: int
) -> None:
    (width, height), (left, top, right, bottom) = size, margins
    draw = np.random.default_rng(seed)
    original = draw.integers(0, 256, (height, width, 3)).astype(np.uint8)
    mask = draw.choice([0.0, 0.5, 1.0], (height, width)).astype(np.float32)
    own = {"repaint_mask": torch.from_numpy(mask), "covered": torch.from_numpy(mask == 1)} if is_masked else {}
    prepared = Prepared(torch.from_numpy(original), torch.from_numpy(original).float() / 255, **own)
    outcrop = tuple(part for side, pixels in zip(SIDES, margins, strict=True) if pixels for part in (side, pixels))
    request = a_request(width=width, height=height, outcrop=outcrop, infill="solid")
    made = grow(prepared, request, multiple)

    whole = width + left + right, height + top + bottom
    across, down = (-(-side // multiple) * multiple for side in whole)
    place = np.s_[top : top + height, left : left + width]
    expected_mask = np.ones((down, across), np.float32)
    expected_mask[place] = mask if is_masked else 0
    expected = np.broadcast_to(original.reshape(-1, 3).mean(0) / 255, (down, across, 3)).copy()
    expected[place] = original / 255
    assert made.repaint_mask is not None
    assert made.covered is not None
    assert np.array_equal(made.repaint_mask.numpy(), expected_mask)
    covered = np.ones((down, across), bool)
    covered[place] = is_masked & (mask == 1)
    assert np.array_equal(made.covered.numpy(), covered)
    assert np.abs(made.encode_source.numpy() - expected).max() < 1e-5
    assert np.array_equal(made.original.numpy()[place], original)
    assert np.abs(made.original.numpy() - expected * 255).max() <= 0.51
    assert abs(made.painted - expected_mask[: whole[1], : whole[0]].mean()) < 1e-6, "of the picture, not its padding"
    assert cut(made.original, request).shape == (whole[1], whole[0], 3)
