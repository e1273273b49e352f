"""The noise schedule of an engine and the solvers that step along it, from diffusers."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler
from torch import Tensor

SolverName = Literal["ddim", "dpmpp_2m", "unipc"]


class Solver(Protocol):
    """What the loop uses of a diffusers scheduler."""

    timesteps: Tensor
    alphas_cumprod: Tensor
    init_noise_sigma: float

    def set_timesteps(self, num_inference_steps: int) -> None: ...

    def step(self, model_output: Tensor, timestep: Tensor, sample: Tensor, *, return_dict: Literal[False]) -> Any:
        """Returns a tuple whose first entry is the next sample."""
        ...


@dataclass(frozen=True)
class ScheduleSpec:
    """What a network was trained with; every solver must keep to it."""

    train_steps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    beta_schedule: str = "linear"
    prediction_type: str = "epsilon"
    rescale_betas_zero_snr: bool = False
    timestep_spacing: str = "leading"
    steps_offset: int = 1


MAGICANIMATE_SCHEDULE = ScheduleSpec()


def make_solver(name: SolverName, steps: int, spec: ScheduleSpec) -> Solver:
    """A diffusers scheduler with its timesteps set. Only `ddim` carries no memory from step to step."""
    schedule: dict[str, Any] = {
        "num_train_timesteps": spec.train_steps,
        "beta_start": spec.beta_start,
        "beta_end": spec.beta_end,
        "beta_schedule": spec.beta_schedule,
        "prediction_type": spec.prediction_type,
        "rescale_betas_zero_snr": spec.rescale_betas_zero_snr,
        "steps_offset": spec.steps_offset,
    }
    solver: Solver
    if name == "ddim":
        solver = DDIMScheduler(
            **schedule, timestep_spacing=spec.timestep_spacing, clip_sample=False, set_alpha_to_one=True
        )
    elif name == "dpmpp_2m":
        solver = DPMSolverMultistepScheduler(**schedule, timestep_spacing="linspace", final_sigmas_type="zero")
    else:
        solver = UniPCMultistepScheduler(**schedule, timestep_spacing="linspace", final_sigmas_type="zero")
    solver.set_timesteps(steps)
    return solver
