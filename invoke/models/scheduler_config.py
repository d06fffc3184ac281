"""What every sampler of a model is made from: its own scheduler's config, corrected by what is known of the model."""

from collections.abc import Mapping
from typing import Any

from invoke.errors import ModelError
from invoke.models.parametrisation import Parametrisation
from invoke.models.spec import PREDICTIONS, ModelSpec

WALKED = frozenset(
    f"{name}Scheduler"
    for name in (
        *("DDIM", "DDIMParallel", "DDPM", "DDPMParallel", "PNDM", "LCM", "TCD", "LMSDiscrete", "UniPCMultistep"),
        *("EulerDiscrete", "EulerAncestralDiscrete", "HeunDiscrete", "KDPM2Discrete", "KDPM2AncestralDiscrete"),
        *("DPMSolverMultistep", "DPMSolverSinglestep", "DPMSolverSDE", "DEISMultistep", "SASolver"),
    )
)
"""diffusers' schedulers that stand on a table of alphas, as ours do: their configs tell the noise of each timestep."""


def scheduler_config(spec: ModelSpec, config: Mapping[str, Any], parametrisation: Parametrisation) -> dict[str, Any]:
    """`config` (`scheduler_config.json`) with what the entry `spec` states, or else its single file tells.

    Raises ModelError where no sampler here can follow the result.
    """
    kind = str(config.get("_class_name", "PNDMScheduler"))
    if kind not in WALKED or parametrisation.edm or config.get("use_flow_sigmas"):
        training = "trained in the variables of EDM" if parametrisation.edm else f"made for {kind}"
        raise ModelError(
            f"{spec.name}: this model is {training}, which no sampler here can follow",
            code="unknown_scheduler",
            hint="use another version of it, made for Euler, DDIM or DPM-Solver++",
        )
    result = dict(config)
    if prediction := _stated(spec, parametrisation, "prediction_type"):
        result["prediction_type"] = prediction
    if "zero_snr" in spec.stated or _stated(spec, parametrisation, "zero_snr"):
        result["rescale_betas_zero_snr"] = _stated(spec, parametrisation, "zero_snr")
    if spacing := _stated(spec, parametrisation, "timestep_spacing"):
        result["timestep_spacing"] = spacing
    elif result.get("rescale_betas_zero_snr") and "zero_snr" in spec.stated:
        result["timestep_spacing"] = "trailing"  # pure noise, which it begins with, is the last point of the schedule
    predicts = result.get("prediction_type", "epsilon")
    if predicts not in PREDICTIONS:
        raise ModelError(
            f"{spec.name}: it predicts '{predicts}', which no sampler here takes: {' or '.join(PREDICTIONS)}"
        )
    return result


def rescale_of(spec: ModelSpec, parametrisation: Parametrisation) -> float:
    """How much of guidance's gain in contrast the makers of the model want taken back."""
    return float(_stated(spec, parametrisation, "cfg_rescale"))


def _stated(spec: ModelSpec, parametrisation: Parametrisation, field: str) -> Any:
    """By its entry, else by its file."""
    value = getattr(spec, field)
    return value if value or field in spec.stated else getattr(parametrisation, field)
