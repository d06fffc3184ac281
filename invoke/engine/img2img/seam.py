"""Removes the seam between a new part and the picture by gradient-domain blending (Pérez et al. 2003, eq. 3).

Under a covered mask the drawn part need not meet the picture at its rim: the denoiser sees the other side only in
cells of 8 pixels, and the decoder shifts colours a little. The result has the gradients of the drawn part, meets the
picture at the rim, and returns to the drawn colours within some pixels (a screened Poisson equation, Bhat et al. 2008).
Near the rim, drawn gradients across it count less, since they contain the step that is to be removed.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it

REACH = 4
"""Depth into the mask at which the colour correction falls to 1/e, as a multiple of `--mask_blur`."""
BAND = 1.5
"""Depth to which a step in the drawn part is levelled, as a multiple of `--mask_blur`."""
RIM = 8.0
"""Weight of a smooth transition at the rim, relative to 1 for each gradient."""
SMOOTHING = 6
"""Passes of a 3 × 3 mean: drawn texture below this scale is left unchanged."""
ITERATIONS = 64
LEFT = 0.05
"""Mean error at which the solver stops, in levels of 255."""

Field = torch.Tensor
"""Channels × height × width, or height × width."""


def without_seam(
    painted: torch.Tensor, original: torch.Tensor, inside: torch.Tensor, fixed: torch.Tensor, blur: int
) -> torch.Tensor:
    """Adapt `painted` (bytes, height × width × 3) to `original` around the rim of `inside`.

    `inside` and `fixed` (bool, height × width) are the drawn and the kept pixels; pixels in neither have no influence.
    `blur` is in pixels. `painted` is returned unchanged if `blur` is below 1 or either area is empty.
    """
    if blur < 1 or not inside.any() or not fixed.any():
        return painted
    rows, columns = _box(inside, margin=SMOOTHING + 2)
    inside, fixed = inside[rows, columns], fixed[rows, columns]
    drawn, kept = (pixels[rows, columns].permute(2, 0, 1).float() for pixels in (painted, original))
    solved = _solve(drawn, kept, inside, fixed, blur).clamp(0, 255).round().to(torch.uint8).permute(1, 2, 0)
    adapted = painted.clone()
    adapted[rows, columns] = torch.where(inside[..., None], solved, painted[rows, columns])
    return adapted


def _solve(drawn: Field, kept: Field, inside: Field, fixed: Field, blur: int) -> Field:
    """Minimise Σ w |∇u − g|² + λ Σ |u − drawn|² over the pixels `inside`; `fixed` pixels equal `kept`."""
    free = inside.float()
    start = torch.where(fixed, kept, drawn)
    goals, weights = [], []
    share = _share_across(inside, round(BAND * blur))
    smooth = _smoothed(drawn, SMOOTHING)
    for axis, across in ((-1, share[0]), (-2, share[1])):
        goal = _step(drawn, axis) - _between(across, axis) * _step(smooth, axis)
        at_rim = _pairs(inside, fixed, axis) | _pairs(fixed, inside, axis)
        within = _pairs(inside, inside, axis)
        goals.append(torch.where(at_rim, 0.0, goal))
        weights.append(at_rim * RIM + within * 1.0)
    screen = 1 / (REACH * blur) ** 2

    def apply(field: Field) -> Field:
        steps = (weight * _step(field, axis) for weight, axis in zip(weights, (-1, -2), strict=True))
        return (_adjoint(*steps, like=field) + screen * field) * free

    missing = (
        weight * (goal - _step(start, axis)) for weight, goal, axis in zip(weights, goals, (-1, -2), strict=True)
    )
    change = _conjugate_gradients(
        apply, _adjoint(*missing, like=drawn) * free, good=LEFT**2 * float(free.sum()) * screen
    )
    return start + change


def _conjugate_gradients(apply: Callable[[Field], Field], right: Field, *, good: float) -> Field:
    """Solve apply(x) = right for a symmetric positive `apply`, starting from 0 (Hestenes and Stiefel 1952)."""
    x, residual = torch.zeros_like(right), right
    direction, norm = residual, (residual * residual).sum()
    for _ in range(ITERATIONS):
        if float(norm) <= good:
            break
        applied = apply(direction)
        length = norm / (direction * applied).sum()
        x = x + length * direction
        residual = residual - length * applied
        before, norm = norm, (residual * residual).sum()
        direction = residual + norm / before * direction
    return x


def _share_across(inside: Field, band: int) -> tuple[Field, Field]:
    """The fraction of the gradients along x and y that crosses the rim: 1 at the rim, 0 from `band` pixels on."""
    depth, eroded = torch.zeros(inside.shape), inside.float()
    for _ in range(band + 4):
        depth += eroded
        eroded = -F.max_pool2d(-eroded[None, None], 3, 1, 1)[0, 0]
    level = _smoothed(depth[None], 3)[0]
    down, right = torch.gradient(level)
    length = (right**2 + down**2).clamp_min(1e-9)
    near = 1 - (depth / band).clamp(0, 1)
    near = near * near * (3 - 2 * near)
    return near * right**2 / length, near * down**2 / length


def _step(field: Field, axis: int) -> Field:
    return field.diff(dim=axis)


def _adjoint(right: Field, down: Field, *, like: Field) -> Field:
    """The transpose of the steps along x and y."""
    made = torch.zeros_like(like)
    made[..., :, 1:] += right
    made[..., :, :-1] -= right
    made[..., 1:, :] += down
    made[..., :-1, :] -= down
    return made


def _between(field: Field, axis: int) -> Field:
    """The mean of neighbours along `axis`."""
    size = field.shape[axis]
    return (field.narrow(axis, 0, size - 1) + field.narrow(axis, 1, size - 1)) / 2


def _pairs(first: Field, second: Field, axis: int) -> Field:
    """Where a pixel is in `first` and the next one along `axis` in `second`."""
    size = first.shape[axis]
    return first.narrow(axis, 0, size - 1) & second.narrow(axis, 1, size - 1)


def _smoothed(field: Field, passes: int) -> Field:
    smooth = field[None]
    for _ in range(passes):
        smooth = F.avg_pool2d(F.pad(smooth, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return smooth[0]


def _box(inside: Field, *, margin: int) -> tuple[slice, slice]:
    """Rows and columns of the bounding box of `inside`, with a `margin` in pixels."""
    spans = []
    for axis, length in ((1, inside.shape[0]), (0, inside.shape[1])):
        where = inside.any(axis).nonzero()
        spans.append(slice(max(0, int(where[0]) - margin), min(length, int(where[-1]) + 1 + margin)))
    return spans[0], spans[1]
