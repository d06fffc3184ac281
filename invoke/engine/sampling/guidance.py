"""Classifier-free guidance: combines the denoiser's predictions for the positive and the negative prompt.

Ho & Salimans (2022), eq. 6 in the form with s = w + 1: eps = eps(∅) + s·(eps(c) − eps(∅)).
"""

from dataclasses import dataclass

import torch

from invoke.request import Request


@dataclass(frozen=True, slots=True)
class Guidance:
    """The strength of guidance, and when it is active."""

    scale: float
    interval: tuple[float, float] | None = None
    """The interval, from noise (0) to picture (1), in which guidance is on; None: always. Outside of it guidance costs
    as much but helps little (Kynkäänniemi et al. 2024)."""
    train_timesteps: int = 1000
    image_scale: float = 0.0
    """Guidance towards the edited picture; used only if there is a prediction without it."""
    perturbed_scale: float = 0.0
    """Guidance away from the prediction with perturbed attention, which is the last row if this is not 0."""
    rescale: float = 0.0
    """How much the guided prediction is rescaled to the standard deviation of the positive one, 0..1."""

    @classmethod
    def of(cls, request: Request, train_timesteps: int, rescale: float = 0.0) -> "Guidance":
        """The guidance of `request`; `rescale` is the model's default."""
        wanted = rescale if request.guidance_rescale is None else request.guidance_rescale
        image_scale = request.image_guidance_scale
        return cls(
            request.guidance_scale, request.guidance_interval, train_timesteps, image_scale, request.pag_scale, wanted
        )

    def reaches(self, timestep: torch.Tensor) -> bool:
        if self.interval is None:
            return True
        first, last = self.interval
        return first <= 1 - (float(timestep) + 1) / self.train_timesteps < last

    def combined(self, answer: torch.Tensor) -> torch.Tensor:
        """Combine the predictions for the negative and the positive text (2 × …) into one (1 × …); a single one stays.

        For edits by instruction there are three: the first has neither picture nor text (Brooks et al. 2023, eq. 3).
        """
        rows = list(answer.chunk(len(answer)))
        perturbed = rows.pop() if self.perturbed_scale else None
        *nothing, positive = rows
        if not nothing:
            return positive if perturbed is None else positive + (positive - perturbed).mul_(self.perturbed_scale)
        negative = nothing.pop()
        guided = (positive - negative).mul_(self.scale)
        if perturbed is not None:
            guided.add_((positive - perturbed).mul_(self.perturbed_scale))
        if nothing:
            guided.add_((negative - nothing[0]).mul_(self.image_scale)).add_(nothing[0])
        else:
            guided.add_(negative)
        if not self.rescale:
            return guided
        # Lin et al. (2024), eq. 15 and 16
        axes = list(range(1, guided.dim()))
        ratio = positive.std(dim=axes, keepdim=True) / guided.std(dim=axes, keepdim=True)
        return guided * (self.rescale * ratio + (1 - self.rescale))
