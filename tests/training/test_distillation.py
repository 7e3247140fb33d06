"""Progressive distillation: the target of eq. 9 against two explicit DDIM steps of the teacher."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from render.rig import default_rig
from talker.checkpoints import load_config
from talker.errors import TalkerError
from talker.models.diffposetalk import DiffPoseTalk, DiffPoseTalkConfig
from talker.models.diffusiontalker import DiffusionTalker, DiffusionTalkerConfig
from talker.models.facediffuser import FaceDiffuser, FaceDiffuserConfig
from talker.models.motion_model import Condition
from talker.models.three_diface import ThreeDiFace, ThreeDiFaceConfig
from talker.samplers import ddim_step
from talker.schedules import cosine_schedule
from talker.style import StyleConfig, StyleEncoder
from training.dataset import Batch, FeatureCache
from training.diffposetalk import DiffPoseTalkObjective
from training.distillation import DistillationObjective, distillation_target, go_on, make_student, recipe_for, started
from training.geometry import RigGeometry
from training.losses import DiffusionObjective
from training.recipe import Recipe, load_recipe
from training.three_diface import ThreeDiFaceObjective, heard
from training.trainer import Trainer, build_model, make_accelerator
from tests.training.toy_corpus import write_toy_caches


@pytest.fixture
def teacher():
    torch.manual_seed(0)
    model = DiffusionTalker(DiffusionTalkerConfig(["a"], audio_dim=8, voice_dim=6, hidden_dim=16)).eval()
    with torch.no_grad():
        model.head.weight.mul_(10)
    return model


def crops(frames: int, audio_dim: int, noise_channels: int = 55, count: int = 12) -> Batch:
    """Random crops of coefficients and head, as a feature cache makes them."""
    ones = torch.ones(count, frames)
    return Batch(
        audio=torch.randn(count, frames, audio_dim), motion=0.5 * torch.rand(count, frames, 55), voice=torch.randn(count, 4),
        speaker=torch.arange(count) % 2, weight=ones, pair_weight=ones[:, 1:], uniform=torch.rand(count, dtype=torch.float64),
        noise=torch.randn(count, frames, noise_channels),
    )  # fmt: skip


@pytest.mark.parametrize("step", [1, 2, 7, 15, 16])
def test_one_student_step_with_the_target_lands_where_two_teacher_steps_land(teacher, step):
    x, condition = torch.randn(3, 12, 55), Condition(torch.randn(3, 12, 8), torch.randn(3, 32))
    schedule = teacher.schedule
    student_schedule = schedule.thinned(16)
    with torch.no_grad():
        two = x
        for t in (2 * step, 2 * step - 1):
            clean = teacher(two, torch.full((3,), t), condition)
            two = ddim_step(two, clean, schedule.alpha_bar(t), schedule.alpha_bar(t - 1))
    target = distillation_target(teacher, x, torch.full((3,), step), condition, schedule, 16)
    one = ddim_step(x, target, student_schedule.alpha_bar(step), student_schedule.alpha_bar(step - 1))
    assert torch.allclose(one, two, atol=1e-4)
    if step == 1:  # the last student step ends clean: the target is the teacher's last prediction
        assert torch.allclose(target, two, atol=1e-4)


def test_each_crop_of_a_batch_may_be_at_its_own_step(teacher):
    x, condition = torch.randn(4, 12, 55), Condition(torch.randn(4, 12, 8), torch.randn(4, 32))
    steps = torch.tensor([1, 5, 9, 16])
    together = distillation_target(teacher, x, steps, condition, teacher.schedule, 16)
    for k in range(4):
        own = Condition(condition.audio[k : k + 1], condition.identity[k : k + 1])
        alone = distillation_target(teacher, x[k : k + 1], steps[k : k + 1], own, teacher.schedule, 16)
        assert torch.allclose(together[k : k + 1], alone, atol=1e-4)


@pytest.mark.parametrize("step", [1, 9, 16])
def test_a_teacher_of_500_steps_walks_twice_the_students(step):
    """500 are no multiple of 32: the nearest steps of its grid are taken, by DDIM."""
    torch.manual_seed(0)
    schedule = cosine_schedule(500)
    alpha_bars = schedule.alpha_bars.tolist()
    teacher = DiffusionTalker(DiffusionTalkerConfig([], audio_dim=8, voice_dim=6, hidden_dim=16, alpha_bars=alpha_bars)).eval()
    x, condition = torch.randn(3, 12, 55), Condition(torch.randn(3, 12, 8))
    walked = [0, *reversed(schedule.subset(32))]
    with torch.no_grad():
        two = x
        for t in (2 * step, 2 * step - 1):
            clean = teacher(two, torch.full((3,), walked[t]), condition)
            two = ddim_step(two, clean, schedule.alpha_bar(walked[t]), schedule.alpha_bar(walked[t - 1]))
    target = distillation_target(teacher, x, torch.full((3,), step), condition, schedule, 16)
    student = make_student(teacher, 16)
    one = ddim_step(x, target, student.schedule.alpha_bar(step), student.schedule.alpha_bar(step - 1))
    assert torch.allclose(one, two, atol=1e-4)
    assert make_student(student, 8).schedule.alpha_bar(8) == schedule.alpha_bar(500)


def test_where_the_teacher_is_sure_the_target_is_its_answer(teacher):
    """A teacher that always predicts the same x0 has nothing to lose by taking one step for two."""
    answer, x = torch.randn(2, 12, 55), torch.randn(2, 12, 55)
    target = distillation_target(lambda *_: answer, x, torch.tensor([3, 16]), None, teacher.schedule, 16)
    assert torch.allclose(target, answer, atol=1e-5)


def test_a_student_starts_as_its_teacher_on_every_second_step(teacher):
    student = make_student(teacher, 16).eval()
    assert student.config.sampler == "ddim" and teacher.config.sampler == "ancestral"
    assert torch.equal(student.schedule.alpha_bars, teacher.schedule.alpha_bars[1::2])
    assert make_student(student, 8).schedule.steps == 8
    x, condition = torch.randn(2, 12, 55), teacher.condition(torch.randn(12, 8), "a")
    assert torch.allclose(
        student(x, torch.tensor([1, 11]), condition), teacher(x, torch.tensor([2, 22]), condition), atol=1e-6
    )


def test_a_student_keeps_the_vectors_of_the_steps_it_takes():
    """FaceDiffuser has learned one for each of its steps."""
    teacher = FaceDiffuser(FaceDiffuserConfig([], audio_dim=8, voice_dim=6, hidden_dim=16)).eval()
    torch.nn.init.normal_(teacher.head.weight)
    student = make_student(teacher, 4).eval()
    x, condition = torch.randn(2, 12, 55), teacher.condition(torch.randn(12, 8), None)
    assert torch.equal(student(x, torch.tensor([1, 3]), condition), teacher(x, torch.tensor([8, 24]), condition))


def test_a_teacher_needs_twice_the_students_steps(teacher):
    with pytest.raises(TalkerError, match="at least twice as many, not 32"):
        make_student(teacher, 17)
    with pytest.raises(TalkerError, match="at least twice as many, not 8"):
        student = make_student(teacher, 8)
        DistillationObjective(DiffusionObjective(make_student(teacher, 8)), student)


def test_diffposetalk_is_taught_in_the_windows_and_conditions_it_trains_with():
    torch.manual_seed(0)
    config = DiffPoseTalkConfig(
        [], audio_dim=6, voice_dim=4, alpha_bars=cosine_schedule(50).alpha_bars.tolist(), hidden_dim=16, layers=1, heads=2,
        window_frames=12, previous_frames=4, dropout=0.0,
    )  # fmt: skip
    teacher = DiffPoseTalk(config).eval()
    student = make_student(teacher, 4)
    objective = DiffPoseTalkObjective(student, StyleEncoder(StyleConfig(layers=1)).eval(), RigGeometry(default_rig()))
    both = DistillationObjective(objective, teacher).train()
    batch = crops(24, 6)
    torch.manual_seed(3)
    losses = both(batch)
    assert set(losses) == {"total", "simple", "vertex", "velocity", "smooth", "head", "distill"}
    # The same by hand: two DDIM steps of the teacher under the same conditions, some of them left out.
    torch.manual_seed(3)
    noised = objective.noised(batch)
    condition = noised.condition
    assert condition.without_audio.any() and not condition.without_audio.all()
    walked = torch.tensor([0, *reversed(teacher.schedule.subset(8))])
    high, middle, low = (teacher.schedule.alpha_bar(walked[2 * noised.step - k])[:, None, None] for k in range(3))
    with torch.no_grad():
        first = teacher.predict(noised.x, walked[2 * noised.step], condition)[:, 4:]
        between = ddim_step(noised.x, first, high, middle)
        landing = ddim_step(between, teacher.predict(between, walked[2 * noised.step - 1], condition)[:, 4:], middle, low)
        one = ddim_step(noised.x, student.predict(noised.x, noised.step, condition)[:, 4:], high, low)
        # A student's step moves by this much of what its x0 is off.
        reach = low.sqrt() - ((1 - low) / (1 - high)).sqrt() * high.sqrt()
        error = (((one - landing) / reach) ** 2).mean(dim=-1)
        snr = student.schedule.snr(noised.step).clamp_min(1)
    valid = condition.valid
    expected = (error * snr[:, None])[valid].mean()
    assert losses["distill"].item() == pytest.approx(expected.item(), rel=1e-3)


def test_3diface_is_taught_through_the_rig_as_on_its_vertices():
    """What is learned in the few dimensions that the motion spans is what the vertices would teach."""
    torch.manual_seed(0)
    config = ThreeDiFaceConfig(
        ["a", "b"], audio_dim=6, voice_dim=4, alpha_bars=cosine_schedule(50).alpha_bars.tolist(), hidden_dim=8,
        identity_dim=8, face="forty", face_vertices=40,
    )  # fmt: skip
    teacher = ThreeDiFace(config).eval()
    teacher.face.targets.normal_(std=0.01)
    teacher.set_statistics((0.01 * np.ones(120), 1e-3), (np.zeros(6), np.ones(6)))
    for layer in (teacher.motion_decoder.weight, teacher.motion_decoder.bias):
        torch.nn.init.normal_(layer, std=0.3)
    student = make_student(teacher, 4).eval()
    with torch.no_grad():
        for parameter in student.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    batch = crops(30, 6, noise_channels=120)
    encoded = batch.noise @ teacher.motion_encoder.weight.T
    own = torch.linalg.solve_triangular(heard(student)[1], encoded.flatten(0, 1).T, upper=False).T.view(len(encoded), 30, -1)
    with torch.no_grad():
        on_vertices = DistillationObjective(ThreeDiFaceObjective(student, as_vertices=True), teacher)(batch)
        through_the_rig = DistillationObjective(ThreeDiFaceObjective(student), teacher)(dataclasses.replace(batch, noise=own))
    assert set(on_vertices) == {"total", "simple", "velocity", "contrast", "distill"}
    for name, value in on_vertices.items():
        assert through_the_rig[name].item() == pytest.approx(value.item(), rel=2e-3)


def test_the_ablation_without_identities_is_distilled_too(tmp_path):
    write_toy_caches(tmp_path)
    cache = FeatureCache.load(tmp_path / "train.safetensors")
    teacher = build_model(Recipe(steps=1, hidden_dim=16, identity=False), cache)
    student = make_student(teacher, 16)
    losses = DistillationObjective(DiffusionObjective(student), teacher)(cache.batch(0, 0, 4, (20, 20)))
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
    objective = DistillationObjective(DiffusionObjective(make_student(teacher, 16), only_distill), teacher)
    trainer = Trainer(recipe, objective, caches, tmp_path / "student", accelerator, False)
    before = trainer.validate()["distill"]
    trainer.fit()
    assert trainer.validate()["distill"] < 0.5 * before
    assert all(torch.equal(tensor, frozen[name]) for name, tensor in teacher.state_dict().items())
    student = DiffusionTalker.from_pretrained(tmp_path / "student" / "checkpoint")
    assert student.schedule.steps == 16 and student.config.sampler == "ddim"


def test_a_student_goes_on_when_what_it_hears_has_changed(tmp_path):
    """Its speech features drifted, so its lips are off; 60 steps beside its teacher bring them back."""
    write_toy_caches(tmp_path)
    caches = {split: FeatureCache.load(tmp_path / f"{split}.safetensors") for split in ("train", "validation")}
    recipe = Recipe(
        name="toy", hidden_dim=32, steps=60, batch_size=16, crop_frames=(30, 40), learning_rate=2e-3, lip_noise=0.4,
        clip_norm=1.0, validate_every=30, validation_batches=4, save_every=1000,
    )  # fmt: skip
    accelerator = make_accelerator(recipe, cpu=True)
    teacher = build_model(recipe, caches["train"])

    def student(teacher, folder):
        objective = DistillationObjective(DiffusionObjective(make_student(teacher, 16, **recipe.start_noise())), teacher)
        return Trainer(recipe, objective, caches, folder, accelerator, False).fit()

    student(teacher, tmp_path / "student")
    start = tmp_path / "student" / "checkpoint"
    for cache in caches.values():
        cache.frames += 0.3
    go_on(recipe, accelerator, caches, teacher, start, tmp_path / "further")
    first, *_, last = [line["validation"] for line in map(json.loads, (tmp_path / "further" / "log.jsonl").open()) if "validation" in line]
    further = load_config(tmp_path / "further" / "checkpoint")
    assert last["lip"] < first["lip"]
    assert (further["trained_steps"], further["further_steps"], further["lip_noise"]) == (60, 60, 0.4)
    with pytest.raises(TalkerError, match="was not distilled from this teacher"):
        started(start, build_model(recipe.replace(schedule="cosine"), caches["train"]))


@pytest.mark.parametrize("model", ["diffposetalk", "3diface"])
def test_the_other_models_have_recipes_of_the_same_chain(model):
    recipe = load_recipe(recipe_for(model))
    assert (recipe.model, recipe.stages, recipe.loss_weights["distill"]) == (model, (16, 8), 1.0)
