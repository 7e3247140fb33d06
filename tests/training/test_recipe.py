"""Recipes: fields of the right kind from YAML files and from --set, the rest refused in a sentence."""

import pytest

from talker.errors import TalkerError
from training.recipe import RECIPES, Recipe, load_recipe, parse_settings


def test_learning_rate_warms_up_and_falls_as_a_cosine():
    recipe = Recipe(steps=100, learning_rate=1e-3, learning_rate_end=1e-5, warmup_steps=10)
    assert recipe.rate(5, 100) == pytest.approx(5e-4)
    assert recipe.rate(10, 100) == pytest.approx(1e-3)
    assert recipe.rate(55, 100) == pytest.approx((1e-3 + 1e-5) / 2)
    assert recipe.rate(100, 100) == pytest.approx(1e-5)


def test_every_recipe_loads_and_the_papers_has_the_papers_numbers():
    for path in RECIPES.glob("*.yaml"):
        assert load_recipe(path.stem).name == path.stem
    paper = load_recipe("diffusiontalker")
    assert (paper.diffusion_steps, paper.epochs, paper.learning_rate, paper.betas) == (32, 50, 1e-4, (0.9, 0.999))
    assert paper.rate(1, 100) == paper.rate(100, 100) == 1e-4
    # 50 epochs of 1000 batches' worth of frames
    assert paper.total_steps(1000 * 32 * 125) == 50_000
    assert load_recipe("distill").stages == (16, 8)


@pytest.mark.parametrize("rival", ["facediffuser", "regression"])
def test_rivals_on_the_synthetic_corpus_are_trained_as_our_own_model_is(rival):
    rival, ours = load_recipe(f"{rival}-default"), load_recipe("diffusiontalker-default")
    for name in ("encoder", "steps", "batch_size", "crop_frames", "learning_rate", "learning_rate_end", "betas",
                 "warmup_steps", "clip_norm", "ema_decay", "precision", "variants"):  # fmt: skip
        assert getattr(rival, name) == getattr(ours, name)
    paper = load_recipe(rival.model)
    for name in ("schedule", "diffusion_steps", "hidden_dim", "layers", "step_dim", "dropout", "loss_weights", "identity"):
        assert getattr(rival, name) == getattr(paper, name)


def test_settings_are_yaml_values_of_the_fields_kinds():
    settings = parse_settings(
        ["model=regression", "identity=false", "learning_rate=1e-4", "hidden_dim=128", "crop_frames=[20, 30]",
         "loss_weights.lip=0", "loss_weights.velocity=1"]
    )  # fmt: skip
    assert settings == {
        "model": "regression", "identity": False, "learning_rate": 1e-4, "hidden_dim": 128, "crop_frames": (20, 30),
        "loss_weights": {"lip": 0.0, "velocity": 1.0},
    }  # fmt: skip
    assert parse_settings(["loss_weights={lip: 2}", "loss_weights.velocity=3"]) == {
        "loss_weights": {"lip": 2.0, "velocity": 3.0}
    }


def test_settings_change_only_the_loss_weights_that_they_name():
    recipe = load_recipe("distill").with_settings(["loss_weights.lip=0", "batch_size=16"])
    assert recipe.loss_weights == load_recipe("distill").loss_weights | {"lip": 0.0}
    assert recipe.batch_size == 16 and recipe.steps == load_recipe("distill").steps


def test_steps_and_epochs_replace_each_other():
    assert load_recipe("diffusiontalker").replace(steps=10).epochs == 0
    assert Recipe(steps=10).replace(epochs=2.0).steps == 0


@pytest.mark.parametrize(
    "setting, message",
    [
        ("lr=1", "The setting 'lr=1' holds lr, which recipes do not have; their fields are name, model, "),
        ("hidden_dim", "not KEY=VALUE"),
        ("hidden_dim=[", "is not YAML"),
        ("hidden_dim=1.5", "hidden_dim is a whole number, not 1.5; correct the setting"),
        ("hidden_dim=true", "whole number, not True"),
        ("learning_rate=fast", "learning_rate is a number, not 'fast'"),
        ("learning_rate=.nan", "learning_rate is a number, not nan"),
        ("identity=no way", "identity is true or false, not 'no way'"),
        ("encoder=3", "encoder is a text, not 3"),
        ("crop_frames=[1, 2, 3]", "crop_frames is a list of as many as it needs"),
        ("loss_weights.lip=high", "loss_weights is a number by each name"),
        ("hidden_dim.lip=3", "hidden_dim is a whole number"),
    ],
)
def test_wrong_settings_get_a_sentence(setting, message):
    with pytest.raises(TalkerError, match=message.replace("[", r"\[")):
        parse_settings([setting])


@pytest.mark.parametrize(
    "text, message",
    [
        ("lr: 1", "holds lr"),
        ("a: [", "not YAML"),
        ("just words", "holds no fields"),
        ("name: x", "either steps or epochs"),
        ("steps: many", "steps is a whole number, not 'many'; correct the recipe"),
        ("steps: 5\nmodel: gpt", "no model gpt as in the recipe; choose one of diffusiontalker"),
        ("steps: 5\nprecision: fp8", "fp32 or bf16"),
    ],
)
def test_wrong_recipes_get_a_sentence(text, message, tmp_path):
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(TalkerError, match=message):
        load_recipe(tmp_path / "r.yaml")
    with pytest.raises(TalkerError, match="no recipe nowhere"):
        load_recipe("nowhere")


def test_what_a_recipe_changes_tells_it_from_others():
    recipe = Recipe(steps=5, loss_weights={"lip": 2.0})
    assert recipe.changed() == {"steps": 5, "loss_weights": {"lip": 2.0}}
    assert load_recipe("distill").changed()["lip_noise"] == 0.4
