"""The trainer: learns, resumes exactly after a kill, and counts the same on several processes."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from talker.checkpoints import load_config
from talker.errors import TalkerError
from talker.models import DENOISERS
from talker.models.diffusiontalker import DiffusionTalker
from talker.motion import LIP_REGION
from talker.samplers import ddim, take_generators
from training.dataset import CachedUtterance, FeatureCache, write_feature_cache
from training.losses import DiffusionObjective
from training.recipe import Recipe
from training.trainer import STATE_FILE, FurtherTrainer, Trainer, build_model, make_accelerator, started
from tests.training.toy_corpus import SPEAKERS, toy_utterances, write_toy_caches

ROOT = Path(__file__).resolve().parents[2]
TINY = Recipe(
    name="tiny", hidden_dim=16, steps=40, batch_size=8, crop_frames=(20, 30), learning_rate=3e-3, warmup_steps=5,
    learning_rate_end=1e-4, dropout=0.1, clip_norm=1.0, ema_decay=0.99, validate_every=15, validation_batches=1,
    save_every=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return write_toy_caches(tmp_path_factory.mktemp("features"))


def load_caches(features):
    return {split: FeatureCache.load(features / f"{split}.safetensors") for split in ("train", "validation")}


def train(features, folder, recipe=TINY):
    caches = load_caches(features)
    objective = DiffusionObjective(build_model(recipe, caches["train"]), recipe.loss_weights)
    return Trainer(recipe, objective, caches, folder, make_accelerator(recipe, cpu=True), progress=False)


def command(features, folder, recipe_file):
    return ["-m", "training", "train", "--features", str(features), "--out", str(folder), "--recipe", str(recipe_file), "--cpu"]


def records(folder):
    """The log without what the clock says."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "steps_per_second")} for line in lines]


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_a_model_learns_to_move_as_the_speech_says(features, tmp_path):
    recipe = TINY.replace(
        steps=300, hidden_dim=32, batch_size=16, dropout=0.0, learning_rate=1e-2, validate_every=300, save_every=300
    )
    trainer = train(features, tmp_path, recipe)
    model = trainer.fit()
    utterance = next(toy_utterances(2, 1))
    motion = torch.from_numpy(utterance.motion).float()

    # The speaker of unheard utterances is found by voice alone.
    unheard = list(toy_utterances(3, 40))
    assert np.mean([model.library.match(u.voices[0]).name == u.speaker for u in unheard]) > 0.9

    condition = model.condition(utterance.frames[0], model.library.match(utterance.voices[0]).name)
    x0 = ddim(model, (4, len(motion), 55), model.schedule, condition, steps=8, generator=take_generators(0, 4))
    coefficients, _ = model.to_motion(x0)
    error = (coefficients - motion[:, :52])[..., LIP_REGION].pow(2).mean()
    resting = (model.motion_mean - motion)[:, LIP_REGION].pow(2).mean()
    assert error < 0.25 * resting


@pytest.mark.parametrize(
    "changes, start",
    [
        ({"model": "diffusiontalker", "identity": False}, "gru"),
        ({"model": "facediffuser", "identity": False, "schedule": "cosine", "step_dim": 16}, "gru"),
        ({"model": "regression", "diffusion_steps": 1, "head": False, "dropout": 0.1}, "decoder"),
    ],
)
def test_ablations_and_rivals_learn_too(features, tmp_path, changes, start):
    """By the recipe alone; the loss falls, and the checkpoint loads as the model it is."""
    recipe = TINY.replace(**changes, steps=80, learning_rate=5e-3)
    model = train(features, tmp_path, recipe).fit()
    losses = [r["total"] for r in records(tmp_path) if "total" in r]
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    shipped = DENOISERS[recipe.model].from_pretrained(tmp_path / "checkpoint")
    assert (shipped.library is None) == (recipe.identity is False)
    assert ("contrast" in records(tmp_path)[0]) == recipe.identity
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, shipped.state_dict()[name])
    assert any(name.startswith(start) for name in shipped.state_dict())


