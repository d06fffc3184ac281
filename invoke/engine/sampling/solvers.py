"""Samplers that diffusers lacks or whose versions cannot be used: PLMS, linear multistep, DPM-Solver++ SDE, fast DDIM.

They use diffusers' schedules (`set_timesteps`, `sigmas`, `scale_model_input`) and replace `step`.
Except for DDIM and PLMS, variables are variance-exploding: x = x0 + sigma·noise.
"""

from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, KDPM2DiscreteScheduler, PNDMScheduler
from diffusers.utils.torch_utils import randn_tensor

_Alphas: Any = DDIMScheduler
_Sigmas: Any = EulerDiscreteScheduler
_SigmasWithMidpoints: Any = KDPM2DiscreteScheduler
_Plms: Any = PNDMScheduler

Stepped = tuple[torch.Tensor, torch.Tensor]
"""The next latents and the predicted clean latents."""


class DeterministicDDIMScheduler(_Alphas):  # type: ignore[misc]
    """DDIM without added noise (Song et al. 2021, eq. 12, σ = 0): bit-identical to diffusers in a third of the time.

    Factors that depend only on the schedule are computed once, and the variance, which is multiplied by 0, never.
    """

    def set_timesteps(self, *args: Any, **options: Any) -> None:
        super().set_timesteps(*args, **options)
        points: torch.Tensor = self.timesteps[: self.num_inference_steps]  # type: ignore[has-type]
        self.timesteps = points  # for some counts, such as 61 trailing ones, diffusers adds one more at -1
        stride = self.config.num_train_timesteps // self.num_inference_steps
        before = self.alphas_cumprod[self.timesteps]
        after = [self.alphas_cumprod[t] if t >= 0 else self.final_alpha_cumprod for t in self.timesteps - stride]
        alphas = zip(before, after, strict=True)
        self.factors = {
            int(t): ((1 - a) ** 0.5, a**0.5, (1 - b) ** 0.5, b**0.5)
            for t, (a, b) in zip(self.timesteps, alphas, strict=True)
        }
        """Timestep → noise and signal levels before the step, and after it."""
        config = self.config
        self.is_plain = config.prediction_type == "epsilon" and not (config.thresholding or config.clip_sample)

    def step(
        self, model_output: torch.Tensor, timestep: Any, sample: torch.Tensor, return_dict: bool = False
    ) -> Stepped:
        if not self.is_plain:
            stepped: Stepped = super().step(model_output, timestep, sample, return_dict=False)
            return stepped
        noise, signal, noise_after, signal_after = self.factors[int(timestep)]
        x0 = (sample - noise * model_output).div_(signal)
        return (signal_after * x0).add_(noise_after * model_output), x0


class PLMSScheduler(_Plms):  # type: ignore[misc]
    """Pseudo linear multistep (Liu et al. 2022), from any point of the schedule, for noise and v prediction.

    diffusers' version keeps the doubled warm-up point at the top of the whole schedule, even if the run begins later,
    and extrapolates v across noise levels, which is valid only for the noise.
    """

    of_v = False

    def set_timesteps(self, *args: Any, **options: Any) -> None:
        super().set_timesteps(*args, **options)
        if self.config.prediction_type == "v_prediction":
            self.of_v = True
            self.register_to_config(prediction_type="epsilon")  # `step` converts v to noise

    def begin(self, taken: int) -> torch.Tensor:
        """The timesteps of a run over the last `taken` points: t0 t1 t1 t2 …."""
        points = torch.tensor(sorted({t for t in self.plms_timesteps.tolist() if t >= 0}, reverse=True)[-taken:]).long()
        return torch.cat([points[:2], points[1:]]) if taken > 1 else points

    def step(
        self, model_output: torch.Tensor, timestep: Any, sample: torch.Tensor, return_dict: bool = False
    ) -> tuple[torch.Tensor]:
        if self.of_v:
            alpha = self.alphas_cumprod[timestep]
            model_output = alpha**0.5 * model_output + (1 - alpha) ** 0.5 * sample
        stepped: tuple[torch.Tensor] = super().step(model_output, timestep, sample, return_dict=False)
        return stepped


