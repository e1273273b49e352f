import pytest
import torch

from inference_server.sampling.noise import starting_noise
from inference_server.sampling.solver import MAGICANIMATE_SCHEDULE, make_solver


@pytest.mark.golden
def test_ddim_as_published(golden):
    stored = golden("scheduler")
    solver = make_solver("ddim", 25, MAGICANIMATE_SCHEDULE)
    assert torch.equal(solver.alphas_cumprod, stored["alphas_cumprod"])
    assert torch.equal(solver.final_alpha_cumprod, stored["final_alpha_cumprod"])
    for key in (key for key in stored if key.startswith("timesteps_")):
        steps = int(key.removeprefix("timesteps_"))
        assert torch.equal(make_solver("ddim", steps, MAGICANIMATE_SCHEDULE).timesteps, stored[key])
    for timestep in (961, 481, 1):
        out = solver.step(stored["step_in_eps"], timestep, stored["step_in_x"], return_dict=False)[0]
        torch.testing.assert_close(out, stored[f"step_out_25steps_t{timestep}"], rtol=0, atol=1e-6)


@pytest.mark.golden
def test_noise_is_the_same_on_every_machine(golden):
    noise = starting_noise(1, 32, (4, 8, 16))
    torch.testing.assert_close(noise[0].flatten()[:8], golden("scheduler")["noise_seed1_first8"], rtol=0, atol=0)


def test_noise_repeats_and_does_not_depend_on_length():
    long = starting_noise(3, 40, (4, 8, 8))
    assert torch.equal(long[:16], long[16:32])
    assert torch.equal(starting_noise(3, 5, (4, 8, 8)), long[:5])
    alone = starting_noise(3, 40, (4, 8, 8), tile=0)
    assert not torch.equal(alone[:16], alone[16:32])


@pytest.mark.parametrize("name", ["ddim", "dpmpp_2m", "unipc"])
def test_solvers_find_the_clean_latents_if_the_noise_is_known(name):
    """With an oracle for the noise every solver must end at the data, whatever its order."""
    solver = make_solver(name, 10, MAGICANIMATE_SCHEDULE)
    data = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    latents = starting_noise(1, 2, (4, 3, 3)) * solver.init_noise_sigma
    for timestep in solver.timesteps:
        signal = solver.alphas_cumprod[int(timestep)]
        noise = (latents - signal.sqrt() * data) / (1 - signal).sqrt()
        latents = solver.step(noise, timestep, latents, return_dict=False)[0]
    torch.testing.assert_close(latents, data, rtol=0, atol=1e-3)