def test_a_model_goes_on_when_its_speech_features_have_changed(features, tmp_path):
    """It keeps its statistics and its library, starts where it was, and says what came on top."""
    recipe = TINY.replace(steps=150, hidden_dim=32)
    train(features, tmp_path / "first", recipe).fit()
    start, caches = tmp_path / "first" / "checkpoint", load_caches(features)
    for cache in caches.values():
        cache.frames += 0.2
    model = started(start, recipe, caches["train"])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert torch.equal(before["audio_mean"], load_file(start / "model.safetensors")["audio_mean"])
    short, accelerator = recipe.replace(steps=30), make_accelerator(recipe, cpu=True)
    objective = DiffusionObjective(model, recipe.loss_weights)
    further = FurtherTrainer(short, objective, caches, tmp_path / "on", accelerator, False, before=load_config(start))
    drifted = further.validate()["lip"]
    further.fit()
    config = load_config(tmp_path / "on" / "checkpoint")
    assert further.validate()["lip"] < drifted
    assert (config["trained_steps"], config["further_steps"]) == (150, 30)
    assert config["training_seconds"] > load_config(start)["training_seconds"] > 0
    with pytest.raises(TalkerError, match="does not fit the recipe"):
        started(start, recipe.replace(diffusion_steps=8), caches["train"])


def test_what_ships_is_the_average_of_the_weights(features, tmp_path):
    trainer = train(features, tmp_path, TINY.replace(best_by=()))
    trained = []
    original = trainer.train_step

    def watched():
        losses = original()
        trained.append(trainer.model.head.bias.detach().clone())
        return losses

    trainer.train_step = watched
    start = trainer.model.head.bias.detach().clone()
    trainer.fit()
    expected = start
    for step, weights in enumerate(trained, 1):
        decay = min(0.99, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weights
    shipped = DiffusionTalker.from_pretrained(tmp_path / "checkpoint")
    assert torch.allclose(shipped.head.bias, expected, atol=1e-6)
    config = json.loads((tmp_path / "checkpoint" / "config.json").read_text())
    assert config["weights"] == "exponential moving average" and config["trained_steps"] == 40


def validated_as(trainer, values):
    """The trainer with scripted validation losses; returns the list of the weights that they were of."""
    weights, values = [], iter(values)

    def validate():
        weights.append(trainer.average[0].clone())
        return {"total": next(values), "lip": 0.0}

    trainer.validate = validate
    return weights


def test_the_best_by_validation_ships_and_resuming_knows_it(features, tmp_path):
    recipe = TINY.replace(validate_every=10, save_every=10, best_by=("total", "lip"))
    trainer = train(features, tmp_path, recipe)
    validated = validated_as(trainer, [3.0, 1.0, 2.0])
    trainer.total = 30
    trainer.fit()

    trainer = train(features, tmp_path, recipe)
    assert trainer.step == 30 and trainer.best == {"step": 20, "value": 1.0}
    validated_as(trainer, [1.0])
    model = trainer.fit()
    assert [r["best_step"] for r in records(tmp_path) if "best_step" in r] == [10, 20, 20, 20]
    name = next(iter(trainer.parameters))
    shipped = DiffusionTalker.from_pretrained(tmp_path / "checkpoint")
    assert torch.equal(shipped.state_dict()[name], validated[1])
    assert torch.equal(model.state_dict()[name], validated[1])
    config = json.loads((tmp_path / "checkpoint" / "config.json").read_text())
    assert (config["best_step"], config["trained_steps"]) == (20, 40)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    seconds = [line["seconds"] for line in log if "seconds" in line]
    assert len(seconds) == 4 and seconds == sorted(seconds) and config["training_seconds"] == round(seconds[-1], 1)
    assert config["training_clock"] == "CPU time of a process"
    with pytest.raises(TalkerError, match="no loss brow as in the recipe's best_by"):
        train(features, tmp_path / "other", TINY.replace(steps=1, best_by=("brow",))).fit()


@pytest.mark.parametrize("where", ["batch", "gradient"])
def test_a_training_that_meets_nan_stops_and_keeps_what_was_good(features, tmp_path, where):
    """At step 20, after the state of step 18 and the checkpoint of step 15; no weight has seen the NaN."""
    train(features, tmp_path / "good", TINY.replace(steps=19, warmup_steps=0, learning_rate_end=3e-3)).fit()
    trainer = train(features, tmp_path / "bad", TINY.replace(warmup_steps=0, learning_rate_end=3e-3))
    if where == "gradient":  # of a finite loss
        trainer.model.head.bias.register_hook(lambda g: g * float("nan") if trainer.step == 20 else g)
    else:
        clean = trainer.batch

        def damaged(step, split="train"):
            batch = clean(step, split)
            if step == 20 and split == "train":
                batch.audio[3, 5, 2] = float("nan")
            return batch

        trainer.batch = damaged
    with pytest.raises(TalkerError, match="not a finite number at step 20. What was saved last in .*bad is kept; run"):
        trainer.fit()
    good = load_file(tmp_path / "good" / STATE_FILE)
    for name, tensor in trainer.model.state_dict().items():
        assert torch.equal(tensor, good[f"model.{name}"])
    assert len(records(tmp_path / "bad")) == 20  # 19 steps and one validation
    resumed = train(features, tmp_path / "bad")
    assert resumed.step == 18
    assert all(torch.isfinite(tensor).all() for tensor in load_file(tmp_path / "bad" / STATE_FILE).values())
    kept = DiffusionTalker.from_pretrained(tmp_path / "bad" / "checkpoint")
    assert all(torch.isfinite(tensor).all() for tensor in kept.state_dict().values())
    assert json.loads((tmp_path / "bad" / "checkpoint" / "config.json").read_text())["trained_steps"] == 15


def test_a_state_that_is_not_finite_is_never_saved(features, tmp_path):
    trainer = train(features, tmp_path, TINY.replace(steps=3))
    trainer.fit()
    before = (tmp_path / STATE_FILE).read_bytes()
    with torch.no_grad():
        trainer.model.head.bias[0] = float("inf")
    with pytest.raises(TalkerError, match="value of model.head.bias is not a finite number at step 3"):
        trainer.save_state()
    assert (tmp_path / STATE_FILE).read_bytes() == before
    unsaved = train(features, tmp_path / "new")
    assert "Nothing was saved yet" in str(unsaved.not_finite("total"))


@pytest.mark.timeout(600)
def test_a_killed_run_goes_on_with_the_losses_of_an_unbroken_one(features, tmp_path, one_thread):
    unbroken = train(features, tmp_path / "unbroken")
    unbroken.fit()

    recipe_file, folder = tmp_path / "tiny.yaml", tmp_path / "killed"
    recipe_file.write_text(TINY.text())
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, *command(features, folder, recipe_file)], cwd=ROOT, env=environment,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    moment = random.randint(4, 30)
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline and process.poll() is None:
        log = folder / "log.jsonl"
        if log.exists() and log.read_text().count("\n") >= moment:
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not any(p.name == "checkpoint" and not (p / "config.json").exists() for p in folder.iterdir())

    resumed = train(features, folder)
    assert 0 < resumed.step <= 40, f"killed after {moment} lines"
    resumed.fit()
    assert records(folder) == records(tmp_path / "unbroken")
    for name, tensor in unbroken.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name])