class LinearMultistepScheduler(_Sigmas):  # type: ignore[misc]
    """Adams–Bashforth in sigma, up to fourth order (Karras et al. 2022; `sample_lms` of k-diffusion).

    diffusers' LMSDiscreteScheduler needs scipy, and takes the order from the absolute position in the schedule:
    if the run begins in the middle, it extrapolates from derivatives that do not exist.
    """

    order_max = 4

    def set_timesteps(self, *args: Any, **options: Any) -> None:
        super().set_timesteps(*args, **options)
        self.derivatives: list[torch.Tensor] = []

    def step(
        self, model_output: torch.Tensor, timestep: Any, sample: torch.Tensor, return_dict: bool = False
    ) -> Stepped:
        if self.step_index is None:
            self._init_step_index(timestep)
        i = self.step_index
        sigma = self.sigmas[i]
        x0 = predicted_original(self.config.prediction_type, sample, model_output, sigma)
        self.derivatives = [(sample - x0) / sigma, *self.derivatives][: self.order_max]
        past = self.sigmas[[i - k for k in range(len(self.derivatives))]].double().numpy()
        weights = multistep_weights(past, float(sigma), float(self.sigmas[i + 1]))
        for weight, derivative in zip(weights, self.derivatives, strict=True):
            sample = sample + weight * derivative
        self._step_index += 1
        return sample, x0


class DPMSolverSDEScheduler(_SigmasWithMidpoints):  # type: ignore[misc]
    """DPM-Solver++ (SDE), single step with midpoint (Lu et al. 2022; `sample_dpmpp_sde` of k-diffusion, r = 1/2).

    diffusers' scheduler of this name needs torchsde and ignores the generator. The schedule, sigmas with their
    geometric midpoints, is that of DPM-Solver-2. k-diffusion draws both noises of a step from one Brownian
    motion W(sigma); so does `brownian`, from the picture's own generator.
    """

    sample: torch.Tensor | None
    """The latents at the start of the step, while it is at its midpoint."""
    noise: torch.Tensor

    def step(
        self,
        model_output: torch.Tensor,
        timestep: Any,
        sample: torch.Tensor,
        generator: torch.Generator | None = None,
        return_dict: bool = False,
    ) -> Stepped:
        if self.step_index is None:
            self._init_step_index(timestep)
        start = self.sample
        i = self.step_index if start is None else self.step_index - 1
        sigma, middle, after = self.sigmas[i], self.sigmas_interpol[i + 1], self.sigmas[i + 1]
        self._step_index += 1
        if start is None:
            x0 = predicted_original(self.config.prediction_type, sample, model_output, sigma)
            if after == 0:
                return x0, x0
            self.sample, self.noise = sample, _randn_like(model_output, generator)
            return _sde_step(sample, x0, sigma, middle, self.noise), x0
        x0 = predicted_original(self.config.prediction_type, sample, model_output, middle)
        noise = brownian(self.noise, _randn_like(model_output, generator), sigma, middle, after)
        self.sample = None
        return _sde_step(start, x0, sigma, after, noise), x0


def predicted_original(
    prediction_type: str, x: torch.Tensor, output: torch.Tensor, sigma: torch.Tensor, signal: float | torch.Tensor = 1.0
) -> torch.Tensor:
    """x0 in x = signal·x0 + sigma·noise, from the network's output: noise, or v (Salimans & Ho 2022, eq. 12)."""
    if prediction_type == "epsilon":
        return (x - sigma * output) / signal
    assert prediction_type == "v_prediction", prediction_type
    variance = sigma**2 + signal**2
    return signal * x / variance - output * sigma / variance**0.5


def multistep_weights(past: "np.ndarray[Any, Any]", begin: float, end: float) -> list[float]:
    """The integral from `begin` to `end` of each Lagrange basis polynomial on the nodes `past`."""
    weights = []
    for j, node in enumerate(past):
        others = np.delete(past, j)
        basis = np.poly1d(others, r=True) / np.prod(node - others)
        integral = basis.integ()
        weights.append(float(integral(end) - integral(begin)))
    return weights


def brownian(
    first: torch.Tensor, fresh: torch.Tensor, sigma: torch.Tensor, middle: torch.Tensor, after: torch.Tensor
) -> torch.Tensor:
    """(W(sigma) − W(after)) / √(sigma − after), given `first` = (W(sigma) − W(middle)) / √(sigma − middle)."""
    return ((sigma - middle).sqrt() * first + (middle - after).sqrt() * fresh) / (sigma - after).sqrt()


def _sde_step(
    x: torch.Tensor, x0: torch.Tensor, begin: torch.Tensor, end: torch.Tensor, noise: torch.Tensor
) -> torch.Tensor:
    # go below `end` without noise (exact for constant x0), then add noise to get back up to `end`
    up = torch.minimum(end, (end**2 * (begin**2 - end**2) / begin**2).sqrt())
    down = (end**2 - up**2).sqrt()
    return (down / begin) * x + (1 - down / begin) * x0 + up * noise


def _randn_like(tensor: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    noise: torch.Tensor = randn_tensor(tensor.shape, generator=generator, device=tensor.device, dtype=tensor.dtype)
    return noise
