"""The scheduler config of a model: its `scheduler_config.json`, corrected by its entry and its file."""

from collections.abc import Mapping
from typing import Any

from invoke.errors import ModelError
from invoke.models.parametrisation import Parametrisation
from invoke.models.spec import PREDICTIONS, SPACINGS, ModelSpec

WALKED = frozenset(
    f"{name}Scheduler"
    for name in (
        *("DDIM", "DDIMParallel", "DDPM", "DDPMParallel", "PNDM", "LCM", "TCD", "LMSDiscrete", "UniPCMultistep"),
        *("EulerDiscrete", "EulerAncestralDiscrete", "HeunDiscrete", "KDPM2Discrete", "KDPM2AncestralDiscrete"),
        *("DPMSolverMultistep", "DPMSolverSinglestep", "DPMSolverSDE", "DEISMultistep", "SASolver"),
    )
)
"""diffusers' schedulers that are based on a table of alphas, like ours: their configs give each timestep's noise."""


BETA_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")
MOST_POINTS = 10_000


def scheduler_config(spec: ModelSpec, config: Mapping[str, Any], parametrisation: Parametrisation) -> dict[str, Any]:
    """`config` (`scheduler_config.json`) with the changes from the entry `spec`, or else from its single file.

    Raises ModelError if no sampler here supports the result.
    """
    kind = str(config.get("_class_name") or "PNDMScheduler")
    is_flow = bool(config.get("use_flow_sigmas"))
    if kind not in WALKED or parametrisation.edm or is_flow:
        training = "trained with the EDM parametrisation" if parametrisation.edm else f"made for {kind}"
        training = "trained for flow matching" if is_flow else training
        raise ModelError(
            f"{spec.name}: this model is {training}, which no sampler here supports",
            code="unknown_scheduler",
            hint="use another version of it, made for Euler, DDIM or DPM-Solver++",
        )
    result = {field: value for field, value in config.items() if value is not None}  # null stands for the default
    _check_numbers(spec.name, result)
    if str(result.get("variance_type")).startswith("learned"):
        del result["variance_type"]  # the UNet predicts none (`part_configs`)
    if prediction := _stated(spec, parametrisation, "prediction_type"):
        result["prediction_type"] = prediction
    if "zero_snr" in spec.stated or _stated(spec, parametrisation, "zero_snr"):
        result["rescale_betas_zero_snr"] = _stated(spec, parametrisation, "zero_snr")
    if spacing := _stated(spec, parametrisation, "timestep_spacing"):
        result["timestep_spacing"] = spacing
    elif result.get("rescale_betas_zero_snr") and "zero_snr" in spec.stated:
        result["timestep_spacing"] = "trailing"  # includes the last timestep, which is pure noise
    predicts = result.get("prediction_type", "epsilon")
    if predicts not in PREDICTIONS:
        raise ModelError(
            f"{spec.name}: it predicts '{predicts}', which no sampler here supports: {' or '.join(PREDICTIONS)}",
            hint="prediction_type in its entry overrides its files",
        )
    return result


def _check_numbers(name: str, config: Mapping[str, Any]) -> None:
    """Raise ModelError if `config` is not a schedule that the schedulers can compute."""
    betas, points = config.get("beta_schedule", "linear"), config.get("num_train_timesteps", 1000)
    ends = [config.get(end, usual) for end, usual in (("beta_start", 0.0001), ("beta_end", 0.02))]
    trained, offset = config.get("trained_betas"), config.get("steps_offset", 0)
    wrong = None
    if betas not in BETA_SCHEDULES:
        wrong = f"beta_schedule {str(betas)[:40]!r} is not one of {' '.join(BETA_SCHEDULES)}"
    elif type(points) is not int or not 1 < points <= MOST_POINTS:
        wrong = f"num_train_timesteps must be from 2 to {MOST_POINTS}"
    elif not all(isinstance(end, int | float) and 0 < end < 1 for end in ends):
        wrong = "beta_start and beta_end must be between 0 and 1"
    elif trained is not None and not _are_betas(trained, points):
        wrong = f"trained_betas must be {points} numbers from 0 to 1"
    elif type(offset) is not int or not 0 <= offset < points:
        wrong = f"steps_offset must be from 0 to {points - 1}"
    elif config.get("timestep_spacing", SPACINGS[0]) not in SPACINGS:
        wrong = f"timestep_spacing must be one of {' '.join(SPACINGS)}"
    if wrong is not None:
        raise ModelError(
            f"{name}: scheduler_config.json is invalid: {wrong}",
            code="unknown_scheduler",
            hint="download it again, or correct the file",
        )


def _are_betas(values: Any, points: int) -> bool:
    is_list = isinstance(values, list) and len(values) == points
    return is_list and all(isinstance(value, int | float) and 0 <= value <= 1 for value in values)


def rescale_of(spec: ModelSpec, parametrisation: Parametrisation) -> float:
    """The model's default for `--cfg_rescale`."""
    return float(_stated(spec, parametrisation, "cfg_rescale"))


def _stated(spec: ModelSpec, parametrisation: Parametrisation, field: str) -> Any:
    """A field's value from the entry, else from the file."""
    value = getattr(spec, field)
    return value if value or field in spec.stated else getattr(parametrisation, field)