@pytest.mark.timeout(600)
def test_two_processes_have_the_losses_of_one(features, tmp_path):
    recipe = TINY.replace(steps=12, dropout=0.0)
    train(features, tmp_path / "one", recipe).fit()
    recipe_file = tmp_path / "tiny.yaml"
    recipe_file.write_text(recipe.text())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]
    done = subprocess.run([sys.executable, *launch, *command(features, tmp_path / "two", recipe_file)], cwd=ROOT,
                          env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=500)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = records(tmp_path / "one"), records(tmp_path / "two")
    assert [r["step"] for r in one] == [r["step"] for r in two]
    for a, b in zip(one, two):
        a, b = a.get("validation", a), b.get("validation", b)
        assert a == pytest.approx(b, rel=1e-4)


def test_batches_depend_on_seed_and_step_alone_and_are_shared_out(features):
    cache = load_caches(features)["train"]
    cache.set_library([f"speaker-{k}" for k in range(SPEAKERS)])
    whole = cache.batch(5, 0, 8, (30, 60))
    halves = [cache.batch(5, 0, 8, (30, 60), rank=rank, world=2) for rank in range(2)]
    for name in ("audio", "motion", "voice", "speaker", "weight", "pair_weight", "uniform", "noise"):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(half, name) for half in halves]))
    assert whole.weight.mean().item() == pytest.approx(1) and whole.pair_weight.mean().item() == pytest.approx(1)
    assert not torch.equal(whole.noise[..., :3, :3], cache.batch(6, 0, 8, (30, 60)).noise[..., :3, :3])
    with pytest.raises(TalkerError, match="cannot be shared by 3"):
        cache.batch(5, 0, 8, (30, 60), world=3)


