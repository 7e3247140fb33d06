"""Samplers against diffusers' schedulers and against distributions with a known denoiser."""

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

from talker.errors import TalkerError
from talker.samplers import ancestral, ddim, dpm_solver, draw_noise, take_generators
from talker.schedules import cosine_schedule, linear_schedule

SHAPE = (3, 11, 5)


def bend(x, step, condition):
    """A denoiser that depends on everything it is given."""
    return torch.tanh(x * 0.7 + step.view(-1, 1, 1) / 40 + condition)


CONDITION = torch.linspace(-1, 1, 5)


@pytest.mark.parametrize("steps", [32, 16, 8, 4, 1])
@pytest.mark.parametrize("eta", [0.0, 0.6])
def test_ddim_equals_diffusers(steps, eta):
    schedule = linear_schedule(32)
    theirs = DDIMScheduler(
        32, trained_betas=schedule.betas.float().numpy(), prediction_type="sample", clip_sample=False,
        timestep_spacing="trailing",
    )  # fmt: skip
    theirs.set_timesteps(steps)
    generator = torch.Generator().manual_seed(3)
    x = draw_noise(SHAPE, generator)
    for t in theirs.timesteps:
        clean = bend(x, torch.full((3,), int(t) + 1), CONDITION)
        # diffusers draws no noise for variance 0, nor do we for the step that ends clean.
        x = theirs.step(clean, t, x, eta=eta if t + 1 > 32 // steps else 0.0, generator=generator).prev_sample
    ours = ddim(bend, SHAPE, schedule, CONDITION, steps, eta, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(ours, x, atol=2e-5)


def test_ancestral_equals_diffusers_ddpm():
    schedule = linear_schedule(32)
    theirs = DDPMScheduler(
        32, trained_betas=schedule.betas.float().numpy(), prediction_type="sample", clip_sample=False,
        variance_type="fixed_small",
    )  # fmt: skip
    generator = torch.Generator().manual_seed(3)
    x = draw_noise(SHAPE, generator)
    for t in range(31, -1, -1):
        clean = bend(x, torch.full((3,), t + 1), CONDITION)
        x = theirs.step(clean, t, x, generator=generator).prev_sample
    ours = ancestral(bend, SHAPE, schedule, CONDITION, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(ours, x, atol=2e-5)


@pytest.mark.parametrize("sampler, scheduler", [(ddim, DDIMScheduler), (ancestral, DDPMScheduler)])
def test_on_every_tenth_of_500_cosine_steps_too(sampler, scheduler):
    schedule = cosine_schedule(500)
    theirs = scheduler(
        500, trained_betas=schedule.betas.numpy(), prediction_type="sample", clip_sample=False, timestep_spacing="trailing"
    )
    theirs.set_timesteps(50)
    generator = torch.Generator().manual_seed(3)
    x = draw_noise(SHAPE, generator)
    for t in theirs.timesteps:
        clean = bend(x, torch.full((3,), int(t) + 1), CONDITION)
        x = theirs.step(clean, t, x, generator=generator).prev_sample
    ours = sampler(bend, SHAPE, schedule, CONDITION, 50, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(ours, x, atol=5e-5)


@pytest.mark.parametrize("schedule", [linear_schedule(32), cosine_schedule(500)], ids=["linear", "cosine"])
@pytest.mark.parametrize("steps", [1, 2, 3, 8, 16, 25, 32])
def test_dpm_solver_equals_diffusers(schedule, steps):
    theirs = DPMSolverMultistepScheduler(
        schedule.steps, trained_betas=schedule.betas.numpy(), prediction_type="sample", algorithm_type="dpmsolver++",
        solver_order=2, solver_type="midpoint", final_sigmas_type="zero",
    )  # fmt: skip
    theirs.set_timesteps(timesteps=[step - 1 for step in schedule.subset(steps)])
    x = draw_noise(SHAPE, torch.Generator().manual_seed(3))
    for t in theirs.timesteps:
        x = theirs.step(bend(x, torch.full((3,), int(t) + 1), CONDITION), t, x).prev_sample
    ours = dpm_solver(bend, SHAPE, schedule, CONDITION, steps, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(ours, x, atol=5e-5)


def test_dpm_solver_comes_closer_to_the_exact_solution_than_ddim():
    """For data N(2, 0.5²) the probability flow is known in closed form: x0 = 2 + 0.5 (x_N - 2 α) / sqrt(0.25 α² + σ²)."""
    schedule = cosine_schedule(500)

    def posterior_mean(x, step, condition):
        alpha_bar = schedule.alpha_bar(step[:1]).to(x)
        gain = alpha_bar.sqrt() * 0.25 / (alpha_bar * 0.25 + 1 - alpha_bar)
        return 2 + gain * (x - alpha_bar.sqrt() * 2)

    noise = torch.linspace(-2, 2, 55, dtype=torch.float64).view(1, 11, 5)
    end = schedule.alpha_bar(500)
    exact = 2 + 0.5 * (noise - 2 * end.sqrt()) / (0.25 * end + 1 - end).sqrt()
    error = {
        sampler: (sampler(posterior_mean, noise.shape, schedule, steps=20, noise=noise) - exact).abs().max().item()
        for sampler in (ddim, dpm_solver)
    }
    assert error[dpm_solver] < 0.02 and error[dpm_solver] < error[ddim] / 3


def test_dpm_solver_refuses_to_add_noise():
    with pytest.raises(TalkerError, match="leave eta out"):
        dpm_solver(bend, SHAPE, linear_schedule(8), CONDITION, eta=0.5)


@pytest.mark.parametrize("sampler", [ddim, ancestral, dpm_solver])
def test_samples_of_a_gaussian_have_its_mean_and_spread(sampler):
    """For data N(2, 0.5²) the best x0 prediction is known, so the samples must come out as N(2, 0.5²)."""
    schedule = linear_schedule(200)

    def posterior_mean(x, step, condition):
        alpha_bar = schedule.alpha_bar(step[:1]).float()
        gain = alpha_bar.sqrt() * 0.25 / (alpha_bar * 0.25 + 1 - alpha_bar)
        return 2 + gain * (x - alpha_bar.sqrt() * 2)

    x = sampler(posterior_mean, (4, 1000, 5), schedule, generator=torch.Generator().manual_seed(0))
    assert x.mean().item() == pytest.approx(2, abs=0.02)
    assert x.std().item() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("sampler", [ddim, ancestral, dpm_solver])
def test_the_same_seed_gives_the_same_takes_bit_for_bit(sampler):
    schedule = linear_schedule(8)
    first, again, other = (
        sampler(bend, SHAPE, schedule, CONDITION, generator=take_generators(seed, 3)) for seed in (7, 7, 8)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-3)
    # Each take starts from its own noise, and take 1 does not change when there are fewer takes.
    assert not torch.allclose(first[0], first[1], atol=1e-3)
    alone = sampler(bend, (1, *SHAPE[1:]), schedule, CONDITION, generator=take_generators(7, 1))
    assert torch.allclose(first[:1], alone, atol=1e-6)


def test_ddim_is_deterministic_after_the_first_noise():
    schedule, noise = linear_schedule(8), torch.randn(SHAPE)
    assert torch.equal(
        ddim(bend, SHAPE, schedule, CONDITION, noise=noise), ddim(bend, SHAPE, schedule, CONDITION, noise=noise)
    )


def test_the_last_step_returns_the_prediction_itself():
    answer = torch.full(SHAPE, 0.25)
    for sampler in (ddim, ancestral, dpm_solver):
        for steps in (1, 5, 8):
            assert torch.allclose(sampler(lambda x, step, condition: answer, SHAPE, linear_schedule(8), steps=steps), answer)


def test_progress_counts_every_step_and_too_many_steps_are_refused():
    seen = []
    ddim(bend, SHAPE, linear_schedule(8), CONDITION, steps=3, callback=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(TalkerError, match="1 to 8 steps, not 9"):
        ddim(bend, SHAPE, linear_schedule(8), CONDITION, steps=9)
