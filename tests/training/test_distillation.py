"""Progressive distillation: the target of eq. 9 against two explicit DDIM steps of the teacher."""

import pytest
import torch

from talker.errors import TalkerError
from talker.models.diffusiontalker import DiffusionTalker, DiffusionTalkerConfig
from talker.models.motion_model import Condition
from talker.samplers import ddim_step
from training.dataset import FeatureCache
from training.distillation import DistillationObjective, distillation_target, make_student
from training.recipe import Recipe
from training.trainer import Trainer, build_model, make_accelerator
from tests.training.toy_corpus import write_toy_caches


@pytest.fixture
def teacher():
    torch.manual_seed(0)
    model = DiffusionTalker(DiffusionTalkerConfig(["a"], audio_dim=8, voice_dim=6, hidden_dim=16)).eval()
    with torch.no_grad():
        model.head.weight.mul_(10)
    return model


@pytest.mark.parametrize("step", [1, 2, 7, 15, 16])
def test_one_student_step_with_the_target_lands_where_two_teacher_steps_land(teacher, step):
    x, condition = torch.randn(3, 12, 55), Condition(torch.randn(3, 12, 8), torch.randn(3, 32))
    schedule = teacher.schedule
    student_schedule = schedule.every_second()
    with torch.no_grad():
        two = x
        for t in (2 * step, 2 * step - 1):
            clean = teacher(two, torch.full((3,), t), condition)
            two = ddim_step(two, clean, schedule.alpha_bar(t), schedule.alpha_bar(t - 1))
    target = distillation_target(teacher, x, torch.full((3,), step), condition, schedule)
    one = ddim_step(x, target, student_schedule.alpha_bar(step), student_schedule.alpha_bar(step - 1))
    assert torch.allclose(one, two, atol=1e-4)
    if step == 1:  # the last student step ends clean: the target is the teacher's last prediction
        assert torch.allclose(target, two, atol=1e-4)


def test_each_crop_of_a_batch_may_be_at_its_own_step(teacher):
    x, condition = torch.randn(4, 12, 55), Condition(torch.randn(4, 12, 8), torch.randn(4, 32))
    steps = torch.tensor([1, 5, 9, 16])
    together = distillation_target(teacher, x, steps, condition, teacher.schedule)
    for k in range(4):
        own = Condition(condition.audio[k : k + 1], condition.identity[k : k + 1])
        alone = distillation_target(teacher, x[k : k + 1], steps[k : k + 1], own, teacher.schedule)
        assert torch.allclose(together[k : k + 1], alone, atol=1e-4)


def test_where_the_teacher_is_sure_the_target_is_its_answer(teacher):
    """A teacher that always predicts the same x0 has nothing to lose by taking one step for two."""
    answer, x = torch.randn(2, 12, 55), torch.randn(2, 12, 55)
    target = distillation_target(lambda *_: answer, x, torch.tensor([3, 16]), None, teacher.schedule)
    assert torch.allclose(target, answer, atol=1e-3)


def test_a_student_starts_as_its_teacher_on_every_second_step(teacher):
    student = make_student(teacher).eval()
    assert student.config.sampler == "ddim" and teacher.config.sampler == "ancestral"
    assert torch.equal(student.schedule.alpha_bars, teacher.schedule.alpha_bars[1::2])
    assert make_student(student).schedule.steps == 8
    x, condition = torch.randn(2, 12, 55), teacher.condition(torch.randn(12, 8), "a")
    assert torch.allclose(
        student(x, torch.tensor([1, 11]), condition), teacher(x, torch.tensor([2, 22]), condition), atol=1e-6
    )


def test_a_stage_must_halve_the_steps(teacher):
    with pytest.raises(TalkerError, match="twice as many"):
        DistillationObjective(make_student(make_student(teacher)), teacher)


def test_the_ablation_without_identities_is_distilled_too(tmp_path):
    write_toy_caches(tmp_path)
    cache = FeatureCache.load(tmp_path / "train.safetensors")
    teacher = build_model(Recipe(steps=1, hidden_dim=16, identity=False), cache)
    student = make_student(teacher)
    losses = DistillationObjective(student, teacher)(cache.batch(0, 0, 4, (20, 20)))
    assert student.library is None and set(losses) == {"total", "expression", "lip", "velocity", "distill"}
    expected = losses["expression"] + losses["lip"] + 0.5 * losses["velocity"] + 0.1 * losses["distill"]
    assert losses["total"].item() == pytest.approx(expected.item())


def test_distillation_brings_the_student_to_its_teachers_two_steps(tmp_path):
    """With the distill loss alone, a student comes closer to x̃ than the teacher's copy it starts as."""
    write_toy_caches(tmp_path)
    caches = {split: FeatureCache.load(tmp_path / f"{split}.safetensors") for split in ("train", "validation")}
    recipe = Recipe(
        name="toy", hidden_dim=32, steps=100, batch_size=16, crop_frames=(30, 40), learning_rate=2e-3,
        learning_rate_end=1e-4, clip_norm=1.0, validate_every=1000, validation_batches=4, save_every=1000,
    )  # fmt: skip
    accelerator = make_accelerator(recipe, cpu=True)
    teacher = build_model(recipe, caches["train"])
    with torch.no_grad():
        # Steep enough that one step of the teacher is far from two.
        teacher.head.weight.mul_(20)

    frozen = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    only_distill = {"expression": 0.0, "lip": 0.0, "contrast": 0.0, "velocity": 0.0, "distill": 1.0}
    objective = DistillationObjective(make_student(teacher), teacher, only_distill)
    trainer = Trainer(recipe, objective, caches, tmp_path / "student", accelerator, False)
    before = trainer.validate()["distill"]
    trainer.fit()
    assert trainer.validate()["distill"] < 0.5 * before
    assert all(torch.equal(tensor, frozen[name]) for name, tensor in teacher.state_dict().items())
    student = DiffusionTalker.from_pretrained(tmp_path / "student" / "checkpoint")
    assert student.schedule.steps == 16 and student.config.sampler == "ddim"