def test_crops_stay_in_step_with_their_features_and_shorter_utterances_are_padded(tmp_path):
    ramp = np.arange(50.0)[:, None]
    one = CachedUtterance("u", "s", ramp.repeat(55, 1), [ramp, ramp + 0.25], [np.zeros(3), np.ones(3)])
    write_feature_cache(tmp_path / "c.safetensors", [one])
    cache = FeatureCache.load(tmp_path / "c.safetensors")
    crop = cache.batch(0, 0, 64, (20, 20))
    offset = crop.audio[:, :, 0] - crop.motion[:, :, 0]
    assert torch.equal(offset, 0.25 * crop.voice[:, :1].expand(-1, 20))  # the variant's own voice
    assert set(crop.voice[:, 0].tolist()) == {0.0, 1.0}
    assert crop.motion[:, 0, 0].unique().numel() > 10
    assert cache.batch(0, 0, 400, (20, 20), clean_share=0.3).voice[:, 0].mean() == pytest.approx(0.7, abs=0.06)
    assert (cache.batch(0, 0, 64, (20, 20), clean_share=1.0).voice == 0).all()
    padded = cache.batch(0, 0, 4, (60, 60))
    assert (padded.weight[:, :50] == padded.weight[0, 0]).all() and (padded.weight[:, 50:] == 0).all()
    assert (padded.motion[:, 50:] == 49).all()


def test_bad_caches_and_states_get_a_sentence(features, tmp_path):
    with pytest.raises(TalkerError, match="give --corpus"):
        FeatureCache.load(tmp_path / "missing.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"half")
    with pytest.raises(TalkerError, match="are broken"):
        FeatureCache.load(tmp_path / "broken.safetensors")

    train(features, tmp_path / "run", TINY.replace(steps=1)).fit()
    with pytest.raises(TalkerError, match="does not fit this recipe"):
        train(features, tmp_path / "run", TINY.replace(hidden_dim=24))
    state = tmp_path / "run" / STATE_FILE
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(TalkerError, match="does not fit this recipe"):
        train(features, tmp_path / "run")


def test_speakers_who_are_left_out_are_in_no_batch_and_no_library(features):
    whole = FeatureCache.load(features / "train.safetensors")
    part = whole.without(["speaker-1", "speaker-3"])
    assert sorted(set(part.speakers)) == ["speaker-0", "speaker-2"] and part.seconds < whole.seconds
    assert build_model(TINY, part).config.identities == ["speaker-0", "speaker-2"]
    kept = {name: k for k, name in enumerate(whole.names)}
    for number, name in enumerate(part.names):
        u = kept[name]
        start, length = whole.motion_start[u], whole.lengths[u]
        assert part.motion_start[number] == start and part.lengths[number] == length
        for mine, theirs in zip(part.variants[number], whole.variants[u], strict=True):
            assert part.frames_start[mine] == whole.frames_start[theirs]
            assert torch.equal(part.voices[mine], whole.voices[theirs])
    batch = part.batch(1, 0, 16, (20, 20))
    assert set(batch.speaker.tolist()) <= {0, 1}
    with pytest.raises(TalkerError, match="nobody is left to train on"):
        whole.without([f"speaker-{k}" for k in range(4)])


@pytest.mark.parametrize(("emulated", "precision"), [(True, "no"), (False, "bf16")])
def test_a_cpu_that_would_emulate_bfloat16_trains_in_float32(emulated, precision, monkeypatch):
    monkeypatch.setattr("training.trainer.emulates_bfloat16", lambda: emulated)
    AcceleratorState._reset_state()  # a process keeps the precision that it began with
    try:
        assert make_accelerator(TINY.replace(precision="bf16"), cpu=True).mixed_precision == precision
    finally:
        AcceleratorState._reset_state()
