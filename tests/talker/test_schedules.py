"""Noise schedules against diffusers and closed forms."""

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from talker.errors import TalkerError
from talker.schedules import Schedule, cosine_schedule, linear_schedule


def test_a_thousand_steps_are_the_linear_schedule_of_ddpm():
    ours = linear_schedule(1000)
    theirs = DDPMScheduler(1000, beta_start=1e-4, beta_end=0.02, beta_schedule="linear")
    assert np.allclose(ours.betas, theirs.betas, rtol=1e-5)
    assert np.allclose(ours.alpha_bars, theirs.alphas_cumprod, rtol=1e-4)


@pytest.mark.parametrize("steps", [8, 16, 32, 64, 256])
def test_any_number_of_steps_ends_in_noise(steps):
    schedule = linear_schedule(steps)
    expected = np.minimum(np.linspace(0.1 / steps, 20.0 / steps, steps), 0.999)
    assert np.allclose(schedule.betas, expected, rtol=1e-12)
    assert np.allclose(schedule.alpha_bars, np.cumprod(1 - expected), rtol=1e-12)
    assert schedule.alpha_bar(steps) < 1e-4


@pytest.mark.parametrize("steps", [8, 1000])
def test_the_cosine_schedule_is_the_one_of_improved_ddpm(steps):
    theirs = DDPMScheduler(steps, beta_schedule="squaredcos_cap_v2")
    assert np.allclose(cosine_schedule(steps).betas, theirs.betas, rtol=1e-4)
    assert cosine_schedule(steps).alpha_bar(steps // 2) == pytest.approx(0.49, abs=0.01)


def test_unscaled_betas_would_leave_most_of_the_signal():
    """Why the betas are scaled by 1000 / N: 32 steps of DDPM's own betas keep 73 % of the variance."""
    assert np.prod(1 - np.linspace(1e-4, 0.02, 32)) == pytest.approx(0.73, abs=0.01)


def test_steps_are_one_based_and_zero_is_clean():
    schedule = linear_schedule(32)
    assert schedule.alpha_bar(0) == 1 and schedule.noise(0) == 0
    assert schedule.alpha_bar(1) == 1 - schedule.betas[0]
    levels = schedule.alpha_bar(torch.tensor([[0, 1], [31, 32]]))
    assert levels.shape == (2, 2) and levels[1, 1] == schedule.alpha_bars[-1]
    assert torch.allclose(schedule.signal(7) ** 2 + schedule.noise(7) ** 2, torch.ones((), dtype=torch.float64))
    assert schedule.snr(7) == pytest.approx(float(schedule.signal(7) / schedule.noise(7)) ** 2)
    with pytest.raises(TalkerError, match="between 0 and 32"):
        schedule.alpha_bar(33)


def test_noise_is_added_as_diffusers_adds_it():
    schedule = linear_schedule(32)
    theirs = DDPMScheduler(32, trained_betas=schedule.betas.float().numpy())
    generator = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(5, 7, 3, generator=generator) for _ in range(2))
    step = torch.tensor([1, 2, 16, 31, 32])
    assert torch.allclose(schedule.add_noise(clean, step, noise), theirs.add_noise(clean, noise, step - 1), atol=1e-5)


def test_a_student_stands_on_every_second_step_of_its_teacher():
    teacher = linear_schedule(32)
    student = teacher.thinned(16)
    assert student.steps == 16
    for step in range(17):
        assert student.alpha_bar(step) == teacher.alpha_bar(2 * step)
    assert torch.allclose(torch.cumprod(1 - student.betas, 0), student.alpha_bars)
    with pytest.raises(TalkerError, match="1 to 9 steps"):
        linear_schedule(9).thinned(18)


def test_any_number_of_steps_can_be_taken_out_of_many():
    """500 are no multiple of 16: the nearest steps stand for the sixteenths, and the last is the teacher's own."""
    teacher = cosine_schedule(500)
    student = teacher.thinned(16)
    assert [float(student.alpha_bar(k)) for k in (1, 2, 8, 16)] == [float(teacher.alpha_bar(k)) for k in (31, 63, 250, 500)]


def test_subsets_are_evenly_spaced_and_start_at_the_noisiest_step():
    schedule = linear_schedule(32)
    assert schedule.subset(8) == [32, 28, 24, 20, 16, 12, 8, 4]
    assert schedule.subset(1) == [32] and schedule.subset() == list(range(32, 0, -1))
    for count in range(1, 33):
        steps = schedule.subset(count)
        assert len(set(steps)) == count and steps[0] == 32 and min(steps) >= 1
        gaps = -np.diff([*steps, 0])
        assert gaps.max() - gaps.min() <= 1
    for count in (0, 33):
        with pytest.raises(TalkerError, match="1 to 32 steps"):
            schedule.subset(count)


def test_alpha_bars_survive_json_and_nonsense_is_refused():
    schedule = linear_schedule(32).thinned(16)
    again = Schedule.from_alpha_bars(schedule.alpha_bars.tolist())
    assert torch.equal(again.alpha_bars, schedule.alpha_bars)
    for wrong in ([], [0.5, 0.6], [1.0, 0.5], [0.5, 0.0], [0.5, float("nan")]):
        with pytest.raises(TalkerError, match="alpha_bars"):
            Schedule.from_alpha_bars(wrong)
